// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the state of a machine means for an acquisition, and what to do about it.

use crate::text::doctor::{Finding, Verdict, about, per_second};
use crate::text::figures::count;
use linpmem_capture::artifacts::{is_arm64, no_volatility};
use linpmem_capture::readiness::{Destination, Folder, Rate, Readiness};
use linpmem_phys::{PhysLen, RegionKind};

/// Artifacts without which less can be done with an image, and what that is.
const NEEDED: [(&str, &str); 2] = [
    (
        "sys/kernel/btf/vmlinux",
        "no symbol file for Volatility 3 can be made: keep the kernel's debug symbols at hand",
    ),
    (
        "proc/kallsyms",
        "the kernel's symbols are not in the image: keep its System.map at hand",
    ),
];

/// Everything worth saying, in the order in which an acquisition goes.
pub(super) fn diagnose(found: &Readiness) -> Vec<Finding> {
    let mut findings = vec![memory(found)];
    findings.extend(reserved(found));
    findings.push(module(found));
    findings.extend(reading(found));
    findings.extend(destination(found));
    findings.extend(duration(found));
    findings.extend(artifacts(found));
    findings.extend(analysis(found));
    let warnings = found.warnings.iter().cloned();
    findings.extend(warnings.map(|text| note("source", text, None)));
    findings
}

/// How many seconds memory is read and kept for, rounded up: as long as the slower of the two takes.
pub(super) fn estimate(found: &Readiness) -> Option<u64> {
    let read = found.read.as_ref()?.as_ref().ok()?;
    let place = match &found.destination {
        Destination::Folder(folder) => folder.rate.as_ref()?.as_ref().ok().copied()?,
        Destination::Receiver { line, .. } => line.as_ref().ok().copied().flatten()?,
        Destination::Store { .. } => return None,
    };
    Some(seconds(read.rate, found).max(seconds(place, found)))
}

/// How many seconds the memory that would be read takes at `rate`, rounded up.
fn seconds(rate: Rate, found: &Readiness) -> u64 {
    let time = rate.time_for(found.planned.get());
    time.as_secs()
        .saturating_add(u64::from(time.subsec_nanos() > 0))
}

fn good(topic: &'static str, text: String) -> Finding {
    Finding {
        topic,
        verdict: Verdict::Good,
        text,
        advice: None,
    }
}

fn note(topic: &'static str, text: String, advice: Option<&str>) -> Finding {
    Finding {
        topic,
        verdict: Verdict::Note,
        text,
        advice: advice.map(str::to_owned),
    }
}

fn bad(topic: &'static str, text: String, advice: Option<&str>) -> Finding {
    Finding {
        topic,
        verdict: Verdict::Bad,
        text,
        advice: advice.map(str::to_owned),
    }
}

/// Whether there is a source of what would be read.
fn memory(found: &Readiness) -> Finding {
    let record = match &found.source {
        Ok(record) => record,
        // It says what would help.
        Err(reason) => return bad("memory", reason.clone(), None),
    };
    let planned = found.planned;
    if found.is_crashed {
        let text = format!("{planned} of the kernel that crashed, from {record}");
        return good("memory", text);
    }
    let unserved = found
        .kinds
        .get(&RegionKind::SystemRam)
        .is_some_and(|kind| kind.read_bytes > 0 && kind.source.is_none());
    match unserved {
        true => bad(
            "memory",
            format!("no source has System RAM: there is {record} alone"),
            Some("add --driver fit, which loads the module for the run"),
        ),
        false => good(
            "memory",
            format!("{planned} would be read: {record}; tested with pages of known content"),
        ),
    }
}

/// Memory that is not System RAM and that the module alone reaches.
fn reserved(found: &Readiness) -> Option<Finding> {
    found.source.as_ref().ok()?;
    let (mut reached, mut unreached) = (0u64, 0u64);
    let firmware = found.kinds.iter().filter(|(kind, _)| kind.is_firmware());
    for (_, kind) in firmware {
        let count = match kind.source {
            Some(_) => &mut reached,
            None => &mut unreached,
        };
        *count = count.saturating_add(kind.bytes);
    }
    let [reached, unreached] = [reached, unreached].map(PhysLen::new);
    if unreached > PhysLen::ZERO {
        let advice = found
            .module
            .fits
            .is_ok()
            .then_some("add --driver fit --include-reserved if firmware matters");
        return Some(note(
            "reserved",
            format!(
                "{unreached} of reserved memory, ACPI tables and ROMs cannot be reached like this"
            ),
            advice,
        ));
    }
    (reached > PhysLen::ZERO).then(|| {
        good(
            "reserved",
            format!(
                "{reached} of reserved memory, ACPI tables and ROMs can be reached (--include-reserved)"
            ),
        )
    })
}

fn module(found: &Readiness) -> Finding {
    if let Some(reason) = &found.driver_trouble {
        return bad("module", reason.clone(), None);
    }
    if found.module.is_loaded {
        return good("module", "a linpmem module is loaded".to_owned());
    }
    match &found.module.fits {
        Ok(bytes) => good(
            "module",
            format!(
                "--driver fit would load one: it was fitted to this kernel ({} KiB) and not loaded",
                bytes.div_ceil(1024)
            ),
        ),
        Err(reason) => note(
            "module",
            reason.clone(),
            found.module.has_rust.then_some(
                "this kernel's headers have what modules in Rust need: linpmem.ko can be built \
                 here (docs/kernels.md)",
            ),
        ),
    }
}

fn reading(found: &Readiness) -> Option<Finding> {
    match found.read.as_ref()? {
        Err(reason) => Some(bad("reading", reason.clone(), None)),
        Ok(read) => {
            let speed = per_second(read.rate.bytes_per_s());
            let text = format!("{speed}, with the hashes of an ELF core");
            Some(match read.unreadable_pages {
                0 => good("reading", text),
                pages => note(
                    "reading",
                    format!(
                        "{text}; {} of {} could not be read",
                        count(pages, "page"),
                        PhysLen::new(read.rate.bytes)
                    ),
                    Some("what cannot be read is listed in the manifest, and the exit code is 3"),
                ),
            })
        }
    }
}

fn destination(found: &Readiness) -> Vec<Finding> {
    match &found.destination {
        Destination::Folder(found) => folder(found),
        Destination::Receiver { address, line } => vec![match line {
            Ok(Some(rate)) => good(
                "receiver",
                format!("{address} takes {}", per_second(rate.bytes_per_s())),
            ),
            Ok(None) => note("receiver", format!("{address} was not tried"), None),
            Err(reason) => bad("receiver", reason.clone(), None),
        }],
        Destination::Store { host, answer } => vec![match answer {
            Ok(()) => note(
                "store",
                format!(
                    "{host} answers; how fast it is, and whether it takes an image, only storing \
                     one shows"
                ),
                Some("store a small one: --range 16M+16M"),
            ),
            Err(reason) => bad("store", reason.clone(), None),
        }],
    }
}

fn folder(folder: &Folder) -> Vec<Finding> {
    let path = folder.path.display();
    let mut findings = Vec::new();
    if let Some(reason) = &folder.unusable {
        return vec![bad("folder", format!("{path}: {reason}"), None)];
    }
    let needed = folder.needed;
    findings.push(match folder.free {
        None => note(
            "folder",
            format!("{path} does not tell how much is free; {needed} are needed"),
            None,
        ),
        Some(free) if free < needed => bad(
            "folder",
            format!("{path} has {free} free, and an image can take {needed}"),
            Some(
                "name another folder, send the image away (--to), or compress it (--compress zstd)",
            ),
        ),
        Some(free) => good(
            "folder",
            format!("{path} has {free} free, and an image takes {needed} at most"),
        ),
    });
    match &folder.rate {
        Some(Ok(rate)) => findings.push(good(
            "disk",
            format!("takes {}", per_second(rate.bytes_per_s())),
        )),
        Some(Err(reason)) => findings.push(bad("disk", format!("{path}: {reason}"), None)),
        None => {}
    }
    if let Some(exposed) = &folder.exposed {
        findings.push(note(
            "folder",
            format!("{exposed}: somebody else can replace the image"),
            Some("write to a folder that only root can write to"),
        ));
    }
    findings
}

/// How long it would take.
fn duration(found: &Readiness) -> Option<Finding> {
    let time = estimate(found)?;
    let text = format!("about {} for {}", about(time), found.planned);
    let read = found.read.as_ref()?.as_ref().ok()?;
    let is_held_up = time > seconds(read.rate, found).saturating_mul(2);
    Some(match is_held_up {
        true => Finding {
            verdict: Verdict::Note,
            advice: Some(
                "memory changes while it waits to be written: compress it (--compress auto), or \
                 name a faster place"
                    .to_owned(),
            ),
            ..good("time", text)
        },
        false => good("time", text),
    })
}

fn artifacts(found: &Readiness) -> Vec<Finding> {
    let described = &found.described;
    let mut findings = Vec::new();
    for (name, means) in NEEDED {
        if let Some(missing) = described.missing.iter().find(|gap| gap.name == name) {
            let text = format!("{name} is missing: {}", missing.reason);
            findings.push(note("artifacts", text, Some(means)));
        }
    }
    for remark in &described.remarks {
        let text = format!("{}: {}", remark.name, remark.text);
        findings.push(note("artifacts", text, None));
    }
    if findings.is_empty() {
        let text = "the kernel's types and symbols go into the image".to_owned();
        findings.push(good("artifacts", text));
    }
    findings
}

/// Which programs open the image, as docs/consumers.md says.
fn analysis(found: &Readiness) -> Vec<Finding> {
    found.source.as_ref().ok().map_or_else(Vec::new, |_| {
        let symbols = note(
            "analysis",
            format!(
                "drgn, crash and gdb open ELF cores, with the debug symbols of {}",
                found.host.kernel_release
            ),
            Some(
                "keep them at hand, of exactly this build (Debian: linux-image-…-dbg; Fedora and \
                 RHEL: kernel-debuginfo)",
            ),
        );
        let arm64 = is_arm64(&found.machine);
        let volatility = match no_volatility(arm64, found.machine.paging_levels) {
            Some(reason) => note("analysis", reason.to_owned(), None),
            None => good(
                "analysis",
                "Volatility 3 opens ELF cores, with the symbol file of `linpmem-dump symbols`"
                    .to_owned(),
            ),
        };
        vec![volatility, symbols]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_capture::artifacts::Described;
    use linpmem_capture::readiness::{Kind, MeasuredRead, ModuleReadiness};
    use linpmem_capture::this_machine;
    use linpmem_manifest::{MachineRecord, Missing, SourceRecord};
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn rate(mib: u64) -> Rate {
        Rate {
            bytes: mib << 20,
            elapsed: Duration::from_secs(1),
        }
    }

    /// A machine on which everything works: 4 GiB, read at 400 MiB/s and written at 200.
    fn healthy() -> Readiness {
        let ram = Kind {
            bytes: 4 << 30,
            read_bytes: 4 << 30,
            source: Some("linpmem".to_owned()),
        };
        Readiness {
            host: this_machine(),
            machine: MachineRecord {
                architecture: Some("x86_64".to_owned()),
                paging_levels: Some(4),
                ..MachineRecord::default()
            },
            sources: Vec::new(),
            source: Ok(SourceRecord::single(
                "linpmem",
                "/dev/linpmem".to_owned(),
                None,
            )),
            is_crashed: false,
            warnings: Vec::new(),
            kinds: BTreeMap::from([(RegionKind::SystemRam, ram)]),
            planned: PhysLen::new(4 << 30),
            module: ModuleReadiness {
                is_loaded: true,
                fits: Ok(150_000),
                has_headers: false,
                has_rust: false,
            },
            driver_trouble: None,
            described: Described {
                present: Vec::new(),
                missing: Vec::new(),
                remarks: Vec::new(),
            },
            read: Some(Ok(MeasuredRead {
                rate: rate(400),
                unreadable_pages: 0,
            })),
            destination: Destination::Folder(Folder {
                path: "/mnt".into(),
                free: Some(PhysLen::new(8 << 30)),
                needed: PhysLen::new(5 << 30),
                unusable: None,
                exposed: None,
                rate: Some(Ok(rate(200))),
            }),
        }
    }

    fn verdict(found: &Readiness, topic: &str) -> Vec<(Verdict, String)> {
        let findings = diagnose(found).into_iter();
        findings
            .filter(|finding| finding.topic == topic)
            .map(|finding| (finding.verdict, finding.text))
            .collect()
    }

    fn worst(found: &Readiness) -> Vec<&'static str> {
        let findings = diagnose(found).into_iter();
        findings
            .filter(|finding| finding.verdict == Verdict::Bad)
            .map(|finding| finding.topic)
            .collect()
    }

    #[test]
    fn nothing_is_wrong_with_a_machine_on_which_everything_works() {
        let found = healthy();
        assert!(worst(&found).is_empty(), "{:?}", worst(&found));
        // The disk is what takes longest.
        assert_eq!(estimate(&found), Some(21));
        let time = verdict(&found, "time");
        assert_eq!(
            time,
            [(Verdict::Good, "about 21 seconds for 4 GiB".to_owned())]
        );
    }

    #[test]
    fn each_thing_that_prevents_an_acquisition_is_bad() {
        type Damage = fn(&mut Readiness);
        let broken: [(&str, Damage); 7] = [
            ("memory", |found| found.source = Err("no source".to_owned())),
            ("memory", |found| {
                for kind in found.kinds.values_mut() {
                    kind.source = None;
                }
            }),
            ("module", |found| {
                found.driver_trouble = Some("no".to_owned())
            }),
            ("reading", |found| {
                found.read = Some(Err("it hangs".to_owned()))
            }),
            ("folder", |found| {
                if let Destination::Folder(folder) = &mut found.destination {
                    folder.free = Some(PhysLen::new(4 << 30));
                }
            }),
            ("folder", |found| {
                if let Destination::Folder(folder) = &mut found.destination {
                    folder.unusable = Some("read-only".to_owned());
                }
            }),
            ("receiver", |found| {
                found.destination = Destination::Receiver {
                    address: "linpmem://lab:4444".to_owned(),
                    line: Err("connection refused".to_owned()),
                };
            }),
        ];
        for (topic, damage) in broken {
            let mut found = healthy();
            damage(&mut found);
            assert_eq!(worst(&found), [topic]);
        }
    }

    #[test]
    fn what_is_lost_without_preventing_anything_is_a_note() {
        let mut found = healthy();
        found.kinds.insert(
            RegionKind::Reserved,
            Kind {
                bytes: 1 << 20,
                ..Kind::default()
            },
        );
        found.machine.paging_levels = Some(5);
        found.described.missing.push(Missing {
            name: "proc/kallsyms".to_owned(),
            reason: "hidden".to_owned(),
        });
        if let Destination::Folder(folder) = &mut found.destination {
            folder.rate = Some(Ok(rate(100)));
            folder.exposed = Some("/mnt can be written to by others".to_owned());
        }
        assert!(worst(&found).is_empty(), "{:?}", worst(&found));
        for (topic, word) in [
            ("reserved", "cannot be reached"),
            ("analysis", "5-level"),
            ("artifacts", "hidden"),
            ("folder", "by others"),
            ("time", "about 41 seconds"),
        ] {
            let notes = verdict(&found, topic);
            let is_noted = |(verdict, text): &(Verdict, String)| {
                *verdict == Verdict::Note && text.contains(word)
            };
            assert!(notes.iter().any(is_noted), "{topic}: {notes:?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_estimated() {
        let mut found = healthy();
        found.read = None;
        assert_eq!(estimate(&found), None);
        assert_eq!(verdict(&found, "time"), []);
        let mut stored = healthy();
        stored.destination = Destination::Store {
            host: "s3".to_owned(),
            answer: Ok(()),
        };
        assert_eq!(estimate(&stored), None);
        assert!(worst(&stored).is_empty(), "{:?}", worst(&stored));
    }
}
