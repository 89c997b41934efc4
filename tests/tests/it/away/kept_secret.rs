// SPDX-License-Identifier: MIT OR Apache-2.0
//! Neither other users of the target nor the files that an acquisition leaves have a secret.

use super::stored::Store;
use super::{Away, receiving};
use crate::wait;
use anyhow::{Result, ensure};
use linpmem_testkit::stores::S3_KEYS;
use linpmem_testkit::target_machine::companion;
use linpmem_testkit::vm::from_guest;
use std::fs;

/// The command lines of all processes.
fn command_lines(away: &Away) -> Result<String> {
    let words = "busybox cat /proc/[0-9]*/cmdline | busybox tr '\\0' ' '";
    let found = away.target.vm.run(&["busybox", "sh", "-c", words])?.ok()?;
    let lines = String::from_utf8_lossy(&found.stdout).into_owned();
    ensure!(lines.contains("linpmem-dump --json"), "{lines}");
    Ok(lines)
}

#[test]
fn no_secret_is_seen_or_left() -> Result<()> {
    let away = Away::without_module()?;
    for by_file in [false, true] {
        let folder = away.folder(&format!("received-{by_file}"))?;
        let receiver = receiving(&folder)?;
        let to = receiver.to();
        let sender = if by_file {
            away.target.vm.put("/tmp/address", 0o600, to.as_bytes())?;
            away.sender("", &["--to", "@/tmp/address", "--rate", "40"])
        } else {
            away.sender(&to, &["--rate", "40"])
        };
        let run = sender.start()?;
        wait::until("the image arrives", || {
            Ok((receiver.arrived()? > 0).then_some(()))
        })?;
        let seen = command_lines(&away)?;
        let run = run.wait()?.ok()?;
        let image = receiver.image()?;
        let mut left = vec![
            seen,
            run.text(),
            receiver.log()?,
            away.target.vm.kernel_log()?,
        ];
        for ending in ["manifest.jsonl", "sha256", "receipt.json"] {
            left.push(fs::read_to_string(companion(&image, ending))?);
        }
        has_not(&left, receiver.token()?)?;
    }

    let folder = away.folder("stored")?;
    let store = Store::azure(&folder, "2090-01-01T00:00:00Z")?;
    let place = from_guest(store.server().address());
    let run = store
        .sender(
            &away,
            &place,
            "x.core",
            &["--rate", "40", "--format", "elf"],
        )
        .start()?;
    let seen = command_lines(&away)?;
    let run = run.wait()?.ok()?;
    let kept = away.folder("stored-kept")?;
    let image = store.fetch("x.core", &kept)?;
    let manifest = fs::read_to_string(companion(&image, "manifest.jsonl"))?;
    let left = [seen, run.text(), manifest];
    has_not(&left, "sig=")?;
    has_not(&left, S3_KEYS[1])?;
    away.target.end()
}

/// Requires that `secret` is in none of `texts`.
fn has_not(texts: &[String], secret: &str) -> Result<()> {
    for text in texts {
        ensure!(!text.contains(secret), "the secret is in: {text}");
    }
    Ok(())
}
