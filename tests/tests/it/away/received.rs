// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a receiver gets is the memory that QEMU sees, and the target keeps none of it.

use super::{Away, fact, is_what_qemu_sees, receiving};
use anyhow::{Result, ensure};
use linpmem_testkit::target_machine::companion;
use serde_json::json;
use std::fs;

/// Acquires to a receiver, by `source`.
fn arrives(away: &Away, source: &str) -> Result<()> {
    let acquired = is_what_qemu_sees(source, |name| {
        let receiver = receiving(&away.folder(name)?)?;
        let sender = away.sender(&receiver.to(), &["--source", source]);
        away.acquire(name, sender, || receiver.image())
    })?;
    let output = &acquired.output;
    assert_eq!(fact(output, "/receiver/verified")?, json!(true));
    let receipt = fs::read_to_string(companion(&acquired.image, "receipt.json"))?;
    let sum = fact(output, "/receiver/sha256")?;
    let sum = sum.as_str().unwrap_or_default();
    ensure!(!sum.is_empty() && receipt.contains(sum), "{sum}: {receipt}");
    Ok(())
}

#[test]
fn memory_read_by_the_module_arrives() -> Result<()> {
    let away = Away::with_module()?;
    arrives(&away, "linpmem")?;
    away.target.end()
}

#[test]
fn memory_read_from_kcore_arrives() -> Result<()> {
    let away = Away::without_module()?;
    arrives(&away, "kcore")?;
    away.target.end()
}
