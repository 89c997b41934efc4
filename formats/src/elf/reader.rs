// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading an ELF core, made by linpmem or another tool.

use super::image_mapping::ImageMapping;
use super::notes::Notes;
use super::unplaced::Inferred;
use super::{Error, headers, segments};
use crate::core_note::{Noted, architecture};
use crate::read_span::StoredSpans;
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange, Truncation};
use goblin::elf::header::EM_NONE;
use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::{PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};

/// Reads ELF64 cores of x86-64 and arm64, made by linpmem, kexec, QEMU and others.
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
    /// If it is the core of another machine, or holds no memory; if a structure contradicts itself;
    /// if two segments hold different bytes for the same addresses. A damaged note is only
    /// a warning, and so is a file that ends early, provided that a program header of
    /// memory is left.
    pub fn new(source: S) -> Result<Self, Error> {
        let mut headers = headers::read(&source)?;
        let mut notes = Notes::read(&source, &headers.notes);
        let architecture = machine_of(headers.machine, &mut notes)?;
        let layout = architecture.unwrap_or(Architecture::X86_64).layout();
        let inferred = Inferred::of(&headers.loads, &headers.unplaced, layout)?;
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
        let kernel = notes.vmcoreinfo.as_deref().map(Vmcoreinfo::new);
        let image = ImageMapping::of(&headers.loads, layout, kernel);
        let mut ranges = segments::resolve(&headers.loads, &image)?;
        if ranges.is_empty() {
            return Err(if headers.is_cut {
                Error::NothingLeft { file: source.len() }
            } else {
                Error::Empty
            });
        }
        // Kernels put the segment of their own text first.
        let memory = headers.loads.iter().filter(|load| !image.has(load));
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
            architecture,
            direct_map_base: segments::direct_map_base(&headers.loads, &image, layout),
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

/// The machine that the core is of, by its notes, if they tell, or else by `machine` from
/// the file header; `None` if neither tells. A core of a machine that this project does not
/// know is refused.
fn machine_of(machine: u16, notes: &mut Notes) -> Result<Option<Architecture>, Error> {
    let noted = architecture(&notes.others, notes.vmcoreinfo.as_deref());
    let told = Architecture::from_elf_machine(machine);
    match noted {
        Some(Noted::Known(known)) => {
            if told != Some(known) {
                notes.warn(format!(
                    "the file header says that the core is of another machine (e_machine \
                     {machine}), but its notes are of {known}: they count"
                ));
            }
            Ok(Some(known))
        }
        None if told.is_some() => Ok(told),
        None if machine == EM_NONE => {
            notes.warn("the core does not say of which kind of machine it is".to_owned());
            Ok(None)
        }
        _ => Err(Error::NotThisKind("it is of another architecture")),
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
