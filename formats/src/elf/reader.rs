// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading an ELF core, made by linpmem or another tool.

use super::notes::Notes;
use super::unplaced::Inferred;
use super::{Error, headers, segments};
use crate::core_note::{X86_64, architecture};
use crate::read_span::StoredSpans;
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange, Truncation};
use goblin::elf::header::{EM_NONE, EM_X86_64};
use linpmem_kinfo::layout::x86_64::START_KERNEL_MAP;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::{PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};

/// Reads ELF64 cores of x86-64, made by linpmem, kexec, QEMU and others.
///
/// Segments may come in any order, begin or end within a page, and show memory
/// twice. A segment without a physical address, such as that of the kernel's text, is
/// skipped. Where a segment covers addresses without storing their bytes, the range is
/// [`linpmem_phys::Content::Skipped`], not zero.
#[derive(Debug)]
pub struct Reader<S> {
    memory: StoredSpans<S>,
    machine: MachineFacts,
    warnings: Vec<String>,
    artifacts: Option<(u64, u64)>,
}

impl<S: ReadAt> Reader<S> {
    /// Opens the core in `source`.
    ///
    /// # Errors
    /// If it is not an x86-64 core or holds no memory; if a structure contradicts itself;
    /// if two segments hold different bytes for the same addresses. A damaged note is only
    /// a warning, and so is a file that ends early, provided that a program header of
    /// memory is left.
    pub fn new(source: S) -> Result<Self, Error> {
        let mut headers = headers::read(&source)?;
        let mut notes = Notes::read(&source, &headers.notes);
        check_machine(headers.machine, &mut notes)?;
        let inferred = Inferred::of(&headers.loads, &headers.unplaced)?;
        if let Some(inferred) = inferred {
            notes.warn(format!(
                "its segments have no physical addresses, as in a copy of /proc/kcore before \
                 Linux 4.13: they are inferred from the virtual ones (direct map at {:#x}). {} \
                 segments that are other mappings are skipped",
                inferred.base, inferred.others
            ));
            headers.loads = inferred.loads;
            headers.unplaced.clear();
        }
        let mut ranges = segments::resolve(&headers.loads)?;
        if ranges.is_empty() {
            return Err(if headers.is_cut {
                Error::NothingLeft { file: source.len() }
            } else {
                Error::Empty
            });
        }
        // Kernels put the segment of their own text first.
        let memory = headers
            .loads
            .iter()
            .filter(|load| load.vaddr < START_KERNEL_MAP);
        if !memory.is_sorted_by_key(|load| load.range.start()) {
            notes.warn("the segments are not in address order".to_owned());
        }
        if headers.unplaced.len() > 1 {
            notes.warn(format!(
                "{} segments have no physical address and are skipped",
                headers.unplaced.len()
            ));
        }
        if headers.impossible > 0 {
            notes.warn(format!(
                "{} segments without bytes in the file are skipped: their addresses exceed 64 bits",
                headers.impossible
            ));
        }
        let mut machine = MachineFacts {
            direct_map_base: segments::direct_map_base(&headers.loads),
            ..MachineFacts::default()
        };
        if let Some(own) = notes.own.take() {
            ranges = segments::with_kinds(ranges, &own.kinds);
            if own.is_padded {
                segments::without_padding(&mut ranges, &own.kinds);
            }
            machine.direct_map_base = own.direct_map_base.or(machine.direct_map_base);
            machine.paging_levels = own.paging_levels;
        }
        machine.vmcoreinfo = notes.vmcoreinfo.take();
        machine.notes = std::mem::take(&mut notes.others);
        if machine.paging_levels.is_none() {
            machine.paging_levels = machine.kernel().and_then(Vmcoreinfo::paging_levels);
        }
        let tail = notes.tail.and_then(|offset| {
            let bytes = source.len().checked_sub(offset)?;
            (bytes > 0).then_some((offset, bytes))
        });
        let memory = StoredSpans::cut(source, ranges, headers.is_cut);
        if let Some(truncation) = memory.truncation() {
            notes.warnings.insert(0, truncation.to_string());
        }
        Ok(Self {
            memory,
            machine,
            warnings: notes.warnings,
            artifacts: notes.artifacts.or(tail),
        })
    }

    /// The artifacts stored in the core, a tar archive compressed with zstd: its
    /// offset in the source and its size, both in bytes. `None` if there are none.
    #[must_use]
    pub fn artifacts(&self) -> Option<(u64, u64)> {
        self.artifacts
    }
}

/// Refuses a core of another machine than x86-64. Its notes decide, if they tell.
fn check_machine(machine: u16, notes: &mut Notes) -> Result<(), Error> {
    match architecture(&notes.others, notes.vmcoreinfo.as_deref()) {
        Some(X86_64) if machine != EM_X86_64 => notes.warn(format!(
            "the file header says that the core is of another machine (e_machine {machine}), but \
             its notes are of x86-64: they count"
        )),
        Some(X86_64) => {}
        None if machine == EM_X86_64 => {}
        None if machine == EM_NONE => {
            notes.warn("the core does not say of which kind of machine it is".to_owned());
        }
        _ => return Err(Error::NotThisKind("it is of another architecture")),
    }
    Ok(())
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

    fn is_known_zero(&self, range: PhysRange) -> bool {
        self.memory.is_known_zero(range)
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

    fn truncation(&self) -> Option<Truncation> {
        self.memory.truncation()
    }
}
