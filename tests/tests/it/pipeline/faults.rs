// SPDX-License-Identifier: MIT OR Apache-2.0
//! Disks that are full, pipes that are closed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io::Read as _};

use anyhow::{Context, Result, ensure};

use super::{MEMORY_BYTES, ZERO_BYTES, ask, at, beside, dumper, json, memory, words};

/// A file system of its own, in memory, of a size; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, bytes: u64) -> Result<Self> {
        fs::create_dir(&at)?;
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(&at)
            .status()
            .context("mount")?;
        ensure!(status.success(), "mounting a tmpfs needs root");
        Ok(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// At the first chunk, in the middle, and at the last one.
#[test]
fn a_disk_that_fills_up_leaves_what_was_read_named_and_described() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    let spec = format!("file:{}", memory.display());
    let needed = MEMORY_BYTES - ZERO_BYTES;
    for (name, bytes) in [
        ("first", 900 << 10),
        ("middle", needed / 2),
        // Image and manifest do not both fit any more.
        ("last", needed + (64 << 10)),
    ] {
        let disk = SmallDisk::mount(folder.path().join(name), bytes)?;
        let image = disk.0.join("out.lime.zst");
        let output = dumper()?
            .args(["--source", &spec, "--min-free", "0"])
            .arg(&image)
            .output()?;
        let said = words(&output);
        ensure!(output.status.code() == Some(1), "{name}: {said}");
        ensure!(said.contains("No space left on device"), "{name}: {said}");
        ensure!(!image.exists(), "{name}: it looks whole");
        is_described(&beside(&image, ".partial"), "failed", "No space left")
            .with_context(|| name.to_owned())?;
        let left = json(&beside(&image, ".partial.manifest.jsonl"))?;
        let written = at(&left, "/ranges/0/written_bytes").as_u64().unwrap_or(0);
        let enough = match name {
            "first" => 0,
            "middle" => needed / 3,
            _ => needed - (8 << 20),
        };
        ensure!(written >= enough, "{name}: {written} bytes were kept");
    }
    Ok(())
}

/// With room to be kept free, the disk is never filled.
#[test]
fn a_disk_keeps_what_has_to_stay_free() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    let disk = SmallDisk::mount(folder.path().join("disk"), 40 << 20)?;
    let image = disk.0.join("out.lime.zst");
    let output = dumper()?
        .args(["--source", &format!("file:{}", memory.display())])
        .args(["--min-free", "16MiB"])
        .arg(&image)
        .output()?;
    let said = words(&output);
    ensure!(output.status.code() == Some(1), "{said}");
    ensure!(said.contains("--min-free 16 MiB has to stay"), "{said}");
    is_described(&beside(&image, ".partial"), "failed", "--min-free")?;
    let size = fs::metadata(beside(&image, ".partial"))?.len();
    ensure!(((12 << 20)..=(24 << 20)).contains(&size), "{size} bytes");
    Ok(())
}

#[test]
fn a_reader_that_goes_away_ends_the_run_and_the_manifest_says_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    let manifest = folder.path().join("out.json");
    let mut child = dumper()?
        .args(["--source", &format!("file:{}", memory.display())])
        .args(["--format", "raw", "-", "--manifest"])
        .arg(&manifest)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut taken = vec![0; 100_000];
    let mut pipe = child.stdout.take().context("the pipe")?;
    pipe.read_exact(&mut taken)?;
    drop(pipe);
    let output = child.wait_with_output()?;
    let said = words(&output);
    ensure!(output.status.code() == Some(1), "{said}");
    ensure!(said.contains("Broken pipe"), "{said}");
    ensure!(fs::read(&memory)?.starts_with(&taken), "other bytes");
    let told = json(&manifest)?;
    ensure!(at(&told, "/state") == "failed", "{told}");
    let error = at(&told, "/error").as_str().unwrap_or_default();
    ensure!(error.contains("Broken pipe"), "{error}");
    Ok(())
}

#[test]
fn one_two_and_sixteen_threads_make_the_same_bytes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    for ending in ["core", "core.zst", "lime.zst", "kdump", "avml"] {
        let mut first: Option<Vec<u8>> = None;
        for threads in ["1", "2", "16"] {
            let image = folder.path().join(format!("{threads}.{ending}"));
            let output = dumper()?
                .args(["--source", &format!("file:{}", memory.display())])
                .args(["--threads", threads])
                .arg(&image)
                .output()?;
            ensure!(output.status.success(), "{}", words(&output));
            let bytes = fs::read(&image)?;
            let first = first.get_or_insert_with(|| bytes.clone());
            ensure!(*first == bytes, "{ending}: {threads} threads differ from 1");
        }
    }
    Ok(())
}

/// The image at `partial` is told to be what it is, and nothing in it is wrong.
fn is_described(partial: &Path, state: &str, error: &str) -> Result<()> {
    let manifest = json(&beside(partial, ".manifest.jsonl"))?;
    ensure!(at(&manifest, "/state") == state, "{manifest}");
    let told = at(&manifest, "/error").as_str().unwrap_or_default();
    ensure!(told.contains(error), "{told}");
    let (code, said) = ask("verify", partial)?;
    ensure!(code == Some(1), "{said}");
    ensure!(said.contains(&format!("not completed ({state})")), "{said}");
    ensure!(
        !said.contains("differs") && !said.contains("missing"),
        "{said}"
    );
    Ok(())
}
