// SPDX-License-Identifier: MIT OR Apache-2.0
//! A disk that fails: at any write, or only when it is synced.

use crate::fake::{Fake, range};
use linpmem_capture::clock::Moment;
use linpmem_capture::hash::{Backend, sha256};
use linpmem_capture::meter::Meter;
use linpmem_capture::pipeline::{Acquisition, End, Outcome, run};
use linpmem_capture::reader::Direct;
use linpmem_capture::sink::Sink;
use linpmem_capture::stop::Stop;
use linpmem_capture::{EmbeddedManifest, HashSpec, this_machine};
use linpmem_formats::{Codec, ImagePlan, MachineFacts, PlannedRange, elf};
use linpmem_manifest::{
    FileRecord, Footer, Header, ImageRecord, MachineRecord, Manifest, ManifestWriter, SourceRecord,
    State, Tool, Version,
};
use linpmem_phys::RegionKind;
use std::io;
use std::num::NonZeroUsize;

const EIO: i32 = 5;

/// Fails from a number of bytes on, or at the end.
struct Failing {
    position: u64,
    fails_at: u64,
    is_abandoned: bool,
}

impl Failing {
    fn advance(&mut self, len: u64) -> io::Result<()> {
        if self.position + len > self.fails_at {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.position += len;
        Ok(())
    }
}

impl Sink for Failing {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.advance(u64::try_from(bytes.len()).unwrap())
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.advance(len)
    }

    fn finish(&mut self) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(EIO))
    }

    fn abandon(&mut self) {
        self.is_abandoned = true;
    }
}

/// The result of acquiring 8 MiB to a disk that fails there, and the manifest.
fn acquire(fails_at: u64) -> (Outcome, Failing, Manifest) {
    let plan = ImagePlan::new(
        vec![PlannedRange {
            range: range(0x10_0000, 0x8f_ffff),
            kind: RegionKind::SystemRam,
        }],
        MachineFacts::default(),
    )
    .unwrap();
    let mut writer = elf::Writer::new(&plan).unwrap();
    let mut sink = Failing {
        position: 0,
        fails_at,
        is_abandoned: false,
    };
    let header = header();
    let mut text = Vec::new();
    let mut manifest = ManifestWriter::new(&mut text, &header).unwrap();
    let acquisition = Acquisition {
        source: &Direct(&Fake::default()),
        plan: &plan,
        codec: Codec::None,
        hashes: &HashSpec {
            file_sha256: true,
            ..HashSpec::default()
        },
        workers: NonZeroUsize::new(2),
        backend: Backend::best(),
        bytes_per_s: None,
        started: Moment::now(),
        stop: &Stop::default(),
        meter: &Meter::default(),
    };
    let embedded = EmbeddedManifest::default();
    let outcome = run(
        acquisition,
        &mut writer,
        &mut sink,
        &mut manifest,
        &embedded,
        &mut (),
    );
    manifest.finish(&footer()).unwrap();
    let manifest = linpmem_manifest::parse(text.as_slice(), "m".as_ref()).unwrap();
    (outcome, sink, manifest)
}

fn header() -> Header {
    Header {
        manifest_version: Version,
        tool: Tool {
            name: "test".to_owned(),
            version: String::new(),
            sha256: None,
        },
        command: Vec::new(),
        host: this_machine(),
        custody: None,
        source: SourceRecord::single("fake", String::new(), None),
        started: Moment::now().stamp(),
        machine: MachineRecord::default(),
        iomem: None,
        frozen: Vec::new(),
        read_first: None,
        map: Vec::new(),
        artifacts: None,
        artifacts_file: None,
        image: ImageRecord {
            name: "-".to_owned(),
            id: None,
            format: "elf".to_owned(),
            raw_layout: None,
            compression: "none".to_owned(),
            chunk_bytes: 1 << 20,
            planned_bytes: 8 << 20,
        },
    }
}

fn footer() -> Footer {
    Footer {
        unreadable_pages: 0,
        source_sha256: None,
        file: FileRecord {
            length: 0,
            image_length: 0,
            sha256: None,
            hashes: Vec::new(),
            sha256_tree: sha256(&[]),
            sha256_remainder: None,
        },
        hashed: None,
        warnings: Vec::new(),
        error: None,
        ended: Moment::now().stamp(),
        state: State::Failed,
    }
}

#[test]
fn a_write_that_fails_ends_the_run_and_keeps_what_came_before() {
    // In the headers, at the first chunk, in the middle, and at the last one.
    for (fails_at, kept_mib) in [(100, 0), (8192, 0), (5 << 20, 4), ((8 << 20) + 4095, 7)] {
        let (outcome, sink, manifest) = acquire(fails_at);
        let End::Failed(error) = &outcome.end else {
            panic!("{fails_at}: {:?}", outcome.end);
        };
        let said = error.to_string();
        assert!(said.contains("Input/output error"), "{fails_at}: {said}");
        assert!(sink.is_abandoned, "{fails_at}");
        assert_eq!(outcome.read_bytes, kept_mib << 20, "{fails_at}");
        assert_eq!(outcome.file.sha256, None);
        let ranges = manifest.ranges.iter();
        let written: u64 = ranges.map(|range| range.end.written_bytes).sum();
        assert_eq!(written, kept_mib << 20, "{fails_at}");
    }
}

#[test]
fn a_disk_that_does_not_keep_what_it_took_makes_no_whole_image() {
    let (outcome, sink, manifest) = acquire(u64::MAX);
    let End::Failed(error) = &outcome.end else {
        panic!("{:?}", outcome.end);
    };
    let said = error.to_string();
    assert!(said.contains("syncing the image to disk"), "{said}");
    assert!(said.contains("Input/output error"), "{said}");
    assert!(sink.is_abandoned);
    assert_eq!(outcome.file.sha256, None);
    assert_eq!(manifest.ranges[0].end.written_bytes, 8 << 20);
}
