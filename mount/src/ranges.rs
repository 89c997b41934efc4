// SPDX-License-Identifier: MIT OR Apache-2.0
//! The folder with a file for each range of memory. Names are made when they are asked for: an
//! image can have a million ranges.

use linpmem_phys::hex::parse_prefixed_u64;
use linpmem_phys::{MemoryMap, PhysRange};

const ENDING: &str = ".bin";

/// The ranges, by address.
#[derive(Debug)]
pub(crate) struct Ranges(Vec<PhysRange>);

impl Ranges {
    /// Those of `map`; neighbours of one kind are one.
    pub(crate) fn new(map: &MemoryMap) -> Self {
        let mut ranges: Vec<PhysRange> = Vec::new();
        let mut kind = None;
        for region in map.regions() {
            let last = ranges
                .last_mut()
                .filter(|last| last.end() == region.range.start() && kind == Some(region.kind));
            let joined = last.as_ref().map(|last| last.start());
            let joined = joined.map(|start| PhysRange::new(start, region.range.end()));
            match (last, joined) {
                (Some(last), Some(Ok(joined))) => *last = joined,
                _ => ranges.push(region.range),
            }
            kind = Some(region.kind);
        }
        Self(ranges)
    }

    pub(crate) fn get(&self, index: usize) -> Option<PhysRange> {
        self.0.get(index).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn name(range: PhysRange) -> String {
        format!("{range}{ENDING}")
    }

    /// The index of the range of this name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let (start, _) = name.split_once('-')?;
        let start = parse_prefixed_u64(start)?;
        let index = self.0.partition_point(|range| range.start().get() < start);
        let range = self.get(index)?;
        (Self::name(range) == name).then_some(index)
    }
}
