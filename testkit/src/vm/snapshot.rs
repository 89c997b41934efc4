// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's own view of a machine's memory.

use super::{Vm, sparse};
use crate::ground_truth::{MappedFile, Piece};
use anyhow::{Context, Result, anyhow, ensure};
use linpmem_phys::{
    MemoryMap, PhysAddr, PhysRange, ReadPhys, Region, RegionKind, SourceError, Unreadables,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;

/// Memory as QEMU saved it: a sparse file in which the offset of a byte is its physical
/// address.
#[derive(Debug)]
pub struct Snapshot {
    memory: MappedFile,
    map: MemoryMap,
}

impl Vm {
    /// Saves all memory of the machine, on both sides of the PCI hole. For a consistent
    /// view, the machine must be [paused](Self::pause).
    ///
    /// # Errors
    /// When QEMU refuses, or `path` cannot be written.
    pub fn snapshot(&self, path: &Path) -> Result<Snapshot> {
        self.snapshot_of(self.qemu_ram()?, path)
    }

    /// The same for a part of the memory only.
    ///
    /// # Errors
    /// As [`Vm::snapshot`].
    pub fn snapshot_of(&self, map: MemoryMap, path: &Path) -> Result<Snapshot> {
        let file = sparse::create(path).with_context(|| format!("creating {}", path.display()))?;
        for region in map.regions() {
            self.save(region.range, &file)
                .with_context(|| format!("saving {}", region.range))?;
        }
        file.set_len(map.end().unwrap_or_default().get())?;
        let piece = |region: &Region| Piece {
            range: region.range,
            offset: region.range.start().get(),
        };
        let memory = MappedFile::new(file, map.regions().iter().map(piece).collect())?;
        Ok(Snapshot { memory, map })
    }

    /// The physical ranges for which QEMU has memory, RAM and ROM: its own view, not the
    /// guest's.
    ///
    /// # Errors
    /// When QEMU's list cannot be read.
    pub fn qemu_ram(&self) -> Result<MemoryMap> {
        let tree = self.monitor("info mtree -f")?;
        let map = parse_flat_view(&tree)?;
        ensure!(!map.is_empty(), "QEMU lists no memory:\n{tree}");
        Ok(map)
    }

    /// Through a pipe, so that zeros never reach the disk.
    fn save(&self, range: PhysRange, target: &File) -> Result<()> {
        let pipe = self.pipe();
        if !pipe.exists() {
            mknodat(CWD, pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
                .with_context(|| format!("creating the pipe {}", pipe.display()))?;
        }
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let file = File::open(pipe)?;
                let _ = rustix::pipe::fcntl_setpipe_size(&file, 1 << 20);
                let mut limited = file.take(range.len().get());
                sparse::copy(&mut limited, target, range.start().get())
            });
            let saved = self.execute(
                "pmemsave",
                json!({
                    "val": range.start().get(),
                    "size": range.len().get(),
                    "filename": pipe,
                }),
            );
            if saved.is_err() {
                // Wakes the reader if QEMU never opened its end.
                let end = OpenOptions::new()
                    .write(true)
                    .custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits())?)
                    .open(pipe);
                drop(end);
            }
            let copied = reader
                .join()
                .map_err(|_| anyhow!("the thread that reads the pipe panicked"))?;
            saved?;
            let copied = copied.context("reading the memory that QEMU saved")?;
            ensure!(
                copied == range.len().get(),
                "QEMU saved {copied} bytes instead of {}",
                range.len().get()
            );
            Ok(())
        })
    }
}

/// The memory in the address space "memory" of `info mtree -f`, whose lines are
/// `  0000000000000000-00000000000bffff (prio 0, ram): pc.ram`.
fn parse_flat_view(text: &str) -> Result<MemoryMap> {
    let mut ours = false;
    let mut regions = Vec::new();
    for line in text.lines() {
        if line.starts_with("FlatView") {
            ours = false;
        } else if line.trim_start().starts_with("AS \"memory\"") {
            ours = true;
        } else if let Some((range, rest)) = line.trim_start().split_once(" (prio ").filter(|_| ours)
        {
            let kind = rest.split([',', ')']).nth(1).unwrap_or_default().trim();
            let kind = match kind {
                "ram" => RegionKind::SystemRam,
                "rom" => RegionKind::Rom,
                _ => continue,
            };
            let (first, last) = range.split_once('-').context("a range without an end")?;
            let parse = |digits| u64::from_str_radix(digits, 16).map(PhysAddr::new);
            let range = PhysRange::from_inclusive(parse(first)?, parse(last)?)?;
            regions.push(Region { range, kind });
        }
    }
    Ok(MemoryMap::new(regions)?)
}

impl Snapshot {
    /// The ranges for which the machine has memory.
    #[must_use]
    pub fn map(&self) -> &MemoryMap {
        &self.map
    }
}

impl ReadPhys for Snapshot {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.memory.read_phys(start, buf, unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
FlatView #0
 AS \"I/O\", root: io
 DebianTree memory region: io
  0000000000000000-0000000000000007 (prio 0, ram): not.this
FlatView #1
 AS \"memory\", root: system
 AS \"cpu-memory-0\", root: system
 DebianTree memory region: system
  0000000000000000-00000000000bffff (prio 0, ram): pc.ram
  00000000000c0000-00000000000dffff (prio 1, rom): pc.ram @00000000000c0000
  0000000000100000-000000001fffffff (prio 0, ram): pc.ram @0000000000100000
  00000000fec00000-00000000fec00fff (prio 0, i/o): ioapic
  0000000100000000-000000011fffffff (prio 0, ram): pc.ram @0000000020000000
";

    #[test]
    fn memory_is_found_on_both_sides_of_the_hole() {
        let map = parse_flat_view(TREE).unwrap();
        let ranges: Vec<String> = map
            .regions()
            .iter()
            .map(|region| format!("{} {}", region.range, region.kind))
            .collect();
        assert_eq!(
            ranges,
            [
                "0x0-0xbffff System RAM",
                "0xc0000-0xdffff ROM",
                "0x100000-0x1fffffff System RAM",
                "0x100000000-0x11fffffff System RAM"
            ]
        );
    }
}
