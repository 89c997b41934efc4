// SPDX-License-Identifier: MIT OR Apache-2.0
//! kill -9 at any moment, in every format: what is left is complete, or says that it is
//! not, and is recovered.
//!
//! `LINPMEM_KILLS=1000` kills a thousand runs instead of a hundred.

use super::{at, json};
use crate::host_dumper;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::Random;
use linpmem_testkit::target_machine::companion;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, thread};

/// How many runs are killed, unless LINPMEM_KILLS says otherwise.
const KILLS: usize = 100;

const ENDINGS: [&str; 10] = [
    "core", "raw", "padded", "lime", "kdump", "avml", "aff4", "core.zst", "lime.lz4", "raw.sz",
];

/// Bytes of the memory that the runs read: more than a segment of AFF4.
const MEMORY_BYTES: usize = 20 << 20;

/// How far a run may get before a kill finds nothing to recover: headers, or what AFF4
/// collects before it writes.
const SMALL: u64 = 9 << 20;

#[test]
fn a_killed_run_leaves_an_image_that_is_complete_or_says_it_is_not() -> Result<()> {
    let kills = match std::env::var("LINPMEM_KILLS") {
        Ok(text) => text.parse().context("LINPMEM_KILLS is not a number")?,
        Err(_) => KILLS,
    };
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    let mut random = Random::new(u64::from(std::process::id()));
    let mut lengths = Vec::new();
    for ending in ENDINGS {
        let begun = Instant::now();
        let whole = folder.path().join(format!("whole.{ending}"));
        let output = run(&memory, &whole)?.wait_with_output()?;
        ensure!(output.status.success(), "{}", host_dumper::printed(&output));
        lengths.push(begun.elapsed());
        fs::remove_file(whole)?;
    }
    let mut found = Found::default();
    for kill in 0..kills {
        let index = kill % ENDINGS.len();
        let (ending, length) = (ENDINGS[index], lengths[index]);
        let run_folder = folder.path().join(kill.to_string());
        fs::create_dir(&run_folder)?;
        let image = run_folder.join(format!("k.{ending}"));
        let mut child = run(&memory, &image)?;
        // From before the first instruction to after the last.
        let moment = length.mul_f64(1.1 * fraction(&mut random));
        thread::sleep(moment);
        child.kill()?;
        child.wait()?;
        let was_early = check(&image, &memory, &mut found)
            .with_context(|| format!("{ending}, killed after {moment:?} of {length:?}"))?;
        // The machine may have become slower or faster: the kills stay spread over all of
        // a run.
        lengths[index] = length.mul_f64(if was_early { 1.1 } else { 0.95 });
        fs::remove_dir_all(run_folder)?;
    }
    println!("{kills} runs killed: {found:?}");
    ensure!(
        found.rewritten > 0 && found.complete + found.named > 0,
        "the kills missed a part of the runs: {found:?}"
    );
    Ok(())
}

/// How many runs left what.
#[derive(Debug, Default)]
struct Found {
    /// No image at all.
    nothing: usize,
    /// An image with its name.
    complete: usize,
    /// A whole image without it.
    named: usize,
    /// An image of which a part was recovered.
    rewritten: usize,
    /// An image of which there was nothing to recover.
    too_little: usize,
}

/// A number from 0 to 1.
fn fraction(random: &mut Random) -> f64 {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

/// A padded image: almost incompressible, except for a part that is zero.
fn memory(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("memory.padded");
    let mut bytes = vec![0_u8; MEMORY_BYTES];
    let mut random = Random::new(1);
    for (number, page) in bytes.chunks_mut(4096).enumerate() {
        if !(1000..1400).contains(&number) && number % 7 != 0 {
            random.fill(page);
        }
    }
    fs::write(&path, bytes)?;
    Ok(path)
}

fn run(memory: &Path, image: &Path) -> Result<std::process::Child> {
    Ok(host_dumper::command()?
        .args(["--source", &format!("file:{}", memory.display())])
        .arg(image)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?)
}

/// Checks what is left. Returns whether it was killed before it wrote memory.
fn check(image: &Path, memory: &Path, found: &mut Found) -> Result<bool> {
    if image.exists() {
        found.complete += 1;
        is_good(image)?;
        return Ok(false);
    }
    let partial = companion(image, "partial");
    if !partial.exists() {
        found.nothing += 1;
        return Ok(true);
    }
    let (code, info) = host_dumper::run("info", &partial)?;
    ensure!(matches!(code, Some(0 | 1 | 3)), "info: {code:?} {info}");
    ensure!(!info.contains("panicked"), "{info}");
    ensure!(!info.contains("hardware"), "{info}");

    // Killed between the end of the manifest and renaming the image: the image is
    // complete, whichever name its manifest has by then.
    let manifests = [
        companion(image, "manifest.jsonl"),
        companion(&partial, "manifest.jsonl"),
    ];
    let is_complete =
        |path: &PathBuf| json(path).is_ok_and(|manifest| at(&manifest, "/state") == "complete");
    let is_whole = manifests.iter().any(is_complete);
    let (code, said) = host_dumper::run("verify", &partial)?;
    // A volume with its directory has its manifest inside, whatever became of the one beside it.
    let is_volume = image.extension().is_some_and(|ending| ending == "aff4");
    let is_whole = is_whole || (is_volume && code == Some(0));
    if is_whole {
        ensure!(code == Some(0), "{said}");
        ensure!(!info.contains("is missing"), "{info}");
    } else {
        // What the beginning of a manifest lists can be right.
        ensure!(matches!(code, Some(1 | 3)), "{said}");
        let is_unsure = said.contains("NOT VERIFIED TO THE END");
        ensure!(is_unsure == (code == Some(3)), "{said}");
        ensure!(is_unsure || !said.contains("good"), "{said}");
        let reasons = ["manifest", "not completed", "did not finish", "is empty"];
        ensure!(reasons.iter().any(|reason| said.contains(reason)), "{said}");
    }
    let length = fs::metadata(&partial)?.len();
    let (code, said) = host_dumper::run("recover", &partial)?;
    ensure!(!said.contains("panicked"), "{said}");
    match code {
        // AFF4 has its directory before the manifest has its end.
        Some(0) if !partial.exists() => {
            found.named += 1;
            is_good(image)?;
            Ok(false)
        }
        Some(0 | 3) if !is_whole => {
            found.rewritten += 1;
            let name = image.file_name().and_then(|name| name.to_str());
            let name = name.context("a name")?.replacen("k.", "k.recovered.", 1);
            is_true(&image.with_file_name(name), memory)?;
            Ok(false)
        }
        Some(1) if !is_whole && length < SMALL => {
            found.too_little += 1;
            // One that was begun is not opened halfway either.
            let is_volume = image.extension().is_some_and(|ending| ending == "aff4");
            let reasons = [
                "cut off",
                "nothing",
                "ends",
                "no known magic",
                "truncated",
                "did not finish",
            ];
            ensure!(
                is_volume || length < 1 << 20,
                "{length} bytes are lost: {said}"
            );
            ensure!(reasons.iter().any(|reason| said.contains(reason)), "{said}");
            Ok(true)
        }
        _ => anyhow::bail!("recover: {code:?}, {length} bytes: {said}"),
    }
}

/// It is what its manifest says.
fn is_good(image: &Path) -> Result<()> {
    let (code, said) = host_dumper::run("verify", image)?;
    ensure!(code == Some(0), "{said}");
    Ok(())
}

/// Everything recovered is what was read, or marked as missing.
fn is_true(recovered: &Path, memory: &Path) -> Result<()> {
    let output = host_dumper::command()?
        .arg("compare")
        .args([recovered, memory])
        .arg("--json")
        .output()?;
    let compared = String::from_utf8(output.stdout)?;
    ensure!(
        compared.contains("\"event\":\"summary\""),
        "{compared}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let wrong = compared
        .lines()
        .filter(|line| line.contains("\"finding\":\"different\""))
        .count();
    ensure!(wrong == 0, "{wrong} ranges differ: {compared}");
    is_good(recovered)
}
