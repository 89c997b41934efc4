// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory with known content, which is reserved from the kernel.

use anyhow::{Result, ensure};
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, ReadPhys, Unreadables};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::ground_truth::Manifest;
use linpmem_testkit::vm::{ReservedMemory, VmBuilder};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Its physical address on x86-64: 128 MiB.
pub const START: u64 = start_on(Arch::X86_64);

/// Its physical address in machines of an architecture. For arm64 that is 256 MiB behind the
/// first RAM, beyond kernel, initramfs and device tree, which QEMU loads into the first 128.
pub const fn start_on(arch: Arch) -> u64 {
    match arch {
        Arch::X86_64 => 0x800_0000,
        Arch::Aarch64 => 0x5000_0000,
    }
}

/// Its length in bytes: 16 MiB.
pub const LEN: u64 = 16 << 20;

/// Its range.
pub fn range() -> Result<PhysRange> {
    Ok(PhysRange::from_len(
        PhysAddr::new(START),
        PhysLen::new(LEN),
    )?)
}

/// Every 8 bytes are unique, so that no displacement goes unnoticed.
pub fn bytes() -> Vec<u8> {
    bytes_at(START)
}

/// The same at another address.
pub fn bytes_at(start: u64) -> Vec<u8> {
    multiples(start, start + LEN)
}

/// The same pattern counted from 0, for a device's window.
pub fn counted(len: u64) -> Vec<u8> {
    multiples(0, len)
}

fn multiples(start: u64, end: u64) -> Vec<u8> {
    (start..end).step_by(8).flat_map(word).collect()
}

/// The eight bytes of the pattern at a multiple of 8.
pub fn word(address: u64) -> [u8; 8] {
    address.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()
}

/// A file with the pattern, for QEMU to load.
pub struct PatternFile {
    start: u64,
    path: PathBuf,
    _folder: TempDir,
}

impl PatternFile {
    /// Writes the file.
    pub fn new() -> Result<Self> {
        Self::at(START)
    }

    /// The same where machines of an architecture have it.
    pub fn on(arch: Arch) -> Result<Self> {
        Self::at(start_on(arch))
    }

    /// The same for another address.
    pub fn at(start: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("pattern");
        fs::write(&path, bytes_at(start))?;
        Ok(Self {
            start,
            path,
            _folder: folder,
        })
    }

    /// Reserves the range from the machine's kernel, and loads the pattern into it.
    pub fn load(&self, machine: VmBuilder) -> VmBuilder {
        self.load_into(machine, false)
    }

    /// The same; `is_mapped` reserves memory that is in the kernel's linear map.
    pub fn load_into(&self, machine: VmBuilder, is_mapped: bool) -> VmBuilder {
        let (start, len) = (self.start, LEN);
        machine
            .reserve(ReservedMemory {
                start,
                len,
                is_mapped,
            })
            .preload(&self.path, start)
    }
}

/// Requires that `image` has the whole pattern, and that its manifest does not list any
/// of it as unreadable.
pub fn is_exact_in(image: &dyn ReadPhys, manifest: &Manifest) -> Result<()> {
    is_exact_at(START, image, manifest)
}

/// The same at another address.
pub fn is_exact_at(start: u64, image: &dyn ReadPhys, manifest: &Manifest) -> Result<()> {
    let reserved = PhysRange::from_len(PhysAddr::new(start), PhysLen::new(LEN))?;
    let mut found = vec![0; usize::try_from(LEN)?];
    let mut unreadable = Unreadables::new();
    image.read_phys(reserved.start(), &mut found, &mut unreadable)?;
    ensure!(unreadable.is_empty(), "missing: {unreadable:?}");
    ensure!(found == bytes_at(start), "the reserved memory is not exact");
    let listed = manifest.unreadable()?;
    ensure!(
        listed
            .iter()
            .all(|range| range.intersect(reserved).is_none()),
        "the manifest lists readable memory as unreadable: {listed:?}"
    );
    Ok(())
}
