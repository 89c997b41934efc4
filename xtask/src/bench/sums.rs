// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chunk sums on one processor, in every way that it has.

use super::cargo_bench::measure;
use super::{Report, Setting};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::process::Command;

/// Each way, compared with OpenSSL as on a processor without SHA instructions.
pub fn run(setting: &Setting, report: &mut Report) -> Result<()> {
    let mut openssl = 0.0_f64;
    let mut best: BTreeMap<String, f64> = BTreeMap::new();
    for _ in 0..setting.rounds {
        openssl = openssl.max(openssl_without_instructions()?);
        for line in measure("linpmem-sha256", "sums")? {
            let entry = best.entry(line.name).or_default();
            *entry = entry.max(line.value);
        }
    }
    for (name, value) in best {
        report.add(&format!("sums/{name}"), value, "MiB/s", Some(openssl));
    }
    Ok(())
}

/// MiB/s of OpenSSL for one message, with SHA instructions hidden from it.
fn openssl_without_instructions() -> Result<f64> {
    let output = Command::new("openssl")
        .args(["speed", "-mr", "-evp", "sha256"])
        .args(["-bytes", "1048576", "-seconds", "1"])
        // Bit 29 of EBX of leaf 7 of CPUID, the second of OpenSSL's two words.
        .env("OPENSSL_ia32cap", ":~0x20000000")
        .output()
        .context("cannot start openssl, with which chunk sums are compared; install it")?;
    ensure!(
        output.status.success(),
        "openssl speed failed ({})",
        output.status
    );
    let text = String::from_utf8(output.stdout)?;
    speed(&text).with_context(|| format!("openssl speed -mr printed no speed:\n{text}"))
}

/// MiB/s of `+F:NUMBER:sha256:BYTES_PER_S`.
fn speed(text: &str) -> Option<f64> {
    const MIB: f64 = 1_048_576.0;
    let line = text.lines().find(|line| line.starts_with("+F:"))?;
    let bytes: f64 = line.rsplit(':').next()?.trim().parse().ok()?;
    Some(bytes / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_the_last_number_of_its_line() {
        let text = "+H:1048576\n+F:25:sha256:524288000.00\n";
        assert_eq!(speed(text), Some(500.0));
        assert_eq!(speed("+H:1048576\n"), None);
    }
}
