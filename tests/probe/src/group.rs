// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program in a control group of its own, as a service manager starts it.

use anyhow::{Context, Result};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Creates the control group `rest[0]`, moves into it, and becomes the program that the
/// other words name.
pub fn run_in(rest: &[String]) -> Result<String> {
    let [group, program, words @ ..] = rest else {
        anyhow::bail!("usage: in-group GROUP PROGRAM [WORD]…");
    };
    let group = Path::new("/sys/fs/cgroup").join(group);
    fs::create_dir_all(&group).context("creating the group")?;
    fs::write(group.join("cgroup.procs"), "0").context("moving to the group")?;
    let error = Command::new(program).args(words).exec();
    Err(error).with_context(|| format!("starting {program}"))
}
