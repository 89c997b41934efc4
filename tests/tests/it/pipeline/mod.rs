// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real faults and what the dumper leaves behind; its effects on the machine.

mod added;
mod faults;
mod impact;
mod killed;

use anyhow::Result;
use linpmem_testkit::Random;
use linpmem_testkit::ground_truth::Manifest;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of the memory that the runs on the host read.
const MEMORY_BYTES: u64 = 48 << 20;
/// Bytes of them that are zero.
const ZERO_BYTES: u64 = 400 << 12;

/// A padded image in `folder`: almost incompressible, except for a part that is zero.
fn memory(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("memory.padded");
    let mut bytes = vec![0_u8; usize::try_from(MEMORY_BYTES)?];
    let mut random = Random::new(1);
    for (number, page) in bytes.chunks_mut(4096).enumerate() {
        if !(1000..1400).contains(&number) {
            random.fill(page);
        }
    }
    fs::write(&path, bytes)?;
    Ok(path)
}

/// The manifest at `path`.
fn json(path: &Path) -> Result<Value> {
    Ok(Manifest::open(path)?.json)
}

/// The part of `value` at a JSON pointer, or null.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}
