// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4 images, written and read, beside raw ones and beside the codec alone: the
//! dumper's own benchmark, built as releases are.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Report, Setting};
use crate::checkout;

/// A line of the benchmark's.
#[derive(Deserialize)]
struct Line {
    name: String,
    value: f64,
    baseline: Option<f64>,
}

/// By codec and by threads.
pub fn run(_: &Setting, report: &mut Report) -> Result<()> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo
        .current_dir(checkout::dir())
        .args([
            "bench",
            "--quiet",
            "--locked",
            "--package",
            "linpmem-capture",
        ])
        .args(["--bench", "aff4"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo bench")?;
    ensure!(
        output.status.success(),
        "cargo bench ended with {}",
        output.status
    );
    for line in String::from_utf8(output.stdout)?.lines() {
        let line: Line = serde_json::from_str(line).with_context(|| format!("in {line}"))?;
        report.add(
            &format!("aff4/{}", line.name),
            line.value,
            "MiB/s",
            line.baseline,
        );
    }
    Ok(())
}
