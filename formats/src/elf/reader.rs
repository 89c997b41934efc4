// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading an ELF core, ours or another's.

use super::notes::Notes;
use super::{Error, headers, segments};
use crate::linear::Linear;
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange};
use linpmem_phys::{PhysAddr, ReadPhys, SourceError, Unreadables};

/// Reads an ELF64 core of x86-64: ours, and those of kexec, QEMU and others.
///
/// Segments may come in any order, begin and end within pages, and show memory
/// twice; the one of the kernel's text that has no physical address is passed
/// over. What a segment names but the file has no bytes for is
/// [`linpmem_phys::Content::Skipped`] and not zero.
#[derive(Debug)]
pub struct Reader<S> {
    memory: Linear<S>,
    machine: MachineFacts,
    warnings: Vec<String>,
    evidence: Option<(u64, u64)>,
}

impl<S: ReadAt> Reader<S> {
    /// The core in `source`.
    ///
    /// # Errors
    /// If it is no such core or holds no memory; if a header lies outside the
    /// file, contradicts itself, or two segments give different bytes for the
    /// same addresses.
    pub fn new(source: S) -> Result<Self, Error> {
        let headers = headers::read(&source)?;
        let mut notes = Notes::read(&source, &headers.notes);
        let mut ranges = segments::resolve(&headers.loads)?;
        if ranges.is_empty() {
            return Err(Error::Empty);
        }
        if !headers.loads.is_sorted_by_key(|load| load.range.start()) {
            notes.warn("the segments are not in the order of their addresses".to_owned());
        }
        if headers.aliases > 1 {
            notes.warn(format!(
                "{} segments have no physical address; they are passed over",
                headers.aliases
            ));
        }
        let mut machine = MachineFacts {
            direct_map_base: segments::direct_map_base(&headers.loads),
            ..MachineFacts::default()
        };
        if let Some(own) = notes.own.take() {
            ranges = segments::with_kinds(ranges, &own.kinds);
            if own.is_filled {
                segments::without_filling(&mut ranges, &own.kinds);
            }
            machine.direct_map_base = own.direct_map_base.or(machine.direct_map_base);
            machine.paging_levels = own.paging_levels;
        }
        machine.vmcoreinfo = notes.vmcoreinfo.take();
        if machine.paging_levels.is_none() {
            machine.paging_levels = machine.told_paging_levels();
        }
        Ok(Self {
            memory: Linear::new(source, ranges),
            machine,
            warnings: notes.warnings,
            evidence: notes.evidence,
        })
    }

    /// Where the evidence that lies in a note is found in the source: offset and
    /// bytes. It is a tar archive, compressed by zstd.
    #[must_use]
    pub fn artifacts(&self) -> Option<(u64, u64)> {
        self.evidence
    }
}

impl<S: ReadAt> ReadPhys for Reader<S> {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.memory.read_phys(start, buf, unreadable)
    }
}

impl<S: ReadAt> ImageReader for Reader<S> {
    fn format(&self) -> Format {
        Format::Elf
    }

    fn ranges(&self) -> &[StoredRange] {
        self.memory.ranges()
    }

    fn machine(&self) -> &MachineFacts {
        &self.machine
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
