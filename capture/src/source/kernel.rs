// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running machine's memory by what the kernel itself offers, without a
//! module: the best source of System RAM, and /dev/mem for the rest.

use super::access_diagnosis::{Needs, Obstacles};
use super::crash::{self, Crash};
use super::devmem::{self, DevMem};
use super::kcore::{self, Kcore};
use super::split::SplitSource;
use super::{Iomem, Source, SourceError, machine, self_test, vmcoreinfo};
use linpmem_manifest::{PartRecord, SourceRecord, UnusedRecord};
use linpmem_phys::{MemoryMap, ReadPhys, RegionKind};
use std::fs::File;
use std::io;

/// Which of the kernel's sources may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    Kcore,
    Crash,
    DevMem,
}

/// The sources that were looked at, and what became of them.
struct Search {
    wanted: Wanted,
    obstacles: Obstacles,
    unused: Vec<UnusedRecord>,
}

/// A source of System RAM that was shown to be one.
struct Ram {
    reader: Box<dyn ReadPhys>,
    part: PartRecord,
    direct_map_base: Option<u64>,
    vmcoreinfo: Option<Vec<u8>>,
    warning: Option<String>,
}

/// Opens what is `wanted`. `unused` are those that were tried before.
///
/// # Errors
/// If none of them can be read; the error tells the reason for each.
pub(super) fn open(wanted: Wanted, unused: Vec<UnusedRecord>) -> Result<Source, SourceError> {
    let mut search = Search {
        wanted,
        obstacles: Obstacles::of_this_machine(),
        unused,
    };
    let kcore = search.file(Wanted::Kcore, kcore::PATH, Kcore::open);
    let crash = search.file(Wanted::Crash, crash::PATH, Crash::open);
    let devmem = search.file(Wanted::DevMem, devmem::PATH, DevMem::open);
    if kcore.is_none() && crash.is_none() && devmem.is_none() {
        return Err(search.nothing());
    }
    let iomem = Iomem::read()?;
    let mut devmem = devmem.map(|file| DevMem::new(file, &iomem.map));
    let ram = kcore
        .and_then(|file| search.kcore(file, &iomem.map))
        .or_else(|| crash.and_then(|file| search.crash(file)))
        .or_else(|| {
            let own = devmem.take_if(|devmem| devmem.reads_ram())?;
            Some(Ram::devmem(own, &iomem.map))
        });
    let rest = devmem.and_then(|devmem| search.firmware(devmem, &iomem.map));
    search.compose(ram, rest, iomem)
}

impl Search {
    fn wants(&self, source: Wanted) -> bool {
        self.wanted == Wanted::Any || self.wanted == source
    }

    fn give_up(&mut self, source: Wanted, reason: String) {
        self.unused.push(UnusedRecord {
            kind: source.name().to_owned(),
            reason,
        });
    }

    fn nothing(self) -> SourceError {
        SourceError::Nothing {
            tried: self.unused,
            way_out: self.obstacles.to_string(),
        }
    }

    fn file(&mut self, source: Wanted, path: &str, open: fn() -> io::Result<File>) -> Option<File> {
        if !self.wants(source) {
            return None;
        }
        let (needs, absent) = match source {
            Wanted::Crash => (
                Needs::NoLockdown,
                "only kernels of Red Hat's family have it (modprobe crash)",
            ),
            Wanted::DevMem => (
                Needs::NoLockdown,
                "the kernel was built without CONFIG_DEVMEM, or /dev is not mounted",
            ),
            Wanted::Kcore | Wanted::Any => (
                Needs::NoConfidentiality,
                "the kernel was built without CONFIG_PROC_KCORE, or /proc is not mounted",
            ),
        };
        match open() {
            Ok(file) => Some(file),
            Err(error) => {
                let reason = self.obstacles.explain(path, &error, needs, absent);
                self.give_up(source, reason);
                None
            }
        }
    }

    fn kcore(&mut self, file: File, map: &MemoryMap) -> Option<Ram> {
        let proven = Kcore::new(file, map)
            .map_err(|error| error.to_string())
            .and_then(|kcore| match self_test::run(&kcore) {
                Ok(()) => Ok(kcore),
                Err(error) => Err(error.to_string()),
            });
        match proven {
            Ok(kcore) => Some(Ram {
                part: ram_part(Wanted::Kcore, kcore::PATH, Some(kcore.detail())),
                direct_map_base: Some(kcore.direct_map_base()),
                vmcoreinfo: kcore.vmcoreinfo().map(<[u8]>::to_vec),
                warning: kcore.warning(),
                reader: Box::new(kcore),
            }),
            Err(reason) => {
                self.give_up(Wanted::Kcore, format!("{}: {reason}", kcore::PATH));
                None
            }
        }
    }

    fn crash(&mut self, file: File) -> Option<Ram> {
        let crash = Crash::new(file);
        match self_test::run(&crash) {
            Ok(()) => Some(Ram {
                part: ram_part(Wanted::Crash, crash::PATH, None),
                direct_map_base: None,
                vmcoreinfo: None,
                warning: None,
                reader: Box::new(crash),
            }),
            Err(error) => {
                self.give_up(Wanted::Crash, format!("{}: {error}", crash::PATH));
                None
            }
        }
    }

    /// /dev/mem for what is not System RAM.
    fn firmware(
        &mut self,
        devmem: DevMem,
        map: &MemoryMap,
    ) -> Option<(Box<dyn ReadPhys>, PartRecord)> {
        if !devmem.reads_firmware() {
            self.give_up(
                Wanted::DevMem,
                format!(
                    "{} gives neither System RAM (CONFIG_STRICT_DEVMEM) nor reserved memory",
                    devmem::PATH
                ),
            );
            return None;
        }
        let part = PartRecord {
            kind: Wanted::DevMem.name().to_owned(),
            path: devmem::PATH.to_owned(),
            detail: (!devmem.reads_ram())
                .then(|| "CONFIG_STRICT_DEVMEM keeps System RAM from it".to_owned()),
            serves: firmware_kinds(map),
        };
        Some((Box::new(devmem), part))
    }

    fn compose(
        self,
        ram: Option<Ram>,
        rest: Option<(Box<dyn ReadPhys>, PartRecord)>,
        iomem: Iomem,
    ) -> Result<Source, SourceError> {
        let Some(ram) = ram else {
            return match rest {
                // Asked for by name: what it leaves is better than nothing.
                Some((reader, part)) if self.wanted == Wanted::DevMem => {
                    Ok(without_ram(reader, part, iomem))
                }
                Some((_, part)) => {
                    let mut search = self;
                    search.give_up(
                        Wanted::DevMem,
                        format!(
                            "{} gives no System RAM (CONFIG_STRICT_DEVMEM); --source devmem \
                             reads what it does give: {}",
                            part.path,
                            part.serves.join(", ")
                        ),
                    );
                    Err(search.nothing())
                }
                None => Err(self.nothing()),
            };
        };
        let ram_alone = ram.part.serves.len() == 1;
        let mut parts = vec![ram.part];
        let rest = rest.map(|(reader, part)| {
            parts.push(part);
            reader
        });
        let reader: Box<dyn ReadPhys> = if ram_alone {
            Box::new(SplitSource::new(ram.reader, rest, &iomem.map))
        } else {
            ram.reader
        };
        let mut warnings: Vec<String> = ram.warning.into_iter().collect();
        let note = ram.vmcoreinfo.or_else(|| {
            vmcoreinfo::read(&*reader, None)
                .map_err(|error| warnings.push(error.to_string()))
                .ok()
        });
        let (machine, machine_record) = machine::facts(note, ram.direct_map_base);
        Ok(Source {
            reader: reader.into(),
            map: iomem.map,
            iomem: Some(iomem.text),
            machine,
            machine_record,
            record: SourceRecord::of_parts(parts, self.unused),
            warnings,
        })
    }
}

impl Ram {
    /// /dev/mem of a kernel that keeps nothing from it.
    fn devmem(devmem: DevMem, map: &MemoryMap) -> Self {
        let mut part = ram_part(Wanted::DevMem, devmem::PATH, None);
        part.serves.extend(firmware_kinds(map));
        Self {
            reader: Box::new(devmem),
            part,
            direct_map_base: None,
            vmcoreinfo: None,
            warning: None,
        }
    }
}

impl Wanted {
    /// As it is typed, and as the manifest has it.
    const fn name(self) -> &'static str {
        match self {
            Self::Any => "auto",
            Self::Kcore => "kcore",
            Self::Crash => "crash",
            Self::DevMem => "devmem",
        }
    }
}

fn ram_part(source: Wanted, path: &str, detail: Option<String>) -> PartRecord {
    PartRecord {
        kind: source.name().to_owned(),
        path: path.to_owned(),
        detail,
        serves: vec![RegionKind::SystemRam.name().to_owned()],
    }
}

/// /dev/mem alone, where it gives no System RAM.
fn without_ram(reader: Box<dyn ReadPhys>, part: PartRecord, iomem: Iomem) -> Source {
    let (machine, machine_record) = machine::facts(None, None);
    Source {
        reader: reader.into(),
        map: iomem.map,
        iomem: Some(iomem.text),
        machine,
        machine_record,
        warnings: vec![format!(
            "{} gives no System RAM: the kernel was built with CONFIG_STRICT_DEVMEM",
            part.path
        )],
        record: SourceRecord::of_parts(vec![part], Vec::new()),
    }
}

/// The kinds of firmware's and reserved memory that `map` has.
fn firmware_kinds(map: &MemoryMap) -> Vec<String> {
    let mut kinds: Vec<String> = Vec::new();
    for region in map.regions() {
        let name = region.kind.name();
        if devmem::is_firmware(region.kind) && !kinds.iter().any(|kind| kind == name) {
            kinds.push(name.to_owned());
        }
    }
    kinds
}
