// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMCOREINFO, read from memory at the address in /sys/kernel/vmcoreinfo.

use linpmem_kinfo::notes::Notes;
use linpmem_kinfo::vmcoreinfo::{MAX_BYTES, Vmcoreinfo, parse_location};
use linpmem_manifest::VmcoreinfoRecord;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{PhysRange, ReadPhys, Unreadables};
use std::fs;
use std::io;
use std::path::Path;

const PATH: &str = "/sys/kernel/vmcoreinfo";

/// VMCOREINFO was not found; the image has to do without it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the image will lack VMCOREINFO ({reason}): crash and drgn will not open it without \
     the addresses and offsets in it"
)]
pub struct VmcoreinfoError {
    reason: String,
}

impl VmcoreinfoError {
    /// Why it was not found.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

/// Reads the text of VMCOREINFO through `memory`. `fallback` is its address if /sys
/// does not have it.
///
/// # Errors
/// If its address is unknown, or there is something else.
pub(super) fn read(
    memory: &dyn ReadPhys,
    fallback: Option<PhysRange>,
) -> Result<Vec<u8>, VmcoreinfoError> {
    let location = fs::read_to_string(PATH)
        .map_err(|error| why(&error, Path::new("/sys/kernel")))
        .and_then(|line| {
            parse_location(&line)
                .ok_or_else(|| format!("{PATH} has no address and size: `{}`", line.trim()))
        });
    let read = match (location, fallback) {
        (Ok(location), _) | (Err(_), Some(location)) => read_at(memory, location),
        (Err(reason), None) => Err(reason),
    };
    read.map_err(|reason| VmcoreinfoError { reason })
}

/// Why the file could not be read; `folder` is the one that /sys always has.
fn why(error: &io::Error, folder: &Path) -> String {
    match error.kind() == io::ErrorKind::NotFound && !folder.exists() {
        true => format!("{PATH}: /sys is not mounted (mount -t sysfs sysfs /sys)"),
        false => format!("{PATH}: {error}"),
    }
}

/// The text for the manifest.
pub fn record(text: &[u8]) -> VmcoreinfoRecord {
    VmcoreinfoRecord {
        release: Vmcoreinfo::new(text).release().map(str::to_owned),
        text: String::from_utf8_lossy(text).into_owned(),
    }
}

fn read_at(memory: &dyn ReadPhys, location: PhysRange) -> Result<Vec<u8>, String> {
    let len = location.len();
    if len.get() > MAX_BYTES {
        return Err(format!("{PATH} gives an impossible size: {len}"));
    }
    let mut note = vec![0; u64_as_usize(len.get())];
    let mut unreadable = Unreadables::new();
    memory
        .read_phys(location.start(), &mut note, &mut unreadable)
        .map_err(|error| error.to_string())?;
    if let Some(part) = unreadable.as_slice().first() {
        return Err(format!("{} could not be read: {}", part.range, part.errno));
    }
    Vmcoreinfo::from_notes(Notes::new(&note))
        .map(|info| info.as_bytes().to_vec())
        .ok_or_else(|| format!("the memory at {location} does not contain it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_kinfo::notes;
    use linpmem_kinfo::vmcoreinfo::{NOTE_KIND, NOTE_NAME};
    use linpmem_phys::{MemoryImage, MemoryMap, PhysAddr, Region, RegionKind};

    const TEXT: &[u8] = b"OSRELEASE=7.3.4\nPAGESIZE=4096\n";

    fn note(name: &[u8], text: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        notes::append(&mut note, name, NOTE_KIND, text).unwrap();
        note.resize(0x1000, 0);
        note
    }

    fn read_note(bytes: Vec<u8>, location: &str) -> Result<Vec<u8>, String> {
        let present = MemoryMap::new([Region {
            range: PhysRange::new(PhysAddr::ZERO, PhysAddr::new(0x1000)).unwrap(),
            kind: RegionKind::SystemRam,
        }])
        .unwrap();
        let memory = MemoryImage::new(present, bytes);
        read_at(&memory, parse_location(location).unwrap())
    }

    #[test]
    fn a_sys_that_is_not_mounted_is_called_that() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let folder = tempfile::tempdir().unwrap();
        assert!(!why(&missing, folder.path()).contains("not mounted"));
        let error = why(&missing, &folder.path().join("kernel"));
        assert!(error.contains("mount -t sysfs"), "{error}");
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(!why(&denied, Path::new("/nowhere")).contains("not mounted"));
    }

    #[test]
    fn the_text_is_as_long_as_the_header_says() {
        let text = read_note(note(NOTE_NAME, TEXT), "0x0 1000").unwrap();
        assert_eq!(text, TEXT);
        assert_eq!(record(&text).release.as_deref(), Some("7.3.4"));
    }

    #[test]
    fn anything_else_at_the_address_is_refused() {
        let good = note(NOTE_NAME, TEXT);
        assert!(read_note(note(b"VMCOREINF", TEXT), "0x0 1000").is_err());
        assert!(read_note(note(NOTE_NAME, b""), "0x0 1000").is_err());
        assert!(read_note(vec![0; 4096], "0x0 1000").is_err());
        assert!(read_note(good.clone(), "0x0 10").is_err());
        // A text of 5000 bytes in 4096.
        let mut cut_off = good.clone();
        cut_off[4..8].copy_from_slice(&5000_u32.to_le_bytes());
        assert!(read_note(cut_off, "0x0 1000").is_err());
        let error = read_note(good.clone(), "0x800 1000").unwrap_err();
        assert!(error.contains("ENXIO"), "{error}");
        let error = read_note(good, "0x0 40000000").unwrap_err();
        assert!(error.contains("1 GiB"), "{error}");
    }
}
