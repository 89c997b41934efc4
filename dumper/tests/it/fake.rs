// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that behaves as a test requires.

use clap::Parser;
use linpmem_capture::source::{Source, Subject};
use linpmem_capture::stop::Stop;
use linpmem_capture::{Silent, acquire_from};
use linpmem_cli::Document;
use linpmem_dump::args::{Cli, VerifyArgs};
use linpmem_dump::commands::acquire::RunError;
use linpmem_dump::text::summary::Summary;
use linpmem_formats::MachineFacts;
use linpmem_kinfo::layout::Architecture;
use linpmem_manifest::{
    Chunks, ListedChunk, MachineRecord, Manifest, PartRecord, Reader, SourceRecord, UnusedRecord,
};
use linpmem_phys::{
    Errno, MemoryMap, PAGE_SIZE, PhysAddr, PhysRange, ReadPhys, Region, RegionKind, SourceError,
    Unreadables,
};
use std::collections::HashSet;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Memory whose bytes follow from their addresses.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    /// Pages that cannot be read.
    pub refused: Vec<(PhysRange, Errno)>,
    /// From here on the source has failed as a whole.
    pub dead_from: Option<PhysAddr>,
    /// Requests the end of the run when this is read.
    pub stop_at: Option<(PhysAddr, Stop)>,
    /// Requests the end of the run when this is read again.
    pub stop_again_at: Option<(PhysAddr, Stop)>,
    /// Changes a byte of this file, at this offset, when this is read again.
    pub spoil_again_at: Option<(PhysAddr, PathBuf, u64)>,
    /// Time that each read takes.
    pub delay: Duration,
    /// Pages whose first byte differs when they are read again.
    pub restless: Vec<PhysRange>,
    /// Pages that were read, to recognise them when they are read again.
    pub seen: Arc<Mutex<HashSet<u64>>>,
    /// Whether it consists of two sources, as without the module.
    pub is_composed: bool,
    /// Whether this machine's artifacts are collected, which takes a second.
    pub with_artifacts: bool,
}

/// Inclusive, as in /proc/iomem.
pub fn range(first: u64, last: u64) -> PhysRange {
    PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last)).unwrap()
}

/// The content of the page at `start`: a third of the pages is zero, some in long runs;
/// the others compress well or not at all.
pub fn page(start: u64) -> [u8; 4096] {
    let mut bytes = [0; 4096];
    let number = start / 4096;
    match (number / 300 % 4, number % 3) {
        (0, _) | (_, 0) => {}
        (_, 1) => {
            let text = format!("page {number} at {start:#x}; ").into_bytes();
            bytes
                .iter_mut()
                .zip(text.iter().cycle())
                .for_each(|(byte, letter)| *byte = *letter);
        }
        _ => {
            let mut state = start ^ 0x9e37_79b9_7f4a_7c15;
            for word in bytes.chunks_exact_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes());
            }
        }
    }
    bytes
}

impl ReadPhys for Fake {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        std::thread::sleep(self.delay);
        let mut at = start;
        for target in buf.chunks_mut(4096) {
            assert!(at.is_page_aligned());
            if self.dead_from.is_some_and(|dead| at >= dead) {
                return Err(SourceError::new(at, "the device is gone"));
            }
            if let Some((_, stop)) = self.stop_at.as_ref().filter(|(here, _)| *here == at) {
                stop.raise();
            }
            let whole = PhysRange::from_len(at, PAGE_SIZE).unwrap();
            let refused = self
                .refused
                .iter()
                .find(|(range, _)| range.contains(at))
                .copied();
            match refused {
                Some((_, errno)) => {
                    target.fill(0);
                    unreadable.push(whole, errno);
                }
                None => target.copy_from_slice(&page(at.get())[..target.len()]),
            }
            let is_new = self.seen.lock().unwrap().insert(at.get());
            let stops = self.stop_again_at.as_ref();
            if let Some((_, stop)) = stops.filter(|(here, _)| *here == at && !is_new) {
                stop.raise();
            }
            if let Some((here, path, offset)) = &self.spoil_again_at {
                if *here == at && !is_new {
                    flip(path, *offset);
                }
            }
            if !is_new && self.restless.iter().any(|range| range.contains(at)) {
                target[0] ^= 1;
            }
            at = at.checked_add(PAGE_SIZE).unwrap();
        }
        Ok(())
    }
}

/// Changes the byte of a file at `offset`, on the disk as well.
pub fn flip(path: &Path, offset: u64) {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path);
    let file = file.unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
    file.sync_all().unwrap();
}

impl Fake {
    /// The memory as a source: RAM around a hole, a reserved part, a device.
    pub fn source(self) -> Source {
        let region = |first, last, kind| Region {
            range: range(first, last),
            kind,
        };
        let part = |kind: &str, served: RegionKind| PartRecord {
            kind: kind.to_owned(),
            path: format!("/dev/{kind}"),
            detail: None,
            serves: vec![served.name().to_owned()],
        };
        let record = if self.is_composed {
            SourceRecord::of_parts(
                vec![
                    part("crash", RegionKind::SystemRam),
                    part("devmem", RegionKind::Reserved),
                ],
                vec![UnusedRecord {
                    kind: "kcore".to_owned(),
                    reason: "made up".to_owned(),
                }],
            )
        } else {
            SourceRecord::single("fake", "nowhere".to_owned(), None)
        };
        Source {
            reader: Arc::new(self),
            map: MemoryMap::new([
                region(0, 0xfff, RegionKind::Reserved),
                region(0x1000, 0x9_fbff, RegionKind::SystemRam),
                region(0x9_fc00, 0x9_ffff, RegionKind::Reserved),
                region(0xa_0000, 0xb_ffff, RegionKind::Device),
                region(0x10_0000, 0x7f_ffff, RegionKind::SystemRam),
                region(0x80_0000, 0x8f_ffff, RegionKind::Reserved),
                region(0x1_0000_0000, 0x1_00ff_efff, RegionKind::SystemRam),
            ])
            .unwrap(),
            iomem: Some("made up".to_owned()),
            subject: Subject::RunningKernel,
            truncation: None,
            machine: MachineFacts {
                architecture: Some(Architecture::X86_64),
                vmcoreinfo: Some(b"OSRELEASE=1.2.3\n".to_vec()),
                direct_map_base: Some(0xffff_8880_0000_0000),
                paging_levels: Some(4),
                ..MachineFacts::default()
            },
            machine_record: MachineRecord::default(),
            record,
            warnings: Vec::new(),
        }
    }

    /// Acquires into `folder`; `words` are the command line after the program's name.
    pub fn acquire(self, folder: &Path, words: &[&str]) -> Result<Summary, RunError> {
        let stop = match self.stop_at.as_ref().or(self.stop_again_at.as_ref()) {
            Some((_, stop)) => stop.clone(),
            None => Stop::default(),
        };
        self.acquire_until(folder, words, &stop)
    }

    /// The same, until `stop` is raised.
    pub fn acquire_until(
        self,
        folder: &Path,
        words: &[&str],
        stop: &Stop,
    ) -> Result<Summary, RunError> {
        let words = [
            words,
            &["--no-artifacts"][usize::from(self.with_artifacts)..],
        ]
        .concat();
        acquire_source_until(folder, &words, self.source(), stop)
    }
}

/// Acquires from `source` into `folder`, without artifacts.
pub fn acquire_source(folder: &Path, words: &[&str], source: Source) -> Result<Summary, RunError> {
    let words = [words, &["--no-artifacts"]].concat();
    acquire_source_until(folder, &words, source, &Stop::default())
}

fn acquire_source_until(
    folder: &Path,
    words: &[&str],
    source: Source,
    stop: &Stop,
) -> Result<Summary, RunError> {
    let mut cli = Cli::parse_from(["linpmem-dump", "--progress", "none"].iter().chain(words));
    let output = cli.acquire.output.take();
    cli.acquire.output = output.map(|output| folder.join(output));
    let command = words.iter().map(|&word| word.to_owned()).collect();
    let plan = cli.acquire.plan(command)?;
    let acquired = acquire_from(&plan, &source, stop, &mut Silent)?;
    Ok(Summary {
        acquired,
        symbols: None,
        signature: None,
        check: None,
    })
}

/// The manifest that a run left.
pub fn manifest_of(summary: &Summary) -> Manifest {
    linpmem_manifest::read(&summary.acquired.manifest).unwrap()
}

/// The chunks in the manifest that a run left.
pub fn chunks_of(summary: &Summary) -> Vec<ListedChunk> {
    let reader = Reader::open(&summary.acquired.manifest).unwrap();
    Chunks::new(reader).map(Result::unwrap).collect()
}

/// Exit code and output of `linpmem-dump verify`.
pub fn verify(image: &Path) -> (u8, String) {
    let cli = Cli::parse_from([
        "linpmem-dump".as_ref(),
        "verify".as_ref(),
        "--progress=none".as_ref(),
        image.as_os_str(),
    ]);
    let Some(linpmem_dump::args::Command::Verify(args)) = cli.command else {
        panic!("not a verification");
    };
    verify_as(&args)
}

/// The same for these arguments.
pub fn verify_as(args: &VerifyArgs) -> (u8, String) {
    let document = linpmem_dump::commands::verify::verify(args).unwrap();
    let mut out = Vec::new();
    document.write_text(&mut out).unwrap();
    let status = document.exit_status();
    (status.code(), String::from_utf8(out).unwrap())
}
