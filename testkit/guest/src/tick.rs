// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tools `tick`, whose progress is visible from outside, and `rest`.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// `tick GROUP FILE`: creates the control group GROUP, moves into it, and counts in FILE
/// forever.
pub fn run(args: &[String]) -> Result<()> {
    let [group, file] = args else {
        anyhow::bail!("usage: tick GROUP FILE");
    };
    let group = Path::new("/sys/fs/cgroup").join(group);
    fs::create_dir_all(&group).context("creating the group")?;
    fs::write(group.join("cgroup.procs"), "0").context("moving to the group")?;
    let next = format!("{file}.next");
    for count in 0_u64.. {
        // Renamed, so that a reader never sees half a number.
        fs::write(&next, count.to_string())?;
        fs::rename(&next, file)?;
        if count == 0 {
            println!("ticking");
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// `rest MILLISECONDS`: sleeps.
pub fn rest(args: &[String]) -> Result<()> {
    let ms = args.first().context("no number of milliseconds given")?;
    sleep(Duration::from_millis(
        ms.parse().context("MILLISECONDS must be a number")?,
    ));
    Ok(())
}
