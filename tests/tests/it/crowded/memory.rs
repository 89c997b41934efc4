// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory of a process, read through the mounted image.

use super::{Crowd, at};
use crate::host_dumper;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::content;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Compares each region of the crowd with what was put there. Returns how many they are.
pub fn compare(image: &Path, crowd: &Crowd) -> Result<usize> {
    let folder = tempfile::tempdir()?;
    let mut command = host_dumper::command()?;
    command.arg("mount").arg(image).arg(folder.path());
    let mut program = command.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    let stdout = program.stdout.take().context("no output")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let compared = regions(folder.path(), crowd);
    let ended = Command::new("umount").arg(folder.path()).status();
    let status = program.wait()?;
    ensure!(
        ended?.success() && status.success(),
        "mount: {status}: {line}"
    );
    compared
}

fn regions(mounted: &Path, crowd: &Crowd) -> Result<usize> {
    let path = mounted.join(format!("pid/{}/mem", crowd.pid));
    let memory = File::open(&path).with_context(|| path.display().to_string())?;
    let regions = at(&crowd.document, "/regions").as_array();
    let regions = regions.context("no regions")?;
    for region in regions {
        let number = |name: &str| at(region, &format!("/{name}")).as_u64();
        let start = at(region, "/start").as_str().context("no start")?;
        let start = u64::from_str_radix(start.trim_start_matches("0x"), 16)?;
        let len = usize::try_from(number("len").context("no length")?)?;
        let first = number("first_page").context("no page")?;
        let mut found = vec![0; len];
        let read = memory.read_exact_at(&mut found, start);
        read.with_context(|| region.to_string())?;
        let mut expected = vec![0; 0x1000];
        for (number, page) in (first..).zip(found.chunks(expected.len())) {
            content::hold(&mut expected, number);
            ensure!(page == expected, "{region}: page {number:#x} is another");
        }
    }
    Ok(regions.len())
}
