// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory with known content, which the kernel leaves alone.

use std::fs;
use std::path::Path;

use anyhow::Result;
use linpmem_phys::{PhysAddr, PhysLen, PhysRange};
use xtask::vm::VmBuilder;

/// Where it lies: 16 MiB at 128 MiB.
pub const START: u64 = 0x800_0000;
/// Its length in bytes.
pub const LEN: u64 = 16 << 20;

/// Its range.
pub fn range() -> Result<PhysRange> {
    Ok(PhysRange::from_len(
        PhysAddr::new(START),
        PhysLen::new(LEN),
    )?)
}

/// Every 8 bytes differ from every others, so that nothing moved stays unseen.
pub fn bytes() -> Vec<u8> {
    (START..START + LEN)
        .step_by(8)
        .flat_map(|address| address.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}

/// A machine with the pattern in memory that is reserved from its kernel.
pub fn planted(machine: VmBuilder, folder: &Path) -> Result<VmBuilder> {
    let file = folder.join("pattern");
    fs::write(&file, bytes())?;
    Ok(machine
        .append(&format!("memmap={LEN:#x}${START:#x}"))
        .preload(&file, START))
}

/// The same pattern counted from 0, for a device's window.
pub fn counted(len: u64) -> Vec<u8> {
    (0..len)
        .step_by(8)
        .flat_map(|offset| offset.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .collect()
}
