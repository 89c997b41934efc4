// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other programs read linpmem's AFF4 images. pyaff4 has a suite of its own, `aff4`.

use crate::aff4_images::{Memory, mixed, open, options};
use linpmem_formats::aff4;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::Command;

/// The output of the program. `None`, with a note on the terminal, if it cannot be run.
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

/// Written directly, since the test harness would capture it: this is not a pass.
fn skipped(why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {why}").unwrap();
}

fn file(memory: &Memory, options: aff4::Options) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".aff4").tempfile().unwrap();
    std::fs::write(file.path(), memory.image(options)).unwrap();
    file
}

#[test]
fn unzip_finds_no_errors() {
    let file = file(&mixed(), options(aff4::Compression::Snappy));
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
    let file = file(&mixed(), options(aff4::Compression::Lz4));
    let mut command = Command::new("python3");
    run(command.args(["-c", script]).arg(file.path()), "python3");
}

#[test]
fn the_crate_aff4_reads_snappy_and_zlib() {
    for compression in [
        aff4::Compression::Snappy,
        aff4::Compression::Zlib,
        aff4::Compression::None,
    ] {
        // It reads unreadable pages as zeros.
        let memory = Memory {
            unreadable: Vec::new(),
            ..mixed()
        };
        // It expects the eleventh segment under a hexadecimal number.
        let options = aff4::Options {
            chunks_in_segment: 2048,
            ..options(compression)
        };
        let file = file(&memory, options);
        let mut reader = ::aff4::Aff4Reader::open(file.path()).unwrap();
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
