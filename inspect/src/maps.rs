// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mappings of a process, as in /proc/PID/maps.

use crate::error::Error;
use crate::found::Found;
use crate::list::MAX_ITEMS;
use crate::machine::{Machine, Struct};
use crate::mapping_names::{Area, Landmarks};
use crate::tasks::Task;
use crate::trouble::Trouble;
use crate::troubles::Troubles;
use linpmem_phys::num::usize_as_u64;
use std::collections::HashSet;

const WHAT: &str = "mappings of a process";
/// Bytes that a mapping takes in memory, besides its path.
const MAPPING_BYTES: u64 = 128;

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where its `vm_area_struct` is.
    pub address: u64,
    /// Its first address.
    pub start: u64,
    /// The address after its last one.
    pub end: u64,
    /// `vm_flags`.
    pub flags: u64,
    /// Where in the file it begins, in bytes.
    pub offset: u64,
    /// The file, if there is one and its path could be read. One whose name was removed has its
    /// last path.
    pub path: Option<String>,
    /// Whether it is of a file.
    pub is_file: bool,
    /// Whether the file's name was removed.
    pub is_deleted: bool,
    /// What /proc/PID/maps shows, if that is another text than the path: `[heap]`,
    /// `/tmp/x (deleted)`, `/dev/zero (deleted)` for shared memory.
    pub name: Option<String>,
}

impl Mapping {
    /// Read, write, execute, and shared or private, as in /proc/PID/maps.
    #[must_use]
    pub fn rights(&self) -> String {
        let letter = |bit: u64, set: char, unset: char| match self.flags & bit {
            0 => unset,
            _ => set,
        };
        [
            letter(1, 'r', '-'),
            letter(2, 'w', '-'),
            letter(4, 'x', '-'),
            // VM_MAYSHARE: what the caller asked for, also of a file that it may not write.
            letter(0x80, 's', 'p'),
        ]
        .iter()
        .collect()
    }
}

impl Machine<'_> {
    /// The mappings of `task`, in the order of their addresses; none for a task without memory
    /// of its own. No more are read than there is room for: `room` are the bytes that they and
    /// their paths may take, and what is left of them.
    ///
    /// # Errors
    /// If this kernel keeps them in another way.
    pub fn maps(&self, task: &Task, room: &mut u64) -> Result<Found<Mapping>, Error> {
        let Some(mm) = task.mm else {
            return Ok(Found::default());
        };
        let mm = self.structure("mm_struct", mm)?;
        let areas = self.areas(mm)?;
        let mut found = Found {
            items: Vec::new(),
            troubles: areas.troubles,
        };
        let landmarks = self.landmarks(mm, &mut found.troubles)?;
        for at in areas.items {
            match self.mapping(at, &landmarks, &mut found.troubles) {
                Ok(mapping) => {
                    let texts = [&mapping.path, &mapping.name].into_iter().flatten();
                    let texts: usize = texts.map(String::len).sum();
                    let taken = MAPPING_BYTES + usize_as_u64(texts);
                    let Some(left) = room.checked_sub(taken) else {
                        let limit = std::mem::take(room);
                        found.troubles.push(Trouble::TooLong { what: WHAT, limit });
                        break;
                    };
                    *room = left;
                    found.items.push(mapping);
                }
                Err(error @ Error::Memory(_)) => {
                    let is_end = error.is_too_much();
                    found
                        .troubles
                        .push(Trouble::Unreadable { what: WHAT, error });
                    if is_end {
                        break;
                    }
                }
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }

    /// Where the mappings of `mm` are, in the order of their addresses.
    pub(crate) fn areas(&self, mm: Struct<'_>) -> Result<Found<u64>, Error> {
        match mm.has("mm_mt") {
            true => self.maple_tree(WHAT, mm.field("mm_mt")?.structure()),
            false => self.chain(mm),
        }
    }

    /// The mappings of a kernel that links each with the one after it (before Linux 6.1).
    fn chain(&self, mm: Struct<'_>) -> Result<Found<u64>, Error> {
        let mut found = Found::default();
        let mut seen = HashSet::new();
        let mut next = mm.field("mmap")?;
        loop {
            let area = match next.follow_if_any() {
                Ok(Some(area)) => area,
                Ok(None) => break,
                Err(error @ Error::Memory(_)) => {
                    found
                        .troubles
                        .push(Trouble::Unreadable { what: WHAT, error });
                    break;
                }
                Err(other) => return Err(other),
            };
            let at = area.address();
            if !seen.insert(at) {
                found.troubles.push(Trouble::Circle { what: WHAT, at });
                break;
            }
            if seen.len() > MAX_ITEMS {
                found.troubles.push(Trouble::TooMany {
                    what: WHAT,
                    limit: MAX_ITEMS,
                });
                break;
            }
            found.items.push(at);
            next = area.field("vm_next")?;
        }
        Ok(found)
    }

    fn mapping(
        &self,
        at: u64,
        landmarks: &Landmarks,
        troubles: &mut Troubles,
    ) -> Result<Mapping, Error> {
        let area = self.structure("vm_area_struct", at)?;
        let [start, end] = [area.field("vm_start")?.u64()?, area.field("vm_end")?.u64()?];
        if start >= end {
            troubles.push(Trouble::Wild {
                what: WHAT,
                at,
                value: start,
            });
        }
        let file = area.field("vm_file")?.follow_if_any()?;
        let is_file = file.is_some();
        let mut known = |what, error| {
            troubles.push(Trouble::Unreadable { what, error });
        };
        let file_name = file.map(|file| self.name_of(file)).transpose();
        let file_name = file_name.unwrap_or_else(|error| {
            known("path of a mapped file", error);
            None
        });
        let named = Area {
            at: area,
            start,
            end,
            is_file,
        };
        let name = self.mapping_name(named, landmarks);
        let name = name.unwrap_or_else(|error| {
            known("name of a mapping", error);
            None
        });
        let bare = file_name.as_ref().map(|file| file.bare().to_owned());
        let is_deleted = file_name.as_ref().is_some_and(|file| file.is_deleted);
        let shown = file_name.map(|file| file.path);
        let name = name.or(shown.filter(|_| is_deleted));
        Ok(Mapping {
            address: at,
            start,
            end,
            flags: area.field("vm_flags")?.u64()?,
            offset: match file {
                Some(_) => area
                    .field("vm_pgoff")?
                    .u64()?
                    .wrapping_mul(self.page_size()),
                None => 0,
            },
            path: bare,
            is_file,
            is_deleted,
            name,
        })
    }
}

#[cfg(test)]
mod tests;
