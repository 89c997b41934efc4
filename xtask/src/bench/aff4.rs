// SPDX-License-Identifier: MIT OR Apache-2.0
//! AFF4 images written and read, compared with raw ones and with the codec alone: the
//! benchmark of linpmem-formats, built as releases are.

use super::{Report, Setting};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::checkout;
use serde::Deserialize;
use std::process::Stdio;

/// A line of the benchmark's output.
#[derive(Deserialize)]
struct Line {
    name: String,
    value: f64,
    baseline: Option<f64>,
}

/// Runs the benchmark, for each codec and number of threads.
pub fn run(_: &Setting, report: &mut Report) -> Result<()> {
    let output = checkout::cargo()
        .args([
            "bench",
            "--quiet",
            "--locked",
            "--package",
            "linpmem-formats",
        ])
        .args(["--bench", "aff4"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo bench")?;
    ensure!(
        output.status.success(),
        "cargo bench failed ({})",
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
