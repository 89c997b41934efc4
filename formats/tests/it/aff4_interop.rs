// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our AFF4 images in other programs.

use crate::aff4_images::{Memory, mixed, open, options};
use crate::memory::{plan, ram, range};
use linpmem_formats::{Aff4Compression, Aff4Options, HashAlgorithm};
use sha2::{Digest, Sha256};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

/// What the program prints; `None`, said aloud, if it cannot be run.
fn run(command: &mut Command, what: &str) -> Option<String> {
    match command.env("LC_ALL", "C.UTF-8").output() {
        Ok(output) => {
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{what}: {complaint}{printed}");
            Some(printed)
        }
        Err(error) => {
            skipped(&format!("{what} cannot be run: {error}"));
            None
        }
    }
}

/// Past the capture of the test's own output: nobody is to take this for a pass.
fn skipped(why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {why}").unwrap();
}

fn file(memory: &Memory, options: Aff4Options) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".aff4").tempfile().unwrap();
    std::fs::write(file.path(), memory.image(options)).unwrap();
    file
}

fn linear_sha256(memory: &Memory, options: Aff4Options) -> String {
    let image = open(memory.image(options));
    let linear = image.linear();
    let mut all = vec![0; usize::try_from(linear.len()).unwrap()];
    linear.read_exact_at(0, &mut all).unwrap();
    let digest = Sha256::digest(&all);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn unzip_finds_nothing_wrong() {
    let file = file(&mixed(), options(Aff4Compression::Snappy));
    let mut command = Command::new("unzip");
    if let Some(printed) = run(command.arg("-t").arg(file.path()), "unzip") {
        assert!(printed.contains("No errors detected"), "{printed}");
    }
}

#[test]
fn pythons_zipfile_reads_every_member() {
    let script = "import sys, zipfile\n\
                  z = zipfile.ZipFile(sys.argv[1])\n\
                  assert z.testzip() is None\n\
                  assert z.namelist()[:2] == ['container.description', 'version.txt']\n\
                  assert z.read('container.description') == z.comment\n\
                  assert all(i.compress_type == 0 for i in z.infolist())\n";
    let file = file(&mixed(), options(Aff4Compression::Lz4));
    let mut command = Command::new("python3");
    run(command.args(["-c", script]).arg(file.path()), "python3");
}

#[test]
fn the_crate_aff4_reads_snappy_and_zlib() {
    for compression in [
        Aff4Compression::Snappy,
        Aff4Compression::Zlib,
        Aff4Compression::None,
    ] {
        // It has only zeros for what could not be read.
        let memory = Memory {
            unreadable: Vec::new(),
            ..mixed()
        };
        // It looks for the eleventh segment under a hexadecimal number.
        let options = Aff4Options {
            chunks_in_segment: 2048,
            ..options(compression)
        };
        let file = file(&memory, options);
        let mut reader = aff4::Aff4Reader::open(file.path()).unwrap();
        let mut found = Vec::new();
        reader.seek(SeekFrom::Start(0)).unwrap();
        reader.read_to_end(&mut found).unwrap();
        let image = open(std::fs::read(file.path()).unwrap());
        let linear = image.linear();
        let mut expected = vec![0; usize::try_from(linear.len()).unwrap()];
        linear.read_exact_at(0, &mut expected).unwrap();
        assert!(found == expected, "{compression}");
    }
}

/// Opens an image with pyaff4, prints its ranges, the SHA-256 of the map, and
/// what its validator of block hashes finds.
const PYAFF4: &str = r#"
import hashlib, sys
from pyaff4 import block_hasher, container, rdfvalue
urn = rdfvalue.URN.FromFileName(sys.argv[1])
# Its own way of closing fails while something is in use, so nothing is closed.
stream = container.Container.openURNtoContainer(urn).image.dataStream
for run in stream.GetRanges():
    print("range", run.map_offset, run.length)
digest = hashlib.sha256()
stream.SeekRead(0, 0)
left = int(sys.argv[2])
while left:
    piece = stream.Read(min(left, 1 << 20))
    assert piece
    digest.update(piece)
    left -= len(piece)
print("sha256", digest.hexdigest())

class Listener(block_hasher.ValidationListener):
    def onValidBlockHash(self, a): pass
    def onInvalidBlockHash(self, a, b, where, offset): print("INVALID block", a, b, where, offset)
    def onValidHash(self, kind, digest, urn): print("valid", kind)
    def onInvalidHash(self, kind, a, b, urn): print("INVALID", kind, a, b, urn)
block_hasher.Validator(Listener()).validateContainer(urn)
"#;

/// A python3 that has pyaff4, from LINPMEM_PYAFF4.
#[test]
fn pyaff4_agrees() {
    let Some(python) = std::env::var_os("LINPMEM_PYAFF4") else {
        return skipped("LINPMEM_PYAFF4 names no python3 that has pyaff4");
    };
    // Its validator counts chunks over all segments, so there is to be only one.
    let whole = |compression| Aff4Options {
        chunks_in_segment: 2048,
        linear_hashes: vec![HashAlgorithm::Sha256, HashAlgorithm::Md5],
        block_hashes: vec![HashAlgorithm::Sha256, HashAlgorithm::Sha1],
        ..options(compression)
    };
    for compression in [
        Aff4Compression::Snappy,
        Aff4Compression::Lz4,
        Aff4Compression::Zlib,
        Aff4Compression::None,
    ] {
        let memory = Memory {
            plan: plan(vec![ram(0x1000, 0x9_f000), ram(0x10_0000, 0x24_3000)]),
            unreadable: vec![range(0x2_0000, 0x3_1000)],
        };
        let file = file(&memory, whole(compression));
        let mut command = Command::new(&python);
        let arguments = [PYAFF4.to_owned(), path(file.path()), 0x24_3000.to_string()];
        let Some(printed) = run(command.arg("-c").args(arguments), "pyaff4") else {
            return;
        };
        assert!(!printed.contains("INVALID"), "{compression}: {printed}");
        let sum = linear_sha256(&memory, whole(compression));
        assert!(printed.contains(&format!("sha256 {sum}")), "{printed}");
        let valid = printed.lines().filter(|line| line.starts_with("valid "));
        assert!(valid.count() >= 5, "{compression}: {printed}");
        let mapped: u64 = printed
            .lines()
            .filter_map(|line| {
                line.strip_prefix("range ")?
                    .split(' ')
                    .nth(1)?
                    .parse::<u64>()
                    .ok()
            })
            .sum();
        assert_eq!(mapped, 0x24_3000, "{printed}");
    }
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
