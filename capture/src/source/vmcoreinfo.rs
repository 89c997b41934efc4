// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's note of itself, VMCOREINFO: where it lies is told by
//! /sys/kernel/vmcoreinfo (kernel/ksysfs.c), and it is read as memory.

use linpmem_manifest::VmcoreinfoRecord;
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, ReadPhys, Unreadables};
use std::fs;

/// `0xADDRESS SIZE`: the note's physical address, and its size in hexadecimal
/// without `0x`.
const PATH: &str = "/sys/kernel/vmcoreinfo";
/// The kernel's own limit is a page and the note's header.
const MAX_BYTES: u64 = 64 << 10;
/// n_namesz, n_descsz, n_type: 32 bits each, little-endian.
const HEADER_BYTES: usize = 12;
/// `VMCOREINFO`, its NUL, and the padding to a multiple of 4.
const NAME: &[u8; 12] = b"VMCOREINFO\0\0";
/// Bytes of the name with its NUL.
const NAME_BYTES: u32 = 11;

/// There is no note; the image does without.
#[derive(Debug, thiserror::Error)]
#[error(
    "VMCOREINFO is missing from the image ({reason}): crash and drgn will not find their way in \
     it without the kernel's addresses"
)]
pub struct VmcoreinfoError {
    reason: String,
}

impl VmcoreinfoError {
    /// Why it is missing.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

/// Reads the note's text through `memory`. `told` is where the source says that
/// it lies, for kernels without the file in /sys.
///
/// # Errors
/// If nobody tells where it lies, or no note lies there.
pub(super) fn read(
    memory: &dyn ReadPhys,
    told: Option<PhysRange>,
) -> Result<Vec<u8>, VmcoreinfoError> {
    let place = fs::read_to_string(PATH)
        .map_err(|error| format!("{PATH}: {error}"))
        .and_then(|line| parse_place(&line));
    let place = match (place, told) {
        (Ok(place), _) | (Err(_), Some(place)) => place,
        (Err(reason), None) => return Err(VmcoreinfoError { reason }),
    };
    read_at(memory, place).map_err(|reason| VmcoreinfoError { reason })
}

/// The note's text, as the manifest has it.
pub fn record(text: &[u8]) -> VmcoreinfoRecord {
    let text = String::from_utf8_lossy(text).into_owned();
    VmcoreinfoRecord {
        release: text
            .lines()
            .find_map(|line| line.strip_prefix("OSRELEASE="))
            .map(str::to_owned),
        text,
    }
}

fn parse_place(line: &str) -> Result<PhysRange, String> {
    let mut words = line.split_ascii_whitespace();
    let mut number = || {
        let word = words.next()?;
        u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).ok()
    };
    let place = number().zip(number());
    place
        .and_then(|(start, len)| PhysRange::from_len(PhysAddr::new(start), PhysLen::new(len)).ok())
        .ok_or_else(|| format!("{PATH} says `{}`", line.trim()))
}

fn read_at(memory: &dyn ReadPhys, place: PhysRange) -> Result<Vec<u8>, String> {
    let len = usize::try_from(place.len().get().min(MAX_BYTES)).unwrap_or(0);
    let mut note = vec![0; len];
    let mut unreadable = Unreadables::new();
    memory
        .read_phys(place.start(), &mut note, &mut unreadable)
        .map_err(|error| error.to_string())?;
    if let Some(part) = unreadable.as_slice().first() {
        return Err(format!("{} could not be read: {}", part.range, part.errno));
    }
    parse_note(&note).ok_or_else(|| format!("no note lies at {place}"))
}

fn parse_note(note: &[u8]) -> Option<Vec<u8>> {
    let (header, rest) = note.split_at_checked(HEADER_BYTES)?;
    let (name, rest) = rest.split_at_checked(NAME.len())?;
    let mut fields = header
        .chunks_exact(4)
        .filter_map(|field| Some(u32::from_le_bytes(field.try_into().ok()?)));
    let (name_bytes, text_bytes, kind) = (fields.next()?, fields.next()?, fields.next()?);
    if name_bytes != NAME_BYTES || name != NAME || kind != 0 || text_bytes == 0 {
        return None;
    }
    Some(rest.get(..usize::try_from(text_bytes).ok()?)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{MemoryImage, MemoryMap, Region, RegionKind};

    fn note(name_bytes: u32, text_bytes: u32) -> Vec<u8> {
        let mut note = Vec::new();
        for field in [name_bytes, text_bytes, 0] {
            note.extend_from_slice(&field.to_le_bytes());
        }
        note.extend_from_slice(NAME);
        note.extend_from_slice(b"OSRELEASE=7.3.4\nPAGESIZE=4096\n");
        note.resize(0x1000, 0);
        note
    }

    fn read_note(bytes: Vec<u8>, place: &str) -> Result<Vec<u8>, String> {
        let present = MemoryMap::new([Region {
            range: PhysRange::new(PhysAddr::ZERO, PhysAddr::new(0x1000)).unwrap(),
            kind: RegionKind::SystemRam,
        }])
        .unwrap();
        read_at(&MemoryImage::new(present, bytes), parse_place(place)?)
    }

    #[test]
    fn the_size_is_hexadecimal_without_a_mark() {
        let place = parse_place("0x000000010f2a1000 1024\n").unwrap();
        assert_eq!(place.start().get(), 0x1_0f2a_1000);
        assert_eq!(place.len().get(), 4132);
        for line in ["", "0x1000", "x 1", "0x1000 0"] {
            assert!(parse_place(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_text_is_what_the_header_says() {
        let text = read_note(note(11, 30), "0x0 1000").unwrap();
        assert_eq!(text, b"OSRELEASE=7.3.4\nPAGESIZE=4096\n");
        assert_eq!(record(&text).release.as_deref(), Some("7.3.4"));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        assert!(read_note(note(10, 30), "0x0 1000").is_err());
        assert!(read_note(note(11, 0), "0x0 1000").is_err());
        assert!(read_note(note(11, 5000), "0x0 1000").is_err());
        assert!(read_note(vec![0; 4096], "0x0 1000").is_err());
        assert!(read_note(note(11, 30), "0x0 10").is_err());
        let error = read_note(note(11, 30), "0x800 1000").unwrap_err();
        assert!(error.contains("ENXIO"), "{error}");
    }
}
