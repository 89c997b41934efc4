// SPDX-License-Identifier: MIT OR Apache-2.0
//! Variables of the kernel that say where things are, read from its memory.

use super::known_symbols::KnownSymbols;
use super::machine::Machine;
use linpmem_manifest::Address;
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};

/// Where the kernel's image is mapped (`__START_KERNEL_map`), and how far that
/// mapping reaches.
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
const KERNEL_MAP_BYTES: u64 = 1 << 30;

/// Variables of 64 bits: where KASLR put the direct map, vmalloc's area and the
/// page descriptors.
const BASES: [&str; 3] = ["page_offset_base", "vmalloc_base", "vmemmap_base"];

/// The kernel's own limit, CONFIG_NR_CPUS.
const MAX_CPUS: u32 = 8192;

/// Adds to `machine` what lies in `memory` where `landmarks` tell. What cannot be
/// read is left out.
pub(super) fn read(machine: &mut Machine, memory: &dyn ReadPhys, landmarks: &KnownSymbols) {
    let Some(phys_base) = machine.phys_base else {
        return;
    };
    let address = |name: &str| {
        let within = landmarks.address(name)?.checked_sub(KERNEL_MAP)?;
        (within < KERNEL_MAP_BYTES).then_some(within.checked_add_signed(phys_base)?)
    };
    for name in BASES {
        if let Some(value) = address(name).and_then(|at| word(memory, at)) {
            machine.variables.insert(name.to_owned(), Address(value));
        }
    }
    let cpus = address("nr_cpu_ids").and_then(|at| half_word(memory, at));
    let table = address("__per_cpu_offset");
    for index in 0..cpus.unwrap_or(0).min(MAX_CPUS) {
        let offset = table
            .and_then(|table| table.checked_add(u64::from(index).checked_mul(8)?))
            .and_then(|at| word(memory, at));
        match offset {
            Some(offset) => machine.cpus.per_cpu_offsets.push(Address(offset)),
            None => break,
        }
    }
}

fn word(memory: &dyn ReadPhys, at: u64) -> Option<u64> {
    Some(u64::from_le_bytes(bytes(memory, at)?))
}

fn half_word(memory: &dyn ReadPhys, at: u64) -> Option<u32> {
    Some(u32::from_le_bytes(bytes(memory, at)?))
}

fn bytes<const N: usize>(memory: &dyn ReadPhys, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let mut unreadable = Unreadables::new();
    memory
        .read_phys(PhysAddr::new(at), &mut bytes, &mut unreadable)
        .ok()?;
    unreadable.is_empty().then_some(bytes)
}
