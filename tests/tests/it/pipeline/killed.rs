// SPDX-License-Identifier: MIT OR Apache-2.0
//! kill -9 at any moment: what is left is whole, or says that it is not.

use std::path::Path;
use std::time::Instant;
use std::{fs, thread};

use anyhow::{Context, Result, ensure};

use super::{ask, at, beside, dumper, json, memory, words};

/// Runs that are killed, of each format.
const ROUNDS: u32 = 8;

#[test]
fn what_a_killed_run_leaves_is_whole_or_says_that_it_is_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    for ending in ["core", "lime.zst", "aff4"] {
        let begun = Instant::now();
        let whole = folder.path().join(format!("whole.{ending}"));
        let output = run(&memory, &whole)?.wait_with_output()?;
        ensure!(output.status.success(), "{}", words(&output));
        let length = begun.elapsed();
        let mut cut = 0;
        for round in 0..ROUNDS {
            let image = folder.path().join(format!("{round}.{ending}"));
            let mut child = run(&memory, &image)?;
            // Over the whole run, its beginning and its end included.
            thread::sleep(length * round / (ROUNDS - 2));
            child.kill()?;
            child.wait()?;
            if image.exists() {
                let (code, said) = ask("verify", &image)?;
                ensure!(code == Some(0), "{ending} {round}: {said}");
                continue;
            }
            let partial = beside(&image, ".partial");
            if !partial.exists() {
                continue;
            }
            // Killed between the last byte and the name: all of it is there, and its
            // manifest has its name already.
            let manifest = beside(&image, ".manifest.jsonl");
            if manifest.exists() {
                ensure!(at(&json(&manifest)?, "/state") == "complete");
                let (code, said) = ask("verify", &partial)?;
                ensure!(code == Some(0), "{ending} {round}: {said}");
                continue;
            }
            cut += 1;
            is_described(&partial).with_context(|| format!("{ending} {round}"))?;
            if ending == "aff4" {
                is_recovered(&partial, &memory).with_context(|| format!("round {round}"))?;
            }
        }
        ensure!(cut > 0, "{ending}: no run was killed while it wrote");
    }
    Ok(())
}

fn run(memory: &Path, image: &Path) -> Result<std::process::Child> {
    Ok(dumper()?
        .args(["--source", &format!("file:{}", memory.display())])
        .arg(image)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?)
}

/// `verify` calls it what it is.
fn is_described(partial: &Path) -> Result<()> {
    let (code, said) = ask("verify", partial)?;
    ensure!(code == Some(1), "{said}");
    ensure!(!said.contains("good"), "{said}");
    let words = ["manifest", "not completed", "never finished"];
    ensure!(words.iter().any(|word| said.contains(word)), "{said}");
    Ok(())
}

/// What is recovered is what was read, or marked as unknown.
fn is_recovered(partial: &Path, memory: &Path) -> Result<()> {
    let recovered = partial.with_extension("recovered.aff4");
    let output = dumper()?
        .arg("recover")
        .args([partial, &recovered])
        .output()?;
    let said = words(&output);
    ensure!(!said.contains("panicked"), "{said}");
    if !output.status.success() {
        // Killed before anything was complete.
        let length = fs::metadata(partial)?.len();
        ensure!(length < 8 << 20, "{length} bytes are lost: {said}");
        return Ok(());
    }
    let output = dumper()?
        .arg("compare")
        .args([&recovered, memory])
        .arg("--json")
        .output()?;
    let told = String::from_utf8(output.stdout)?;
    ensure!(told.contains("\"event\":\"summary\""), "{told}");
    let wrong = told
        .lines()
        .filter(|line| line.contains("\"finding\":\"different\""))
        .count();
    ensure!(wrong == 0, "{wrong} stretches are wrong: {told}");
    let manifest = beside(&recovered, ".manifest.jsonl");
    ensure!(!manifest.exists() || json(&manifest).is_ok());
    Ok(())
}
