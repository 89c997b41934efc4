// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc/vmcore, in a crash (kdump) kernel: the memory of the kernel that crashed, as an
//! ELF core (fs/proc/vmcore.c). Nothing changes it any more.
//!
//! What is known about the machine comes from the core alone: /proc/iomem, kallsyms and
//! the like are those of the small kernel that runs now.

use super::kernel_variables::{self, Suspect};
use super::{Source, SourceError, Subject, machine};
use crate::read_target::{ReadTarget, fill};
use linpmem_formats::{FileSource, ImageReader, StoredRange, elf};
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::{PartRecord, SourceRecord};
use linpmem_phys::{
    Errno, MemoryMap, PAGE_SIZE, PhysAddr, PhysRange, ReadPhys, Region, RegionKind, Unreadables,
};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// The file.
pub(super) const PATH: &str = "/proc/vmcore";

/// The errno for pages that the core does not have.
const NOT_IN_CORE: Errno = Errno::ENXIO;

/// Whether the running kernel is one that was started by a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrashKernel {
    /// It was started in another way.
    No,
    /// It has the memory of the kernel that crashed.
    WithVmcore,
    /// It was started by a crash, but has no /proc/vmcore.
    WithoutVmcore,
}

impl CrashKernel {
    /// By the files in `proc`.
    pub(super) fn find(proc: &Path) -> Self {
        if proc.join("vmcore").exists() {
            return Self::WithVmcore;
        }
        // Where the old kernel left the description of its memory (kernel/crash_dump.c).
        let words = fs::read(proc.join("cmdline")).unwrap_or_default();
        let mut words = words.split(u8::is_ascii_whitespace);
        if words.any(|word| word.starts_with(b"elfcorehdr=")) {
            Self::WithoutVmcore
        } else {
            Self::No
        }
    }

    /// What the user of any source but this one should know.
    pub(super) fn warning(self) -> Option<String> {
        match self {
            Self::No => None,
            Self::WithVmcore => Some(format!(
                "this is a crash (kdump) kernel, and the image has the memory of this small \
                 kernel only: that of the kernel that crashed is in {PATH} (--source vmcore)"
            )),
            Self::WithoutVmcore => Some(format!(
                "this is a crash (kdump) kernel (elfcorehdr= is on its command line), and the \
                 image has the memory of this small kernel only: that of the kernel that crashed \
                 would be in {PATH}, which does not exist (CONFIG_PROC_VMCORE; dmesg may have \
                 the reason)"
            )),
        }
    }
}

/// Pages in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    range: PhysRange,
    /// Where the first byte is in the file.
    offset: u64,
}

/// The core, open.
#[derive(Debug)]
struct Vmcore {
    file: File,
    /// By address, and disjoint.
    segments: Vec<Segment>,
}

/// Opens the core at `path`.
///
/// # Errors
/// If it does not exist, or is not a kernel's core.
pub(super) fn open(path: &Path) -> Result<Source, SourceError> {
    let failed = |reason: String| SourceError::Vmcore {
        path: path.to_path_buf(),
        reason,
    };
    let file = File::open(path).map_err(|error| failed(why(&error)))?;
    let core = file
        .try_clone()
        .and_then(FileSource::new)
        .map_err(|error| failed(error.to_string()))?;
    let core = elf::Reader::new(core).map_err(|error| failed(error.to_string()))?;
    let ram = |stored: &StoredRange| Region {
        range: stored.range,
        kind: RegionKind::SystemRam,
    };
    let map =
        MemoryMap::new(core.ranges().iter().map(ram)).map_err(|error| failed(error.to_string()))?;
    let (mut machine, machine_record) = machine::facts(
        core.machine().vmcoreinfo.clone(),
        core.machine().direct_map_base,
    );
    // The registers at the time of the crash are nowhere else.
    machine.notes.clone_from(&core.machine().notes);
    let vmcore = Vmcore {
        file,
        segments: segments(core.ranges()),
    };
    let info = machine.vmcoreinfo.as_deref().map(Vmcoreinfo::new);
    let release = info.and_then(Vmcoreinfo::release);
    let mut warnings = vec![format!(
        "this is a crash (kdump) kernel: the image has the memory of the kernel that crashed{}, \
         not of the one that runs now",
        release.map_or_else(String::new, |release| format!(" ({release})")),
    )];
    warnings.extend(core.warnings().iter().cloned());
    warnings.extend(doubt(&vmcore, info));
    let part = PartRecord {
        kind: "vmcore".to_owned(),
        path: path.display().to_string(),
        detail: Some(match release {
            Some(release) => format!("memory of the kernel that crashed, {release}"),
            None => "memory of the kernel that crashed".to_owned(),
        }),
        serves: vec![RegionKind::SystemRam.name().to_owned()],
    };
    Ok(Source {
        map,
        iomem: None,
        subject: Subject::CrashedKernel,
        truncation: core.truncation(),
        machine,
        machine_record,
        record: SourceRecord::of_parts(vec![part], Vec::new()),
        warnings,
        reader: Arc::new(vmcore),
    })
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "it does not exist: this is not a crash (kdump) kernel, whose memory the other sources \
             have (--source auto)"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("{error}: run this as root (sudo linpmem-dump ...)")
        }
        _ => error.to_string(),
    }
}

/// Where the pages of `stored` are in the file. The kernel puts whole pages there, even if
/// RAM begins or ends within one; two ranges that share a page have it twice.
fn segments(stored: &[StoredRange]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::with_capacity(stored.len());
    for part in stored {
        let Some(offset) = part.offset else {
            continue; // not in the file
        };
        let whole = Segment {
            range: part.range,
            offset,
        };
        let whole = in_whole_pages(whole).unwrap_or(whole);
        let taken = segments
            .last()
            .map_or(PhysAddr::ZERO, |last| last.range.end());
        let Some(range) = whole.range.split_at(taken).1 else {
            continue;
        };
        segments.extend(
            whole
                .offset_of(range.start())
                .map(|offset| Segment { range, offset }),
        );
    }
    segments
}

/// The segment widened to whole pages, if the file is laid out as the kernel does it.
fn in_whole_pages(part: Segment) -> Option<Segment> {
    let before = part.range.start().get() % PAGE_SIZE.get();
    (part.offset % PAGE_SIZE.get() == before).then_some(())?;
    Some(Segment {
        range: part.range.page_hull()?,
        offset: part.offset.checked_sub(before)?,
    })
}

impl Segment {
    /// Where the byte at `at` is in the file.
    fn offset_of(&self, at: PhysAddr) -> Option<u64> {
        let within = at.checked_sub(self.range.start())?;
        self.offset.checked_add(within.get())
    }
}

impl ReadPhys for Vmcore {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), linpmem_phys::SourceError> {
        let mut rest = ReadTarget::new(start, buf);
        let first = self
            .segments
            .partition_point(|segment| segment.range.end() <= start);
        for segment in self.segments.iter().skip(first) {
            let wanted = rest.as_ref().map(ReadTarget::range);
            let Some(part) = wanted.and_then(|wanted| segment.range.intersect(wanted)) else {
                break;
            };
            let [before, within, after] = rest
                .take()
                .map_or([None, None, None], |rest| rest.around(part));
            if let Some(before) = before {
                before.refuse(NOT_IN_CORE, unreadable);
            }
            if let Some(within) = within {
                let mut read = |at: PhysAddr, bytes: &mut [u8]| {
                    let offset = segment.offset_of(at).ok_or(io::ErrorKind::InvalidInput)?;
                    self.file.read_at(bytes, offset)
                };
                fill(within, &mut read, unreadable);
            }
            rest = after;
        }
        if let Some(rest) = rest {
            rest.refuse(NOT_IN_CORE, unreadable);
        }
        Ok(())
    }
}

/// What casts doubt on the memory: the kernel's name for itself, at the address that
/// VMCOREINFO gives, has to be the release that VMCOREINFO gives. There is no other source
/// and no second chance, so that even a doubtful one is read.
fn doubt(memory: &dyn ReadPhys, info: Option<Vmcoreinfo<'_>>) -> Option<String> {
    let Some(info) = info else {
        return Some(format!(
            "{PATH} has no VMCOREINFO: crash and drgn will not open the image without the \
             addresses and offsets in it"
        ));
    };
    match kernel_variables::check(memory, info, None) {
        Ok(()) => None,
        Err(Suspect::Untold) => Some(format!(
            "{PATH} could not be tested: VMCOREINFO does not tell where the kernel's name is"
        )),
        Err(suspect) => Some(format!(
            "{PATH} does not have what it should: {suspect}. The image may be of no use: memory \
             that is encrypted or was overwritten looks like this"
        )),
    }
}

#[cfg(test)]
mod tests;
