// SPDX-License-Identifier: MIT OR Apache-2.0
//! Full disks and closed pipes.

use super::{MEMORY_BYTES, ZERO_BYTES, at, json, memory};
use crate::host_dumper;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::target_machine::companion;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, io::Read as _};

/// A small tmpfs, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, bytes: u64) -> Result<Self> {
        fs::create_dir(&at)?;
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(&at)
            .status()
            .context("mount")?;
        ensure!(
            status.success(),
            "cannot mount a tmpfs, which only root can"
        );
        Ok(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The disk fills up at the first chunk, in the middle, or at the last one.
#[test]
fn a_full_disk_leaves_a_partial_image_and_its_manifest() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    let spec = format!("file:{}", memory.display());
    let needed = MEMORY_BYTES - ZERO_BYTES;
    for (name, bytes) in [
        ("first", 900 << 10),
        ("middle", needed / 2),
        // The image fits, but its manifest does not.
        ("last", needed + (64 << 10)),
    ] {
        let disk = SmallDisk::mount(folder.path().join(name), bytes)?;
        let image = disk.0.join("out.lime.zst");
        let output = host_dumper::command()?
            .args(["--source", &spec, "--min-free", "0"])
            .arg(&image)
            .output()?;
        let said = host_dumper::printed(&output);
        ensure!(output.status.code() == Some(1), "{name}: {said}");
        ensure!(said.contains("No space left on device"), "{name}: {said}");
        ensure!(!image.exists(), "{name}: it looks complete");
        is_described(&companion(&image, "partial"), "failed", "No space left")
            .with_context(|| name.to_owned())?;
        let left = json(&companion(&image, "partial.manifest.jsonl"))?;
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

/// With `--min-free`, the disk is never full.
#[test]
fn min_free_is_kept_free() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    let disk = SmallDisk::mount(folder.path().join("disk"), 40 << 20)?;
    let image = disk.0.join("out.lime.zst");
    let output = host_dumper::command()?
        .args(["--source", &format!("file:{}", memory.display())])
        .args(["--min-free", "16MiB"])
        .arg(&image)
        .output()?;
    let said = host_dumper::printed(&output);
    ensure!(output.status.code() == Some(1), "{said}");
    ensure!(said.contains("--min-free requires 16 MiB"), "{said}");
    is_described(&companion(&image, "partial"), "failed", "--min-free")?;
    let size = fs::metadata(companion(&image, "partial"))?.len();
    ensure!(((12 << 20)..=(24 << 20)).contains(&size), "{size} bytes");
    Ok(())
}

#[test]
fn a_closed_pipe_ends_the_run_and_the_manifest_says_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    let manifest = folder.path().join("out.json");
    let mut child = host_dumper::command()?
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
    let said = host_dumper::printed(&output);
    ensure!(output.status.code() == Some(1), "{said}");
    ensure!(said.contains("Broken pipe"), "{said}");
    ensure!(fs::read(&memory)?.starts_with(&taken), "other bytes");
    let manifest = json(&manifest)?;
    ensure!(at(&manifest, "/state") == "failed", "{manifest}");
    let error = at(&manifest, "/error").as_str().unwrap_or_default();
    ensure!(error.contains("Broken pipe"), "{error}");
    Ok(())
}

#[test]
fn the_number_of_threads_does_not_change_a_byte() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let memory = memory(folder.path())?;
    for ending in ["core", "core.zst", "lime.zst", "kdump", "avml"] {
        let mut first: Option<Vec<u8>> = None;
        for threads in ["1", "2", "16"] {
            let image = folder.path().join(format!("{threads}.{ending}"));
            let output = host_dumper::command()?
                .args(["--source", &format!("file:{}", memory.display())])
                .args(["--threads", threads])
                .arg(&image)
                .output()?;
            ensure!(output.status.success(), "{}", host_dumper::printed(&output));
            let bytes = fs::read(&image)?;
            let first = first.get_or_insert_with(|| bytes.clone());
            ensure!(*first == bytes, "{ending}: {threads} threads differ from 1");
        }
    }
    Ok(())
}

/// The manifest and `verify` describe the image at `partial` truthfully, and nothing in it
/// is wrong.
fn is_described(partial: &Path, state: &str, error: &str) -> Result<()> {
    let manifest = json(&companion(partial, "manifest.jsonl"))?;
    ensure!(at(&manifest, "/state") == state, "{manifest}");
    let recorded = at(&manifest, "/error").as_str().unwrap_or_default();
    ensure!(recorded.contains(error), "{recorded}");
    let (code, said) = host_dumper::run("verify", partial)?;
    ensure!(code == Some(1), "{said}");
    ensure!(said.contains(&format!("not completed ({state})")), "{said}");
    ensure!(
        !said.contains("differs") && !said.contains("missing"),
        "{said}"
    );
    Ok(())
}
