// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::node;
use linpmem_formats::{MachineFacts, PlannedRange, raw};
use linpmem_phys::{PhysAddr, PhysRange, Region, RegionKind};
use std::io;

/// Ranges of an image whose bytes are the lowest ones of their page's number; the last one ends
/// at the last address that there is.
const RANGES: [(u64, u64); 4] = [
    (0x1000, 0x2fff),
    (0x3000, 0x3fff),
    (0x8000, 0x8fff),
    (u64::MAX - 0xfff, u64::MAX - 1),
];

fn range((first, last): (u64, u64)) -> PhysRange {
    PhysRange::from_inclusive(PhysAddr::new(first), PhysAddr::new(last)).unwrap()
}

struct NoArtifact;

impl ReadArtifact for NoArtifact {
    fn read(&self, name: &str, at: u64, _: usize) -> io::Result<Vec<u8>> {
        match at {
            0 => Ok(name.as_bytes().to_vec()),
            _ => Ok(Vec::new()),
        }
    }
}

/// The tree of the first so many ranges.
fn tree(count: usize, artifacts: &[&str], has_kernel: bool) -> Fixed {
    let kind = RegionKind::SystemRam;
    let planned = RANGES.map(|part| PlannedRange {
        range: range(part),
        kind,
    });
    let planned = &planned[..count];
    let bytes: Vec<u8> = planned
        .iter()
        .flat_map(|part| part.range.start().get()..part.range.end().get())
        .map(|at| (at >> 12) as u8)
        .collect();
    let image = raw::Reader::new(bytes, planned, raw::Layout::Concatenated).unwrap();
    let regions = planned.iter().map(|part| Region {
        range: part.range,
        kind,
    });
    let files = artifacts.iter().map(|name| ArtifactFile {
        name: (*name).to_owned(),
        size: Some(len_bytes(name.as_bytes())),
    });
    let files: (_, Box<dyn ReadArtifact>) = (files.collect(), Box::new(NoArtifact));
    Fixed::new(Contents {
        image: Arc::new(image),
        map: MemoryMap::new(regions).unwrap(),
        core: ImagePlan::new(planned.to_vec(), MachineFacts::default()).ok(),
        texts: vec![Text {
            name: "info.json",
            content: b"{}".to_vec(),
        }],
        artifacts: (!artifacts.is_empty()).then_some(files),
        has_kernel,
    })
    .unwrap()
}

/// The number of the file or folder at this path.
fn find(tree: &Fixed, path: &str) -> Result<u64, Errno> {
    path.split('/')
        .try_fold(node::ROOT, |folder, name| tree.find(folder, name))
}

fn names(tree: &Fixed, folder: u64, skipped: u64, most: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut take = |entry: Entry<'_>| {
        names.push(entry.name.to_owned());
        names.len() < most
    };
    tree.list(folder, skipped, &mut take).unwrap();
    names
}

#[test]
fn a_file_is_found_by_the_names_that_are_listed_and_by_no_other() {
    let tree = tree(3, &["proc/a", "proc/b", "c"], true);
    let root = [
        "memory.raw",
        "memory.elf",
        "ranges",
        "info.json",
        "artifacts",
        "dmesg",
        "kernel-notes.txt",
        "modules",
        "name",
        "pid",
    ];
    assert_eq!(names(&tree, node::ROOT, 0, 99), root);
    // As whoever lists a folder in pieces.
    assert_eq!(names(&tree, node::ROOT, 1, 2), ["memory.elf", "ranges"]);
    assert_eq!(names(&tree, node::ROOT, 99, 2), [""; 0]);
    let ranges = find(&tree, "ranges").unwrap();
    assert_eq!(
        names(&tree, ranges, 0, 99),
        ["0x1000-0x3fff.bin", "0x8000-0x8fff.bin"]
    );
    assert_eq!(names(&tree, ranges, 1, 99), ["0x8000-0x8fff.bin"]);
    assert_eq!(
        tree.find(node::ROOT, "pid"),
        Ok(LiveNode::Processes.number())
    );
    for path in [
        "Memory.raw",
        "artifacts/proc/c",
        "ranges/0x1000-0x2fff.bin",
        "ranges/0x1000-0x3fff",
        "ranges/0x01000-0x3fff.bin",
        "ranges/0x9000-0x9fff.bin",
        "ranges/-",
    ] {
        assert_eq!(find(&tree, path), Err(Errno::ENOENT), "{path}");
    }
    assert_eq!(find(&tree, "info.json/x"), Err(Errno::ENOTDIR));
    let file = find(&tree, "artifacts/proc/b").unwrap();
    let mut buf = [0; 9];
    assert_eq!(
        (tree.read(file, 1, &mut buf), &buf[..5]),
        (Ok(5), &b"roc/b"[..])
    );
    assert_eq!(tree.read(ranges, 0, &mut buf), Err(Errno::EISDIR));
    assert_eq!(tree.attributes(0), Err(Errno::ENOENT));
    assert_eq!(
        tree.attributes(Node::Fixed(99).number()),
        Err(Errno::ENOENT)
    );
    assert_eq!(
        tree.attributes(Node::Range(99).number()),
        Err(Errno::ENOENT)
    );
}

#[test]
fn memory_has_holes_where_there_is_none() {
    let tree = tree(3, &[], false);
    let raw = find(&tree, "memory.raw").unwrap();
    let attributes = tree.attributes(raw).unwrap();
    assert_eq!((attributes.size, attributes.stored), (0x9000, 0x4000));
    let mut bytes = vec![0xee; 0xa000];
    assert_eq!(tree.read(raw, 0, &mut bytes), Ok(0x9000));
    let pages: Vec<u8> = bytes.chunks(0x1000).map(|page| page[5]).collect();
    assert_eq!(pages, [0, 1, 2, 3, 0, 0, 0, 0, 8, 0xee]);
    assert_eq!(tree.read(raw, 0x2ffe, &mut bytes[..4]), Ok(4));
    assert_eq!(bytes[..4], [2, 2, 3, 3]);
    assert_eq!(tree.read(raw, 0x9000, &mut bytes), Ok(0));
    assert_eq!(tree.read(raw, u64::MAX, &mut bytes), Ok(0));
    for (at, data, hole) in [
        (0, Ok(0x1000), Ok(0)),
        (0x1000, Ok(0x1000), Ok(0x4000)),
        (0x3fff, Ok(0x3fff), Ok(0x4000)),
        (0x4000, Ok(0x8000), Ok(0x4000)),
        (0x8fff, Ok(0x8fff), Ok(0x9000)),
        (0x9000, Err(Errno::ENXIO), Err(Errno::ENXIO)),
    ] {
        assert_eq!(tree.seek(raw, at, Seek::Data), data, "{at:#x}");
        assert_eq!(tree.seek(raw, at, Seek::Hole), hole, "{at:#x}");
    }
    let text = find(&tree, "info.json").unwrap();
    assert_eq!(tree.seek(text, 1, Seek::Hole), Ok(2));
}

#[test]
fn memory_at_the_last_address_is_in_the_file_of_its_range() {
    let tree = tree(4, &[], false);
    let raw = find(&tree, "memory.raw").unwrap();
    // No file is larger.
    assert_eq!(tree.attributes(raw).unwrap().size, i64::MAX.unsigned_abs());
    assert_eq!(tree.seek(raw, 0x9000, Seek::Data), Err(Errno::ENXIO));
    assert_eq!(tree.seek(raw, 0x9000, Seek::Hole), Ok(0x9000));
    let name = format!("ranges/{}.bin", range(RANGES[3]));
    let last = find(&tree, &name).unwrap();
    let attributes = tree.attributes(last).unwrap();
    assert_eq!((attributes.size, attributes.stored), (0xfff, 0xfff));
    let mut bytes = [0; 4];
    assert_eq!(tree.read(last, 0xffc, &mut bytes), Ok(3));
    assert_eq!(bytes, [0xff, 0xff, 0xff, 0]);
    assert_eq!(tree.seek(last, 0, Seek::Hole), Ok(0xfff));
}

#[test]
fn a_core_is_read_across_its_headers_and_ranges() {
    let tree = tree(3, &[], false);
    let core = find(&tree, "memory.elf").unwrap();
    let size = tree.attributes(core).unwrap().size;
    let mut whole = vec![0; size as usize];
    assert_eq!(tree.read(core, 0, &mut whole), Ok(whole.len()));
    assert!(whole.starts_with(b"\x7fELF"));
    // In pieces of any length it is the same.
    let mut pieces: Vec<u8> = Vec::new();
    let mut buf = [0; 1234];
    while let Ok(len @ 1..) = tree.read(core, pieces.len() as u64, &mut buf) {
        pieces.extend(&buf[..len]);
    }
    assert!(pieces == whole);
    let memory: Vec<u8> = whole[whole.len() - 0x4000..]
        .iter()
        .step_by(0x1000)
        .copied()
        .collect();
    assert_eq!(memory, [1, 2, 3, 8]);
}

#[test]
fn an_artifact_has_no_more_folders_than_any() {
    let deep = format!("a/{}x", "d/".repeat(2000));
    let tree = tree(1, &[&deep, "a/b"], false);
    assert!(tree.nodes.len() < 50, "{}", tree.nodes.len());
    let folder = format!("artifacts/a/{}", vec!["d"; MAX_DEPTH - 1].join("/"));
    let folder = find(&tree, &folder).unwrap();
    let [name] = &names(&tree, folder, 0, 9)[..] else {
        panic!("{:?}", names(&tree, folder, 0, 9));
    };
    assert!(name.starts_with("d\u{fffd}d\u{fffd}d"), "{name}");
    assert!(find(&tree, "artifacts/a/b").is_ok());
}
