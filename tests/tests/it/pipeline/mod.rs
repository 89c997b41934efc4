// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults made for real, and what the dumper leaves behind; what it does to the
//! machine that it runs on.

mod care;
mod faults;
mod killed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Result;
use serde_json::Value;
use xtask::artifacts::Artifacts;
use xtask::ground_truth::Manifest;

/// Bytes of the memory that the runs on the host read.
const MEMORY_BYTES: u64 = 48 << 20;
/// Bytes of them that are zero.
const ZERO_BYTES: u64 = 400 << 12;

/// A padded image in `folder`: hardly compressible, with a zero part.
fn memory(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("memory.padded");
    let mut bytes = vec![0_u8; usize::try_from(MEMORY_BYTES)?];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for (number, page) in bytes.chunks_mut(4096).enumerate() {
        if (1000..1400).contains(&number) {
            continue;
        }
        for word in page.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
    }
    fs::write(&path, bytes)?;
    Ok(path)
}

/// The dumper that was built for guests, to be run on the host.
fn dumper() -> Result<Command> {
    let mut command = Command::new(Artifacts::dumper()?);
    command.stdin(Stdio::null());
    Ok(command)
}

/// All that a run said.
fn words(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// Exit code and words of a subcommand on `image`.
fn ask(subcommand: &str, image: &Path) -> Result<(Option<i32>, String)> {
    let output = dumper()?.arg(subcommand).arg(image).output()?;
    Ok((output.status.code(), words(&output)))
}

/// The manifest at `path`.
fn json(path: &Path) -> Result<Value> {
    Ok(Manifest::open(path)?.json)
}

/// What `value` has at a JSON pointer; null if nothing.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// `NAME` with `ending` appended.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
