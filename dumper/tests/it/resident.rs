// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of the machine that a run takes for itself.

#[cfg(feature = "encrypt")]
use crate::encryption::PUBLIC;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// The most memory that a run may have for itself, so that it takes 32 MiB with the 7 MiB of its
/// file that a released program touches. Chunks may have 19 of them (`pipeline::crew`).
///
/// Of the file of a program for tests, as much as 18 MiB are resident, depending on what the system
/// has cached; so what a run has for itself is measured.
pub const MOST_OWN_KIB: u64 = 25 << 10;

/// Enough to fill all buffers.
const IMAGE_BYTES: usize = 80 << 20;
const CHUNK_BYTES: usize = 1 << 20;

/// Noise, which no compression makes shorter, with every fourth chunk zero.
fn write_noise(path: &Path) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = vec![0; IMAGE_BYTES];
    for word in bytes.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    for chunk in bytes.chunks_exact_mut(CHUNK_BYTES).step_by(4) {
        chunk.fill(0);
    }
    fs::write(path, bytes).unwrap();
}

/// The most memory that a run of `command` had for itself at any of many moments, in KiB.
pub fn most_own_kib(command: &mut Command) -> u64 {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        most = most.max(kib.map_or(0, |kib| kib.parse().unwrap()));
        sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    assert!(
        most > 4 << 10,
        "{command:?}: {most} KiB is too little to be true"
    );
    most
}

/// With as many threads as large machines get.
#[test]
fn no_run_takes_more_than_32_mib() {
    let folder = tempfile::tempdir().unwrap();
    write_noise(&folder.path().join("in.padded"));
    for words in [
        &["a.lime"][..],
        &["a.lime", "--threads", "3"],
        &["a.core", "--threads", "16"],
        &["a.lime.zst", "--compress", "zstd:1"],
        &["a.lime.zst", "--compress", "zstd:1", "--threads", "6"],
        &["a.lime.zst", "--compress", "zstd:7"],
        &["a.lime.lz4", "--threads", "6"],
        &["a.lime.sz", "--threads", "6"],
        &["a.avml", "--format", "avml", "--threads", "5"],
        &["a.aff4", "--threads", "5"],
        &["a.kdump", "--threads", "5"],
        #[cfg(feature = "encrypt")]
        &["a.core", "--threads", "14", "--encrypt-to", PUBLIC],
        #[cfg(feature = "encrypt")]
        &["a.lime.lz4", "--threads", "5", "--encrypt-to", PUBLIC],
    ] {
        let mut convert = Command::new(env!("CARGO_BIN_EXE_linpmem-dump"));
        convert
            .args(["convert", "in.padded", "--progress=none", "--force"])
            .args(words)
            .current_dir(folder.path());
        let own = most_own_kib(&mut convert);
        println!("{words:?}: {own} KiB");
        assert!(own <= MOST_OWN_KIB, "{words:?}: {own} KiB of its own");
    }
}
