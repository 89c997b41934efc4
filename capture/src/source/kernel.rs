// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running machine's memory through the kernel's own files, without a module: the
//! best source of System RAM, and /dev/mem for the rest.

use super::access_diagnosis::{AccessDiagnosis, Needs};
use super::crash::{self, Crash};
use super::devmem::{self, DevMem};
use super::kcore::{self, Kcore};
use super::kernel_variables::{self, Suspect};
use super::split::SplitSource;
use super::{Iomem, Source, SourceError, Subject, machine, self_test, vmcoreinfo};
use crate::kernel_page;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::{PartRecord, SourceRecord, UnusedRecord};
use linpmem_phys::{MemoryMap, ReadPhys, RegionKind};
use std::fs::File;
use std::io;

/// A file of the kernel that gives memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KernelSource {
    Kcore,
    Crash,
    DevMem,
}

/// A search for sources that work.
struct Search {
    /// The only one that may be used; `None` allows all.
    only: Option<KernelSource>,
    diagnosis: AccessDiagnosis,
    unused: Vec<UnusedRecord>,
}

/// A source of System RAM that passed the self-test.
struct RamSource {
    reader: Box<dyn ReadPhys>,
    part: PartRecord,
    direct_map_base: Option<u64>,
    vmcoreinfo: Option<Vec<u8>>,
    warnings: Vec<String>,
}

/// Opens the source `only`, or the best ones. `unused` are those that were tried before.
///
/// # Errors
/// If none of them works; the error has a reason for each.
pub(super) fn open(
    only: Option<KernelSource>,
    unused: Vec<UnusedRecord>,
) -> Result<Source, SourceError> {
    let mut search = Search {
        only,
        diagnosis: AccessDiagnosis::of_this_machine(),
        unused,
    };
    let kcore = search.file(KernelSource::Kcore, kcore::PATH, Kcore::open);
    let crash = search.file(KernelSource::Crash, crash::PATH, Crash::open);
    let devmem = search.file(KernelSource::DevMem, devmem::PATH, DevMem::open);
    if kcore.is_none() && crash.is_none() && devmem.is_none() {
        return Err(search.none_works());
    }
    let iomem = Iomem::read()?;
    let mut devmem = devmem.map(|file| DevMem::new(file, &iomem.map));
    let ram = kcore
        .and_then(|file| search.kcore(file, &iomem))
        .or_else(|| crash.and_then(|file| search.crash(file, &iomem.map)))
        .or_else(|| {
            let devmem = devmem.take_if(|devmem| devmem.reads_ram())?;
            search.devmem(devmem, &iomem.map)
        });
    let rest = devmem.and_then(|devmem| search.firmware(devmem, &iomem.map));
    search.compose(ram, rest, iomem)
}

impl Search {
    fn may_use(&self, source: KernelSource) -> bool {
        self.only.is_none_or(|only| only == source)
    }

    fn dismiss(&mut self, source: KernelSource, reason: String) {
        self.unused.push(UnusedRecord {
            kind: source.name().to_owned(),
            reason,
        });
    }

    fn none_works(self) -> SourceError {
        SourceError::NoneWorks {
            tried: self.unused,
            advice: self.diagnosis.to_string(),
        }
    }

    fn file(
        &mut self,
        source: KernelSource,
        path: &str,
        open: fn() -> io::Result<File>,
    ) -> Option<File> {
        if !self.may_use(source) {
            return None;
        }
        let (needs, absent) = match source {
            KernelSource::Crash => (
                Needs::NoLockdown,
                "only kernels of the Red Hat family have it (modprobe crash)",
            ),
            KernelSource::DevMem => (
                Needs::NoLockdown,
                "the kernel was built without CONFIG_DEVMEM, or /dev is not mounted",
            ),
            KernelSource::Kcore => (
                Needs::NoConfidentiality,
                "the kernel was built without CONFIG_PROC_KCORE, or /proc is not mounted",
            ),
        };
        match open() {
            Ok(file) => Some(file),
            Err(error) => {
                let reason = self.diagnosis.reason(path, &error, needs, absent);
                self.dismiss(source, reason);
                None
            }
        }
    }

    fn kcore(&mut self, file: File, iomem: &Iomem) -> Option<RamSource> {
        let tested = Kcore::new(file, iomem)
            .map_err(|error| error.to_string())
            .and_then(|kcore| {
                let doubts = self.test(&kcore, kcore.vmcoreinfo())?;
                Ok((kcore, doubts))
            });
        match tested {
            Ok((kcore, doubts)) => Some(RamSource {
                part: ram_part(KernelSource::Kcore, kcore::PATH, Some(kcore.detail())),
                direct_map_base: Some(kcore.direct_map_base()),
                vmcoreinfo: kcore.vmcoreinfo().map(<[u8]>::to_vec),
                warnings: [kcore.warnings(), doubts].concat(),
                reader: Box::new(kcore),
            }),
            Err(reason) => {
                self.dismiss(KernelSource::Kcore, format!("{}: {reason}", kcore::PATH));
                None
            }
        }
    }

    fn crash(&mut self, file: File, map: &MemoryMap) -> Option<RamSource> {
        let crash = Crash::new(file, map);
        match self.test(&crash, None) {
            Ok(doubts) => Some(RamSource {
                part: ram_part(KernelSource::Crash, crash::PATH, None),
                direct_map_base: None,
                vmcoreinfo: None,
                warnings: [crash.warnings(map), doubts].concat(),
                reader: Box::new(crash),
            }),
            Err(error) => {
                self.dismiss(KernelSource::Crash, format!("{}: {error}", crash::PATH));
                None
            }
        }
    }

    /// /dev/mem for all memory.
    fn devmem(&mut self, devmem: DevMem, map: &MemoryMap) -> Option<RamSource> {
        match self.test_variables(&devmem, None) {
            Ok(doubts) => Some(RamSource::devmem(devmem, map, doubts)),
            Err(reason) => {
                self.dismiss(KernelSource::DevMem, format!("{}: {reason}", devmem::PATH));
                None
            }
        }
    }

    /// Tests `source` with known pages, and with the kernel's own variables by VMCOREINFO,
    /// whose text is `note`, or else in the memory. The result is what the user should know.
    ///
    /// # Errors
    /// If it gives anything else; the error says what to do.
    fn test(&self, source: &dyn ReadPhys, note: Option<&[u8]>) -> Result<Vec<String>, String> {
        self_test::run(source).map_err(|error| error.to_string())?;
        self.test_variables(source, note)
    }

    /// The second half of [`test`](Self::test).
    fn test_variables(
        &self,
        source: &dyn ReadPhys,
        note: Option<&[u8]>,
    ) -> Result<Vec<String>, String> {
        let note = note
            .map(<[u8]>::to_vec)
            .or_else(|| vmcoreinfo::read(source, None).ok());
        let Some(note) = note else {
            return Ok(Vec::new()); // a warning will say so
        };
        kernel_variables::judge(source, Vmcoreinfo::new(&note), self.only.is_some())
            .map(|doubt| doubt.into_iter().collect())
            .map_err(|suspect| {
                format!(
                    "{suspect}. Load the module, which has a mapping of its own (--driver fit){}",
                    match suspect {
                        Suspect::Wrong { .. } => ", or name this source to read it all the same",
                        _ => "",
                    }
                )
            })
    }

    /// /dev/mem for what is not System RAM.
    fn firmware(
        &mut self,
        devmem: DevMem,
        map: &MemoryMap,
    ) -> Option<(Box<dyn ReadPhys>, PartRecord)> {
        if !devmem.reads_firmware() {
            self.dismiss(
                KernelSource::DevMem,
                format!(
                    "{} allows reading neither System RAM (CONFIG_STRICT_DEVMEM) nor reserved \
                     memory",
                    devmem::PATH
                ),
            );
            return None;
        }
        let part = PartRecord {
            kind: KernelSource::DevMem.name().to_owned(),
            path: devmem::PATH.to_owned(),
            detail: (!devmem.reads_ram())
                .then(|| "no System RAM (CONFIG_STRICT_DEVMEM)".to_owned()),
            serves: firmware_kinds(map),
        };
        Some((Box::new(devmem), part))
    }

    fn compose(
        self,
        ram: Option<RamSource>,
        rest: Option<(Box<dyn ReadPhys>, PartRecord)>,
        iomem: Iomem,
    ) -> Result<Source, SourceError> {
        let Some(ram) = ram else {
            return match rest {
                // The user named it: what it can read is better than nothing.
                Some((reader, part)) if self.only == Some(KernelSource::DevMem) => {
                    Ok(without_ram(reader, part, iomem))
                }
                Some((_, part)) => {
                    let mut search = self;
                    search.dismiss(
                        KernelSource::DevMem,
                        format!(
                            "{} does not allow reading System RAM (CONFIG_STRICT_DEVMEM); \
                             --source devmem reads the rest: {}",
                            part.path,
                            part.serves.join(", ")
                        ),
                    );
                    Err(search.none_works())
                }
                None => Err(self.none_works()),
            };
        };
        let is_ram_only = ram.part.serves.len() == 1;
        // /proc/kcore and /dev/crash have what the kernel uses as RAM: whole pages. /dev/mem
        // would show the others as zeros.
        let map = if is_ram_only {
            iomem.map.with_partial_pages_apart(kernel_page::size())
        } else {
            iomem.map
        };
        let mut parts = vec![ram.part];
        let rest = rest.map(|(reader, part)| {
            parts.push(part);
            reader
        });
        let reader: Box<dyn ReadPhys> = if is_ram_only {
            Box::new(SplitSource::new(ram.reader, rest, &map))
        } else {
            ram.reader
        };
        let mut warnings = iomem.warnings;
        warnings.extend(ram.warnings);
        let note = ram.vmcoreinfo.or_else(|| {
            vmcoreinfo::read(&*reader, None)
                .map_err(|error| warnings.push(error.to_string()))
                .ok()
        });
        let end = machine::image_end(note.as_deref(), iomem.kernel_data);
        let (machine, machine_record) = machine::facts(note, ram.direct_map_base, end);
        Ok(Source {
            reader: reader.into(),
            map,
            iomem: Some(iomem.text),
            subject: Subject::RunningKernel,
            truncation: None,
            machine,
            machine_record,
            record: SourceRecord::of_parts(parts, self.unused),
            warnings,
        })
    }
}

impl RamSource {
    /// /dev/mem of a kernel without `CONFIG_STRICT_DEVMEM`.
    fn devmem(devmem: DevMem, map: &MemoryMap, doubts: Vec<String>) -> Self {
        let mut part = ram_part(KernelSource::DevMem, devmem::PATH, None);
        let warnings = [devmem.warnings(map), doubts].concat();
        part.serves.extend(firmware_kinds(map));
        Self {
            reader: Box::new(devmem),
            part,
            direct_map_base: None,
            vmcoreinfo: None,
            warnings,
        }
    }
}

impl KernelSource {
    /// The name on the command line and in the manifest.
    const fn name(self) -> &'static str {
        match self {
            Self::Kcore => "kcore",
            Self::Crash => "crash",
            Self::DevMem => "devmem",
        }
    }
}

fn ram_part(source: KernelSource, path: &str, detail: Option<String>) -> PartRecord {
    PartRecord {
        kind: source.name().to_owned(),
        path: path.to_owned(),
        detail,
        serves: vec![RegionKind::SystemRam.name().to_owned()],
    }
}

/// /dev/mem alone, of a kernel with `CONFIG_STRICT_DEVMEM`.
fn without_ram(reader: Box<dyn ReadPhys>, part: PartRecord, iomem: Iomem) -> Source {
    let (machine, machine_record) = machine::facts(None, None, None);
    let mut warnings = iomem.warnings;
    warnings.push(format!(
        "the image will lack System RAM: {} does not allow reading it (the kernel was built \
         with CONFIG_STRICT_DEVMEM)",
        part.path
    ));
    Source {
        reader: reader.into(),
        map: iomem.map,
        iomem: Some(iomem.text),
        subject: Subject::RunningKernel,
        truncation: None,
        machine,
        machine_record,
        warnings,
        record: SourceRecord::of_parts(vec![part], Vec::new()),
    }
}

/// The kinds of reserved memory and of firmware in `map`.
fn firmware_kinds(map: &MemoryMap) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for region in map.regions() {
        let name = region.kind.name();
        if region.kind.is_firmware() && !kinds.iter().any(|kind| kind == name) {
            kinds.push(name.to_owned());
        }
    }
    kinds
}
