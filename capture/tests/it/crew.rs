// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any number of threads, and every way to hash, make the same image.

use crate::no_copy::header;
use bytes::Bytes;
use linpmem_capture::clock::Moment;
use linpmem_capture::hash::{Backend, MerkleTree, sha256};
use linpmem_capture::meter::Meter;
use linpmem_capture::pipeline::{Acquisition, CHUNK_BYTES, End, Outcome, run};
use linpmem_capture::reader::ReadPages;
use linpmem_capture::sink::Sink;
use linpmem_capture::stop::Stop;
use linpmem_capture::{EmbeddedManifest, HashSpec};
use linpmem_formats::{Codec, ImagePlan, ImageWriter, MachineFacts, PlannedRange, avml, raw};
use linpmem_manifest::ManifestWriter;
use linpmem_phys::{PageBuffer, PhysAddr, PhysRange, RegionKind, SourceError, Unreadables};
use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex};

/// Memory: the first of five chunks is zero, and every other page is like no other one.
#[derive(Default)]
struct Source {
    /// Where the buffers lie that were read into.
    buffers: Mutex<HashSet<usize>>,
    /// If set, each chunk waits until the one before was written.
    written: Option<Written>,
    read: Mutex<u64>,
}

/// Bytes that were written.
type Written = Arc<(Mutex<u64>, Condvar)>;

/// Keeps the image.
#[derive(Default)]
struct Disk {
    image: Vec<u8>,
    /// Says how long the image is.
    written: Option<Written>,
}

impl Disk {
    fn tell(&self) {
        if let Some(written) = &self.written {
            *written.0.lock().unwrap() = self.position();
            written.1.notify_all();
        }
    }
}

fn page(address: u64, page: &mut [u8]) {
    page.fill(0);
    if address >> 20 & 7 != 0 {
        page[..8].copy_from_slice(&address.to_le_bytes());
        page[4095] = 1;
    }
}

impl ReadPages for Source {
    fn read_pages(
        &self,
        start: PhysAddr,
        buffer: &mut PageBuffer,
        _: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let mut read = self.read.lock().unwrap();
        if let Some(written) = &self.written {
            let waiting = written.0.lock().unwrap();
            drop(written.1.wait_while(waiting, |written| *written < *read));
        }
        *read += u64::try_from(buffer.len()).unwrap();
        let addresses = (start.get()..).step_by(4096);
        addresses
            .zip(buffer.chunks_mut(4096))
            .for_each(|(address, bytes)| page(address, bytes));
        self.buffers.lock().unwrap().insert(buffer.as_ptr().addr());
        Ok(())
    }
}

impl Sink for Disk {
    fn position(&self) -> u64 {
        u64::try_from(self.image.len()).unwrap()
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.image.extend_from_slice(bytes);
        self.tell();
        Ok(())
    }

    fn shared(&mut self, bytes: &Bytes) -> io::Result<()> {
        self.bytes(bytes)
    }

    fn zeros(&mut self, len: u64) -> io::Result<()> {
        let len = self.image.len() + usize::try_from(len).unwrap();
        self.image.resize(len, 0);
        self.tell();
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two ranges of `chunks` MiB each, which begin and end within a MiB.
fn plan(chunks: u64) -> ImagePlan {
    let ranges = [0x10_3000, 0x1_0000_5000].map(|start: u64| PlannedRange {
        range: PhysRange::new(PhysAddr::new(start), PhysAddr::new(start + (chunks << 20))).unwrap(),
        kind: RegionKind::SystemRam,
    });
    ImagePlan::new(ranges.to_vec(), MachineFacts::default()).unwrap()
}

fn acquire(
    plan: &ImagePlan,
    source: &Source,
    disk: &mut Disk,
    writer: &mut dyn ImageWriter,
    (codec, workers, backend): (Codec, Option<usize>, Backend),
) -> Outcome {
    let acquisition = Acquisition {
        source,
        plan,
        codec,
        hashes: &HashSpec {
            file_sha256: false,
            further: Vec::new(),
            ..HashSpec::default()
        },
        workers: workers.map(|count| NonZeroUsize::new(count).unwrap()),
        backend,
        bytes_per_s: None,
        started: Moment::now(),
        stop: &Stop::default(),
        meter: &Meter::default(),
    };
    let mut manifest = ManifestWriter::new(io::sink(), &header()).unwrap();
    let embedded = EmbeddedManifest::default();
    let outcome = run(acquisition, writer, disk, &mut manifest, &embedded, &mut ());
    assert!(matches!(outcome.end, End::Whole), "{:?}", outcome.end);
    outcome
}

/// A writer for a raw or an AVML image.
fn writer(plan: &ImagePlan, is_avml: bool) -> Box<dyn ImageWriter> {
    match is_avml {
        true => Box::new(avml::Writer::new(plan)),
        false => Box::new(raw::Writer::new(plan, raw::Layout::Concatenated)),
    }
}

/// All that this processor has, and the one that it would use.
fn backends() -> Vec<Backend> {
    let mut all = Backend::all();
    all.push(Backend::best());
    all
}

#[test]
fn threads_and_backends_do_not_change_a_byte() {
    let plan = plan(4);
    let mut tree = MerkleTree::default();
    let mut memory = Vec::new();
    let chunk = u64::try_from(CHUNK_BYTES).unwrap();
    for planned in plan.ranges() {
        for piece in planned.range.pieces(linpmem_phys::PhysLen::new(chunk)) {
            let mut bytes = vec![0; usize::try_from(piece.len().get()).unwrap()];
            let addresses = (piece.start().get()..).step_by(4096);
            addresses
                .zip(bytes.chunks_mut(4096))
                .for_each(|(address, bytes)| page(address, bytes));
            tree.push(sha256(&bytes));
            memory.extend(bytes);
        }
    }
    let image = |is_avml, how| {
        let (source, mut disk) = (Source::default(), Disk::default());
        let outcome = acquire(&plan, &source, &mut disk, &mut *writer(&plan, is_avml), how);
        assert_eq!(outcome.sha256_tree, tree.root(), "{how:?}");
        disk.image
    };
    for (is_avml, codec) in [
        (false, Codec::None),
        (false, Codec::Lz4),
        (true, Codec::None),
    ] {
        let first = image(is_avml, (codec, Some(1), Backend::alone()));
        for backend in backends() {
            for workers in [None, Some(5)] {
                let how = (codec, workers, backend);
                assert!(first == image(is_avml, how), "{how:?} changed the image");
            }
        }
        if !is_avml && codec == Codec::None {
            assert!(first == memory);
        }
    }
}

#[test]
fn only_as_many_buffers_are_touched_as_are_in_use() {
    let plan = plan(5);
    let written = Arc::new((Mutex::new(0), Condvar::new()));
    let source = Source {
        written: Some(Arc::clone(&written)),
        ..Source::default()
    };
    let mut disk = Disk {
        written: Some(written),
        ..Disk::default()
    };
    let how = (Codec::None, Some(2), Backend::best());
    acquire(&plan, &source, &mut disk, &mut *writer(&plan, false), how);
    let used = source.buffers.into_inner().unwrap().len();
    // One that was read into, the reader's next one, and one that the disk has not returned.
    assert!(used <= 3, "{used}");
}
