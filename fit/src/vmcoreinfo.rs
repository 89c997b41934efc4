// SPDX-License-Identifier: MIT OR Apache-2.0
//! The size of the VMCOREINFO note.

use crate::error::FitError;
use crate::explanation::Explanation;
use crate::sources::Sources;
use linpmem_phys::hex;

/// `VMCOREINFO_NOTE_SIZE` of include/linux/vmcore_info.h: the note's header, its name
/// `VMCOREINFO` padded to 12 bytes, and a page of 4 KiB.
const NOTE: u32 = 24 + 12 + 4096;

/// The most that is believed.
const MAX_NOTE: u64 = 64 << 10;

/// The size of the note in bytes.
pub(crate) fn note_len(sources: &Sources, told: &mut Explanation) -> Result<u32, FitError> {
    let (len, source) = match sources.vmcoreinfo.read(4096)? {
        None => (NOTE, "its size on every x86-64 kernel so far".to_owned()),
        Some((path, bytes)) => {
            let origin = path.display().to_string();
            let text = String::from_utf8_lossy(&bytes);
            let len = text.split_whitespace().nth(1).and_then(hex::parse_u64);
            let len = len.filter(|len| *len <= MAX_NOTE);
            let len = len.and_then(|len| u32::try_from(len).ok());
            let len = len.ok_or_else(|| {
                FitError::unusable(&origin, "it does not have the note's address and size")
            })?;
            (len, origin)
        }
    };
    told.fact("VMCOREINFO", format!("{len} bytes"), source);
    Ok(len)
}
