// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory and time for the manifests of very large machines.

use linpmem_capture::hash::{MerkleTree, sha256};
use linpmem_capture::{clock::Moment, this_machine};
use linpmem_manifest::paths::manifest_of;
use linpmem_manifest::{
    ChunkContent, FileRecord, Footer, Header, ImageChunk, ImageRecord, MachineRecord,
    ManifestWriter, RangeRecord, ReadSpan, SourceRecord, State, Tool, Version,
};
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, RegionKind, Unreadables};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

const CHUNK_BYTES: u64 = 1 << 20;

/// The most memory that a run's own data may take. If a manifest were held in memory, the
/// chunks of 256 GiB alone would take more.
const DATA_KIB: u64 = 24 << 10;

/// A raw image of this many GiB that takes no space on the disk, and its manifest, in
/// which every chunk has a line of its own.
fn made_up(folder: &Path, gib: u64) -> PathBuf {
    let image = folder.join("a.raw");
    let bytes = gib << 30;
    File::create(&image).unwrap().set_len(bytes).unwrap();
    let range = PhysRange::from_len(PhysAddr::ZERO, PhysLen::new(bytes)).unwrap();
    let sum = sha256(&vec![0; usize::try_from(CHUNK_BYTES).unwrap()]);
    let file = BufWriter::new(File::create(manifest_of(&image)).unwrap());
    let mut manifest = ManifestWriter::new(file, &header(bytes)).unwrap();
    let record = RangeRecord {
        index: 0,
        start: range.start().into(),
        last: range.last().into(),
        kind: RegionKind::SystemRam.name().to_owned(),
        file_offset: Some(0),
    };
    manifest.begin_range(record).unwrap();
    let mut tree = MerkleTree::default();
    for (number, addresses) in (0..).zip(range.pieces(PhysLen::new(CHUNK_BYTES))) {
        let chunk = ImageChunk {
            addresses,
            content: ChunkContent::Sha256(sum),
            read: ReadSpan::between(number * 400, number * 400 + 350),
            frame: None,
        };
        manifest.chunk(chunk, &Unreadables::new()).unwrap();
        tree.push(sum);
    }
    manifest.end_range(tree.root()).unwrap();
    let footer = Footer {
        unreadable_pages: 0,
        source_sha256: None,
        file: FileRecord {
            length: bytes,
            image_length: bytes,
            sha256: None,
            hashes: Vec::new(),
            sha256_tree: tree.root(),
            sha256_remainder: None,
        },
        hashed: None,
        warnings: Vec::new(),
        error: None,
        ended: Moment::now().stamp(),
        state: State::Complete,
    };
    manifest.finish(&footer).unwrap();
    image
}

fn header(planned_bytes: u64) -> Header {
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
        image: ImageRecord {
            name: "a.raw".to_owned(),
            id: None,
            format: "raw".to_owned(),
            raw_layout: Some("concatenated".to_owned()),
            compression: "none".to_owned(),
            chunk_bytes: CHUNK_BYTES,
            planned_bytes,
        },
        artifacts: None,
        artifacts_file: None,
    }
}

/// `linpmem-dump` with a limit for its heap, stacks and other data of its own.
fn limited(words: &[&str], image: &Path) -> Output {
    Command::new("sh")
        .args(["-c", "ulimit -d $0 && exec \"$@\"", &DATA_KIB.to_string()])
        .arg(env!("CARGO_BIN_EXE_linpmem-dump"))
        .args(words)
        .arg(image)
        .output()
        .unwrap()
}

/// `LINPMEM_TEST_GIB` makes the image larger or smaller: the limit stays.
#[test]
fn no_command_holds_the_chunks_of_a_manifest() {
    let gib = std::env::var("LINPMEM_TEST_GIB").map_or(256, |gib| gib.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let image = made_up(folder.path(), gib);
    let length = std::fs::metadata(manifest_of(&image)).unwrap().len();
    println!("{gib} GiB: the manifest has {length} bytes");
    for words in [
        &["info"][..],
        &["verify", "--progress=none", "--threads", "2"],
    ] {
        let begun = Instant::now();
        let output = limited(words, &image);
        println!("{words:?}: {:.1} s", begun.elapsed().as_secs_f64());
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}{complaint}");
        assert!(said.contains("good") || said.contains("complete"), "{said}");
    }
}
