// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far an image is on the disk, so that its sender can go on there.

use crate::hash::sha256;
use linpmem_phys::num::{len_bytes, usize_as_u64};
use linpmem_remote::RunId;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Standing {
    pub(super) run: RunId,
    /// The number of the first message that is not.
    pub(super) next: u64,
    pub(super) image_bytes: u64,
    pub(super) manifest_bytes: u64,
    /// `None` as long as there is no file with artifacts.
    pub(super) artifacts_bytes: Option<u64>,
}

/// Bytes of a slot. Two are written in turn, so that the one before is there when the machine
/// stops in between.
const SLOT_BYTES: usize = 512;

impl Standing {
    /// What is in `file`; `None` if nothing that can be read is.
    pub(super) fn read(file: &File) -> Option<Self> {
        let slots = [0, 1].into_iter();
        let standings = slots.filter_map(|slot| Self::read_slot(file, slot));
        standings.max_by_key(|standing| standing.next)
    }

    /// The slot of `file` that may be written: the other one has what counts.
    pub(super) fn free_slot(file: &File) -> usize {
        let [first, second] = [0, 1].map(|slot| Self::read_slot(file, slot).map(|it| it.next));
        usize::from(first > second)
    }

    fn read_slot(file: &File, slot: usize) -> Option<Self> {
        let mut bytes = [0; SLOT_BYTES];
        file.read_exact_at(&mut bytes, usize_as_u64(slot * SLOT_BYTES))
            .ok()?;
        let text = std::str::from_utf8(&bytes).ok()?.trim_end();
        let (sum, json) = text.split_once(' ')?;
        let standing = serde_json::from_str(json).ok()?;
        (sha256(json.as_bytes()).to_string() == sum).then_some(standing)
    }

    /// Writes it to `slot` of `file`, 0 or 1, and to the disk.
    pub(super) fn write(&self, file: &File, slot: usize) -> io::Result<()> {
        let json = serde_json::to_string(self)?;
        let mut text = format!("{} {json}", sha256(json.as_bytes()));
        if len_bytes(text.as_bytes()) >= usize_as_u64(SLOT_BYTES) {
            return Err(io::Error::other("a standing is too long; this is a bug"));
        }
        text.push_str(&" ".repeat(SLOT_BYTES - 1 - text.len()));
        text.push('\n');
        file.write_all_at(text.as_bytes(), usize_as_u64(slot * SLOT_BYTES))?;
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_that_was_written_whole_counts() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(Standing::read(&file), None);
        let run = RunId::generate().unwrap();
        let at = |next| Standing {
            next,
            artifacts_bytes: Some(u64::MAX),
            image_bytes: u64::MAX,
            manifest_bytes: u64::MAX,
            run,
        };
        for (slot, next) in [(0, 3), (1, u64::MAX - 1), (0, u64::MAX)] {
            assert_eq!(Standing::free_slot(&file), slot);
            at(next).write(&file, slot).unwrap();
            assert_eq!(Standing::read(&file), Some(at(next)));
        }
        // The machine stopped while the last one was written.
        file.write_all_at(b"x", 100).unwrap();
        assert_eq!(Standing::read(&file), Some(at(u64::MAX - 1)));
        file.write_all_at(b"x", 700).unwrap();
        assert_eq!(Standing::read(&file), None);
    }
}
