// SPDX-License-Identifier: MIT OR Apache-2.0
//! /sys/devices/system/memory: which blocks of memory are offline.
//!
//! /proc/kcore returns zeros for memory that is offline, and on newer kernels
//! /proc/kpageflags has 0 for its pages, as for ordinary pages of the kernel. The state of
//! a block is what decides (Documentation/admin-guide/mm/memory-hotplug.rst).

use linpmem_phys::{PhysLen, PhysRange};
use std::fs;
use std::path::{Path, PathBuf};

/// The folder.
const PATH: &str = "/sys/devices/system/memory";

/// The blocks of memory that the kernel can take offline.
#[derive(Debug)]
pub(super) struct MemoryBlocks {
    folder: PathBuf,
    /// None if the kernel cannot take memory offline (without CONFIG_MEMORY_HOTPLUG).
    block: Option<PhysLen>,
}

impl MemoryBlocks {
    pub(super) fn open() -> Self {
        Self::at(Path::new(PATH))
    }

    pub(super) fn at(folder: &Path) -> Self {
        let size = fs::read_to_string(folder.join("block_size_bytes")).ok();
        let size = size.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
        Self {
            folder: folder.to_path_buf(),
            block: size.filter(|size| size.is_power_of_two()).map(PhysLen::new),
        }
    }

    /// As if the kernel could not take memory offline.
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self {
            folder: PathBuf::new(),
            block: None,
        }
    }

    /// The parts of `range` that are offline at this moment, by address.
    pub(super) fn offline(&self, range: PhysRange) -> Vec<PhysRange> {
        let Some(block) = self.block else {
            return Vec::new();
        };
        let parts = range.pieces(block);
        parts
            .filter(|part| self.is_offline(part.start().get() / block.get()))
            .collect()
    }

    /// Whether block `number` is offline. One that has no folder is not known to be.
    fn is_offline(&self, number: u64) -> bool {
        let state = self.folder.join(format!("memory{number}/state"));
        fs::read_to_string(state).is_ok_and(|state| state.trim() == "offline")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::PhysAddr;

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
}
