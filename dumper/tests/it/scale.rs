// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of a large machine, most of it never used: what a run takes that converts it, or sends it
//! to a store. `cargo xtask bench scale` converts more.

use crate::resident::{MOST_OWN_KIB, most_own_kib};
#[cfg(feature = "stores")]
use crate::stores::Place;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

const GIB: u64 = 1 << 30;
const RANGES: u64 = 1000;
/// What an object store may take besides: four parts of 8 MiB, or two of 16. That is 64 MiB in all.
#[cfg(feature = "stores")]
const MOST_FOR_A_STORE_KIB: u64 = 32 << 10;
/// Noise at the beginning of memory, more than a segment of 64 MiB.
const NOISE_MIB: u64 = 96;

/// What an acquisition from such an image has in common with another one.
const SPARSE: [&str; 4] = [
    "--input-layout=padded",
    "--progress=none",
    "--no-artifacts",
    "--no-file-hash",
];

/// A padded image of `gib` GiB in [`RANGES`] ranges, and the list of these. Almost all of it is
/// a hole.
fn sparse(folder: &Path, gib: u64) {
    let each = gib * GIB / RANGES / 4096 * 4096;
    let mut list = String::new();
    let mut image = File::create(folder.join("memory.padded")).unwrap();
    let mut start = 1 << 20;
    for _ in 0..RANGES {
        list.push_str(&format!("{start:x}-{:x} : System RAM\n", start + each - 1));
        image.seek(SeekFrom::Start(start)).unwrap();
        image.write_all(&[7; 4096]).unwrap();
        start += each + (1 << 20);
    }
    image.set_len(start - (1 << 20)).unwrap();
    image.seek(SeekFrom::Start(1 << 20)).unwrap();
    let mut state = 1_u64;
    for _ in 0..NOISE_MIB {
        let words = (0..1 << 17).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state
        });
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        image.write_all(&bytes).unwrap();
    }
    fs::write(folder.join("ranges"), list).unwrap();
}

/// Reading all zeros of 64 GiB takes a debug build half a minute, and holding a segment of an
/// AFF4 image takes 64 MiB.
#[test]
fn sparse_memory_of_64_gib_takes_seconds_and_32_mib() {
    let folder = tempfile::tempdir().unwrap();
    sparse(folder.path(), 64);
    let mut run = Command::new(env!("CARGO_BIN_EXE_linpmem-dump"));
    run.args(SPARSE)
        .args(["--source=file:memory.padded", "--input-ranges=ranges"])
        .args(["--min-free=0", "--threads=2", "out.aff4"])
        .current_dir(folder.path());
    let peak = most_own_kib(&mut run);
    assert!(peak <= MOST_OWN_KIB, "{peak} KiB");
    let written = fs::metadata(folder.path().join("out.aff4")).unwrap().len();
    let least = NOISE_MIB << 20;
    assert!((least..least + (8 << 20)).contains(&written), "{written}");
    let manifest = folder.path().join("out.aff4.manifest.jsonl");
    let manifest = fs::metadata(manifest).unwrap().len();
    assert!(manifest < 2 << 20, "{manifest}");
}

/// Up to 70 GiB a store gets parts of 8 MiB, and beyond that of 16.
#[cfg(feature = "stores")]
#[test]
fn a_store_takes_64_mib_whatever_the_size_of_its_parts() {
    let (place, _s3) = Place::with_s3();
    for gib in [4, 72] {
        sparse(&place.path("target"), gib);
        let to = format!("s3://bucket/{gib}.aff4");
        let words = ["--source=file:memory.padded", "--input-ranges=ranges"];
        let store = ["--format=aff4", "--threads=2", "--to", &to];
        let mut run = place.command(&[&SPARSE[..], &words, &store].concat());
        let own = most_own_kib(&mut run);
        println!("{gib} GiB: {own} KiB");
        assert!(
            own <= MOST_OWN_KIB + MOST_FOR_A_STORE_KIB,
            "{gib} GiB: {own} KiB"
        );
        let verified = place.verify(&to, &[]);
        assert!(verified.status.success(), "{verified:?}");
    }
}
