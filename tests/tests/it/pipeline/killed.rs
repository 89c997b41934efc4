// SPDX-License-Identifier: MIT OR Apache-2.0
//! kill -9 at any moment: what is left is complete, or says that it is not.

use super::{at, json, memory};
use crate::host_dumper;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::target_machine::companion;
use std::path::Path;
use std::time::Instant;
use std::{fs, thread};

/// How many runs are killed, for each format.
const ROUNDS: u32 = 8;

#[test]
fn a_killed_run_leaves_an_image_that_is_complete_or_says_it_is_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    for ending in ["core", "lime.zst", "aff4"] {
        let begun = Instant::now();
        let whole = folder.path().join(format!("whole.{ending}"));
        let output = run(&memory, &whole)?.wait_with_output()?;
        ensure!(output.status.success(), "{}", host_dumper::printed(&output));
        let length = begun.elapsed();
        let mut cut = 0;
        for round in 0..ROUNDS {
            let image = folder.path().join(format!("{round}.{ending}"));
            let mut child = run(&memory, &image)?;
            // Spread over the whole run, from before its start to after its end.
            thread::sleep(length * round / (ROUNDS - 2));
            child.kill()?;
            child.wait()?;
            if image.exists() {
                let (code, said) = host_dumper::run("verify", &image)?;
                ensure!(code == Some(0), "{ending} {round}: {said}");
                continue;
            }
            let partial = companion(&image, "partial");
            if !partial.exists() {
                continue;
            }
            // Killed between the end of the manifest and renaming the image: the image is
            // complete, whichever name its manifest has by then.
            let named = companion(&image, "manifest.jsonl");
            let working = companion(&partial, "manifest.jsonl");
            let is_complete = |manifest: &Path| {
                json(manifest).is_ok_and(|manifest| at(&manifest, "/state") == "complete")
            };
            ensure!(!named.exists() || is_complete(&named), "{ending} {round}");
            if named.exists() || is_complete(&working) {
                let (code, said) = host_dumper::run("verify", &partial)?;
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
    Ok(host_dumper::command()?
        .args(["--source", &format!("file:{}", memory.display())])
        .arg(image)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?)
}

/// `verify` says that it is not complete.
fn is_described(partial: &Path) -> Result<()> {
    let (code, said) = host_dumper::run("verify", partial)?;
    ensure!(code == Some(1), "{said}");
    ensure!(!said.contains("good"), "{said}");
    let reasons = ["manifest", "not completed", "did not finish"];
    ensure!(reasons.iter().any(|reason| said.contains(reason)), "{said}");
    Ok(())
}

/// Everything recovered is what was read, or marked as unknown. The new volume has no
/// manifest next to it: the one of the killed run was never finished.
fn is_recovered(partial: &Path, memory: &Path) -> Result<()> {
    let recovered = partial.with_extension("recovered.aff4");
    let output = host_dumper::command()?
        .arg("recover")
        .args([partial, &recovered])
        .output()?;
    let said = host_dumper::printed(&output);
    ensure!(!said.contains("panicked"), "{said}");
    if !output.status.success() {
        // Killed before anything was complete.
        let length = fs::metadata(partial)?.len();
        ensure!(length < 8 << 20, "{length} bytes are lost: {said}");
        return Ok(());
    }
    let output = host_dumper::command()?
        .arg("compare")
        .args([&recovered, memory])
        .arg("--json")
        .output()?;
    let compared = String::from_utf8(output.stdout)?;
    ensure!(compared.contains("\"event\":\"summary\""), "{compared}");
    let wrong = compared
        .lines()
        .filter(|line| line.contains("\"finding\":\"different\""))
        .count();
    ensure!(wrong == 0, "{wrong} ranges differ: {compared}");
    let manifest = companion(&recovered, "manifest.jsonl");
    ensure!(!manifest.exists(), "{} exists", manifest.display());
    let (code, printed) = host_dumper::run("verify", &recovered)?;
    ensure!(code == Some(0), "{printed}");
    Ok(())
}
