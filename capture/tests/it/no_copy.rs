// SPDX-License-Identifier: MIT OR Apache-2.0
//! A page's bytes go to the disk from the buffer that they were read into.

use bytes::Bytes;
use linpmem_capture::clock::Moment;
use linpmem_capture::hash::Backend;
use linpmem_capture::meter::Meter;
use linpmem_capture::pipeline::{Acquisition, CHUNK_BYTES, End, run};
use linpmem_capture::reader::ReadPages;
use linpmem_capture::sink::Sink;
use linpmem_capture::stop::Stop;
use linpmem_capture::{EmbeddedManifest, HashSpec, this_machine};
use linpmem_formats::{Codec, ImagePlan, ImageWriter, MachineFacts, PlannedRange, elf, raw};
use linpmem_manifest::{
    Header, ImageRecord, MachineRecord, ManifestWriter, SourceRecord, Tool, Version,
};
use linpmem_phys::{PageBuffer, PhysAddr, PhysRange, RegionKind, SourceError, Unreadables};
use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Mutex;

const CHUNKS: u64 = 40;

/// Remembers the places in memory that it read into.
#[derive(Default)]
struct Source(Mutex<HashSet<usize>>);

impl ReadPages for Source {
    fn read_pages(
        &self,
        start: PhysAddr,
        buffer: &mut PageBuffer,
        _: &mut Unreadables,
    ) -> Result<(), SourceError> {
        buffer.fill(u8::try_from(start.get() >> 20 & 0x7f).unwrap() | 0x80);
        self.0.lock().unwrap().insert(buffer.as_ptr().addr());
        Ok(())
    }
}

/// Remembers where the large pieces lay that it was given, and who copied any.
#[derive(Default)]
struct Disk {
    position: u64,
    shared: Vec<usize>,
    copied: u64,
}

impl Sink for Disk {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.copied += u64::try_from(bytes.len()).unwrap();
        self.position += u64::try_from(bytes.len()).unwrap();
        Ok(())
    }

    fn shared(&mut self, bytes: &Bytes) -> io::Result<()> {
        self.shared.push(bytes.as_ptr().addr());
        self.position += u64::try_from(bytes.len()).unwrap();
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        self.position += len;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn plan() -> ImagePlan {
    let chunk = u64::try_from(CHUNK_BYTES).unwrap();
    let range = PhysRange::new(PhysAddr::new(chunk), PhysAddr::new(chunk * (CHUNKS + 1)));
    let planned = PlannedRange {
        range: range.unwrap(),
        kind: RegionKind::SystemRam,
    };
    ImagePlan::new(vec![planned], MachineFacts::default()).unwrap()
}

pub(crate) fn header() -> Header {
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
        source: SourceRecord::single("made up", String::new(), None),
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
            format: "test".to_owned(),
            raw_layout: None,
            compression: "none".to_owned(),
            chunk_bytes: 1 << 20,
            planned_bytes: 0,
        },
    }
}

#[test]
fn what_the_disk_gets_lies_where_it_was_read() {
    let plan = plan();
    let elf: Box<dyn ImageWriter> = Box::new(elf::Writer::new(&plan).unwrap());
    let raw: Box<dyn ImageWriter> = Box::new(raw::Writer::new(&plan, raw::Layout::Concatenated));
    for (mut writer, hashes) in [(elf, true), (raw, false)] {
        let (source, mut disk) = (Source::default(), Disk::default());
        let mut manifest = ManifestWriter::new(io::sink(), &header()).unwrap();
        let acquisition = Acquisition {
            source: &source,
            plan: &plan,
            codec: Codec::None,
            hashes: &HashSpec {
                file_sha256: hashes,
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
            &mut *writer,
            &mut disk,
            &mut manifest,
            &embedded,
            &mut (),
        );
        assert!(matches!(outcome.end, End::Whole), "{:?}", outcome.end);
        let read = source.0.into_inner().unwrap();
        assert_eq!(disk.shared.len(), usize::try_from(CHUNKS).unwrap());
        for place in disk.shared {
            assert!(read.contains(&place), "{place:#x} is a copy");
            assert_eq!(place % 4096, 0);
        }
        // Headers only.
        assert!(disk.copied < 1 << 16, "{} bytes were copied", disk.copied);
    }
}
