// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel within its boot image: the kernel's `Documentation/arch/x86/boot.rst`.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0x1f1 | 1 | sectors of the 16-bit code, after the first; 0 means 4 |
//! | 0x202 | 4 | `HdrS` |
//! | 0x206 | 2 | version of the protocol; 2.08 and later have the two below |
//! | 0x248 | 4 | where the compressed kernel is, after the 16-bit code |
//! | 0x24c | 4 | its length; its last four bytes are its length when unpacked |

use crate::unpack::{Packing, unpack};
use linpmem_phys::num::u32_as_usize;

/// The most bytes of an unpacked kernel without debugging information.
const MAX_KERNEL: u64 = 256 << 20;

/// The kernel, an ELF file, out of a boot image; an ELF file is returned as it is.
pub(crate) fn kernel(image: Vec<u8>) -> Result<Vec<u8>, String> {
    if image.starts_with(b"\x7fELF") {
        return Ok(image);
    }
    if image.get(0x202..0x206) != Some(b"HdrS") {
        return Err(match architecture(&image) {
            Some(name) => {
                format!("it is a boot image for {name}, and the prebuilt module is for x86-64")
            }
            None => "it is neither a boot image for x86 nor an ELF file".to_owned(),
        });
    }
    let version = image.get(0x206..).and_then(<[u8]>::first_chunk);
    if version.map(|bytes| u16::from_le_bytes(*bytes)) < Some(0x208) {
        return Err("its boot protocol is older than 2.08: it is not a kernel that has BTF".into());
    }
    let sectors = match image.get(0x1f1) {
        None | Some(0) => 4,
        Some(sectors) => usize::from(*sectors),
    };
    let number = |at: usize| {
        let bytes = image.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|bytes| u32_as_usize(u32::from_le_bytes(*bytes)))
    };
    let payload = || {
        let start = ((sectors + 1) * 512).checked_add(number(0x248)?)?;
        let end = start.checked_add(number(0x24c)?)?;
        let payload = image.get(start..end)?;
        Some((payload, payload.split_last_chunk()?))
    };
    let (payload, (packed, size)) =
        payload().ok_or("it is truncated: the compressed kernel ends outside it")?;
    let expected = u64::from(u32::from_le_bytes(*size));
    let packed = match Packing::of(packed)? {
        // Its own last four bytes are that length.
        Packing::Gzip => payload,
        _ => packed,
    };
    unpack(packed, expected, MAX_KERNEL)
}

/// The architecture of a boot image that is none for x86-64. Those that UEFI can start, packed
/// (zboot) or not, are programs for it, with the number of a machine.
fn architecture(image: &[u8]) -> Option<&'static str> {
    if image.get(0x38..0x3c) == Some(b"ARMd") {
        return Some("arm64");
    }
    let header = image.get(0x3c..)?.first_chunk()?;
    let program = image.get(u32_as_usize(u32::from_le_bytes(*header))..)?;
    let machine = program.strip_prefix(b"PE\0\0")?.first_chunk()?;
    match u16::from_le_bytes(*machine) {
        _ if !image.starts_with(b"MZ") => None,
        0xaa64 => Some("arm64"),
        0x5064 => Some("RISC-V"),
        0x6264 => Some("LoongArch"),
        _ => None,
    }
}
