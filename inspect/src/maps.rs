// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mappings of a process, as in /proc/PID/maps.

use crate::error::Error;
use crate::found::Found;
use crate::list::MAX_ITEMS;
use crate::machine::{Machine, Struct};
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
    /// The file, if there is one and its path could be read.
    pub path: Option<String>,
    /// Whether it is of a file.
    pub is_file: bool,
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
        for at in areas.items {
            match self.mapping(at, &mut found.troubles) {
                Ok(mapping) => {
                    let path = mapping.path.as_ref().map_or(0, String::len);
                    let taken = MAPPING_BYTES + usize_as_u64(path);
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

    fn mapping(&self, at: u64, troubles: &mut Troubles) -> Result<Mapping, Error> {
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
        let path = file.map(|file| self.path_of(file)).transpose();
        let path = path.unwrap_or_else(|error| {
            troubles.push(Trouble::Unreadable {
                what: "path of a mapped file",
                error,
            });
            None
        });
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
            path,
            is_file: file.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;
    use crate::testing::{Btf, CHAIN, DIRECT, Image, Kernel, Tasks, file_types, mapping_types};

    /// A process with three mappings, the last of them of the file /usr/lib/x, where /usr is
    /// a mount of its own.
    struct World {
        kernel: Kernel,
        task: u64,
        areas: [u64; 3],
        /// Of the file: x, lib, the mount's own root, usr, and the first root.
        dentries: [u64; 5],
    }

    fn with_files(btf: &mut Btf) {
        file_types(btf);
        mapping_types(btf);
    }

    fn world() -> World {
        let mut tasks = Tasks::with(&[CHAIN], with_files);
        let task = tasks.process(1, "init");
        let mm = tasks.memory(task, b"init");
        let mut kernel = tasks.kernel;
        let areas = [(); 3].map(|()| kernel.aligned_page());
        let names = ["x", "lib", "/", "usr", "/"];
        let dentries = [(); 5].map(|()| kernel.aligned_page());
        for (at, name) in dentries.iter().zip(names) {
            kernel.text(at + 0x100, name);
            kernel.put(at + 16, at + 0x100);
        }
        let [file, lib, own_root, usr, root] = dentries;
        for (at, parent) in [
            (file, lib),
            (lib, own_root),
            (own_root, own_root),
            (usr, root),
            (root, root),
        ] {
            kernel.put(at, parent);
        }
        let [first, second] = [(); 2].map(|()| kernel.allocate(32));
        for (mount, parent, point, top) in
            [(first, first, root, root), (second, first, usr, own_root)]
        {
            kernel.put(mount, parent);
            kernel.put(mount + 8, point);
            kernel.put(mount + 16, top);
        }
        let open = kernel.allocate(32);
        kernel.put(open + 16, second + 16);
        kernel.put(open + 24, file);
        kernel.put(mm + 24, areas[0]);
        for (index, &at) in areas.iter().enumerate() {
            let start = 0x40_0000 + index as u64 * 0x10_0000;
            kernel.put(at, start);
            kernel.put(at + 8, start + 0x1000);
            kernel.put(at + 16, areas.get(index + 1).copied().unwrap_or(0));
            kernel.put(at + 24, 0x75);
        }
        kernel.put(areas[2] + 32, 3);
        kernel.put(areas[2] + 40, open);
        kernel.put(areas[1] + 24, 0x83);
        World {
            kernel,
            task,
            areas,
            dentries,
        }
    }

    fn maps(image: &Image, task: u64) -> Found<Mapping> {
        let machine = image.machine();
        let task = machine.task(task, &mut Troubles::default()).unwrap();
        machine.maps(&task, &mut (1 << 20)).unwrap()
    }

    #[test]
    fn mappings_have_their_rights_and_the_paths_of_their_files_across_mounts() {
        let world = world();
        let found = maps(&world.kernel.image(), world.task);
        assert_eq!(found.troubles, []);
        let [first, second, file] = &found.items[..] else {
            panic!("{found:?}");
        };
        assert_eq!((first.start, first.end), (0x40_0000, 0x40_1000));
        assert_eq!((first.rights().as_str(), first.is_file), ("r-xp", false));
        assert_eq!(second.rights(), "rw-s");
        assert_eq!(file.path.as_deref(), Some("/usr/lib/x"));
        assert_eq!((file.offset, file.is_file), (0x3000, true));
        assert_eq!(file.address, world.areas[2]);
    }

    #[test]
    fn a_path_whose_parents_lead_in_a_circle_ends() {
        let mut world = world();
        let [file, lib, ..] = world.dentries;
        world.kernel.put(lib, file);
        let found = maps(&world.kernel.image(), world.task);
        assert_eq!(found.items[2].path, None);
        let [Trouble::Unreadable { error, .. }] = &found.troubles[..] else {
            panic!("{:?}", found.troubles);
        };
        assert!(matches!(error, Error::Endless { .. }), "{error}");
        let text = "is longer than any path, or leads in a circle";
        assert!(error.to_string().ends_with(text), "{error}");
    }

    #[test]
    fn the_first_names_of_a_long_path_are_left_out() {
        let mut world = world();
        let [_, mut below, own_root, ..] = world.dentries;
        let name = world.kernel.allocate(256);
        world.kernel.text(name, &"n".repeat(255));
        // 40 folders between the mount and lib.
        for _ in 0..40 {
            let folder = world.kernel.allocate(32);
            world.kernel.put(folder + 16, name);
            world.kernel.put(below, folder);
            below = folder;
        }
        world.kernel.put(below, own_root);
        let found = maps(&world.kernel.image(), world.task);
        assert_eq!(found.troubles, []);
        let path = found.items[2].path.as_ref().unwrap();
        assert!(path.starts_with("\u{2026}/nnn"), "{path}");
        assert!(path.ends_with("n/lib/x"), "{path}");
        assert!((4096 - 256..=4096 + 4).contains(&path.len()), "{path}");
    }

    #[test]
    fn a_file_whose_names_are_missing_is_a_mapping_all_the_same() {
        let mut world = world();
        world.kernel.lose(world.dentries[1]);
        let found = maps(&world.kernel.image(), world.task);
        assert_eq!((found.items.len(), found.troubles.len()), (3, 1));
        assert!(found.items[2].is_file && found.items[2].path.is_none());
    }

    #[test]
    fn mappings_that_take_more_room_than_there_is_are_left_out() {
        let world = world();
        let image = world.kernel.image();
        let machine = image.machine();
        let task = machine.task(world.task, &mut Troubles::default()).unwrap();
        // The third has a path of ten bytes.
        for (before, after, count) in [(400, 6, 3), (393, 0, 2), (200, 0, 1)] {
            let mut room = before;
            let found = machine.maps(&task, &mut room).unwrap();
            assert_eq!((found.items.len(), room), (count, after), "{before}");
            let is_cut = matches!(found.troubles[..], [Trouble::TooLong { what: WHAT, .. }]);
            assert_eq!(is_cut, count < 3, "{:?}", found.troubles);
        }
    }

    #[test]
    fn a_chain_in_a_circle_and_one_that_breaks_end() {
        let mut circle = world();
        circle.kernel.put(circle.areas[2] + 16, circle.areas[1]);
        let found = maps(&circle.kernel.image(), circle.task);
        assert_eq!(found.items.len(), 3);
        let at = circle.areas[1];
        assert_eq!(found.troubles, [Trouble::Circle { what: WHAT, at }]);
        let mut broken = world();
        broken.kernel.put(broken.areas[0] + 16, DIRECT + (1 << 45));
        let found = maps(&broken.kernel.image(), broken.task);
        assert_eq!(found.items.len(), 1);
        let [Trouble::Unreadable { error, .. }, ..] = &found.troubles[..] else {
            panic!("{:?}", found.troubles);
        };
        let Error::Memory(error) = error else {
            panic!("{error}");
        };
        assert_eq!(error.reason, Reason::NotMapped);
    }

    #[test]
    fn a_mapping_that_ends_before_it_begins_is_said() {
        let mut world = world();
        world.kernel.put(world.areas[0] + 8, 0x1000);
        let found = maps(&world.kernel.image(), world.task);
        assert_eq!(found.items.len(), 3);
        let value = 0x40_0000;
        let at = world.areas[0];
        let what = WHAT;
        assert_eq!(found.troubles, [Trouble::Wild { what, at, value }]);
    }
}
