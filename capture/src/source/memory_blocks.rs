// SPDX-License-Identifier: MIT OR Apache-2.0
//! /sys/devices/system/memory: which blocks of memory are offline.
//!
//! /proc/kcore returns zeros for memory that is offline, and on newer kernels
//! /proc/kpageflags has 0 for its pages, as for ordinary pages of the kernel. The state of
//! a block is what decides (Documentation/admin-guide/mm/memory-hotplug.rst).

use linpmem_phys::{MemoryMap, PhysLen, PhysRange};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The folder.
pub(super) const PATH: &str = "/sys/devices/system/memory";

/// A kernel has this folder next to the one of memory, whatever it was built with.
const NEIGHBOUR: &str = "cpu";

/// Far more than any of the files has.
const MAX_LEN: u64 = 64;

/// The blocks of memory that the kernel can take offline.
#[derive(Debug)]
pub(super) struct MemoryBlocks {
    folder: PathBuf,
    /// The size of a block; `None` if the kernel cannot take memory offline (without
    /// CONFIG_MEMORY_HOTPLUG), or the reason why it is not known.
    block: Result<Option<PhysLen>, String>,
}

/// What the kernel says about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockState {
    /// Its pages are in use, even if it is about to go offline.
    Online,
    Offline,
    /// It has no state, or one that no kernel gives.
    Unknown,
}

impl MemoryBlocks {
    pub(super) fn open() -> Self {
        Self::at(Path::new(PATH))
    }

    pub(super) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            block: block_size(folder),
        }
    }

    /// As if the kernel could not take memory offline.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self {
            folder: PathBuf::new(),
            block: Ok(None),
        }
    }

    /// Why it cannot be known what of the RAM in `map` is offline, if it cannot.
    pub(super) fn trouble(&self, map: &MemoryMap) -> Option<String> {
        let block = match &self.block {
            Ok(block) => (*block)?,
            Err(reason) => return Some(reason.clone()),
        };
        let numbers = map
            .ram()
            .filter_map(PhysRange::whole_pages)
            .flat_map(|ram| {
                let first = ram.start().get() / block.get();
                first..=ram.last().get() / block.get()
            });
        let mut unknown = numbers.filter(|&number| self.state(number) == BlockState::Unknown);
        let first = unknown.next()?;
        let (mut last, mut count) = (first, 1_u64);
        // Two ranges of RAM can be in the same block.
        for number in unknown.filter(|&number| number != first) {
            count += u64::from(number != last);
            last = number;
        }
        Some(format!(
            "memory{first}/state is missing or has no state of memory{}",
            match count {
                1 => String::new(),
                _ => format!(", and so for {count} blocks in all"),
            }
        ))
    }

    /// The parts of `range` that are offline at this moment, by address.
    pub(super) fn offline(&self, range: PhysRange) -> Vec<PhysRange> {
        let Ok(Some(block)) = self.block else {
            return Vec::new();
        };
        let parts = range.pieces(block);
        parts
            .filter(|part| self.state(part.start().get() / block.get()) == BlockState::Offline)
            .collect()
    }

    fn state(&self, number: u64) -> BlockState {
        let state = text(&self.folder.join(format!("memory{number}/state")));
        match state.as_deref() {
            Ok("online" | "going-offline") => BlockState::Online,
            Ok("offline") => BlockState::Offline,
            _ => BlockState::Unknown,
        }
    }
}

/// The size of the blocks in `folder`.
fn block_size(folder: &Path) -> Result<Option<PhysLen>, String> {
    let name = "block_size_bytes";
    match text(&folder.join(name)) {
        Ok(size) => match u64::from_str_radix(&size, 16) {
            Ok(size) if size.is_power_of_two() => Ok(Some(PhysLen::new(size))),
            _ => Err(format!("{name} has no size: `{size}`")),
        },
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{name}: {error}")),
        Err(_) if folder.is_dir() => Err("it is empty, as if it were masked".to_owned()),
        Err(_) if folder.with_file_name(NEIGHBOUR).is_dir() => Ok(None),
        Err(_) => Err("it does not exist (is /sys mounted?)".to_owned()),
    }
}

/// The content of a small file, without the end of the line.
fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_LEN).read_to_string(&mut text)?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{PhysAddr, Region, RegionKind};
    use std::fs;

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    #[test]
    fn the_state_of_each_block_decides() {
        let folder = tempfile::tempdir().unwrap();
        let block = |number: u64, state: &str| {
            let path = folder.path().join(format!("memory{number}"));
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("state"), format!("{state}\n")).unwrap();
        };
        fs::write(folder.path().join("block_size_bytes"), "8000000\n").unwrap();
        for (number, state) in [(0, "online"), (1, "offline"), (2, "going-offline")] {
            block(number, state);
        }
        let blocks = MemoryBlocks::at(folder.path());
        let whole = range(0, 4 * 0x800_0000);
        assert_eq!(blocks.offline(whole), [range(0x800_0000, 0x1000_0000)]);
        assert_eq!(
            blocks.offline(range(0x7ff_f000, 0x800_1000)),
            [range(0x800_0000, 0x800_1000)]
        );
        block(1, "online");
        assert_eq!(blocks.offline(whole), []);
        let nothing = MemoryBlocks::at(&folder.path().join("none"));
        assert_eq!(nothing.offline(whole), []);
    }
    fn ram(ranges: &[(u64, u64)]) -> MemoryMap {
        let ram = ranges.iter().map(|&(start, end)| Region {
            range: range(start, end),
            kind: RegionKind::SystemRam,
        });
        MemoryMap::new(ram).unwrap()
    }

    #[test]
    fn a_folder_that_is_missing_or_masked_is_trouble_but_not_a_kernel_without_it() {
        let system = tempfile::tempdir().unwrap();
        let folder = system.path().join("memory");
        let trouble = || MemoryBlocks::at(&folder).trouble(&ram(&[(0, 0x2000)]));
        assert!(trouble().unwrap().contains("is /sys mounted?"));
        fs::create_dir(system.path().join(NEIGHBOUR)).unwrap();
        assert_eq!(trouble(), None);
        fs::create_dir(&folder).unwrap();
        assert!(trouble().unwrap().contains("empty, as if it were masked"));
        let size = folder.join("block_size_bytes");
        fs::write(&size, "").unwrap();
        assert!(trouble().unwrap().contains("has no size"));
        fs::remove_file(&size).unwrap();
        // A file without an end is read as far as any of these files goes.
        std::os::unix::fs::symlink("/dev/zero", &size).unwrap();
        assert!(trouble().unwrap().contains("has no size"));
    }

    #[test]
    fn ram_whose_blocks_have_no_state_is_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let block = |number: u64, state: &str| {
            let path = folder.path().join(format!("memory{number}"));
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("state"), state).unwrap();
        };
        fs::write(folder.path().join("block_size_bytes"), "2000\n").unwrap();
        let map = ram(&[(0x1000, 0x2000), (0x4000, 0x6000), (0x7000, 0x8000)]);
        block(0, "online\n");
        block(2, "offline\n");
        block(3, "going-offline\n");
        // There is no RAM in block 1.
        let trouble = || MemoryBlocks::at(folder.path()).trouble(&map);
        assert_eq!(trouble(), None);
        block(2, "");
        let one = trouble().unwrap();
        assert!(
            one.contains("memory2/state") && !one.contains("in all"),
            "{one}"
        );
        fs::remove_dir_all(folder.path().join("memory3")).unwrap();
        assert!(trouble().unwrap().contains("2 blocks in all"));
    }
}
