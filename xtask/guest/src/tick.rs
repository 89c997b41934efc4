// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs that do next to nothing: `tick`, of which one can see whether it
//! stands still, and `rest`.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

/// `tick GROUP FILE`: moves to the control group GROUP, which it makes, and counts in
/// FILE for ever.
pub fn run(args: &[String]) -> Result<()> {
    let [group, file] = args else {
        anyhow::bail!("usage: tick GROUP FILE");
    };
    let group = Path::new("/sys/fs/cgroup").join(group);
    fs::create_dir_all(&group).context("making the group")?;
    fs::write(group.join("cgroup.procs"), "0").context("moving to the group")?;
    let next = format!("{file}.next");
    for count in 0_u64.. {
        // Renamed, so that no reader finds half of it.
        fs::write(&next, count.to_string())?;
        fs::rename(&next, file)?;
        if count == 0 {
            println!("ticking");
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// `rest MILLISECONDS`: does nothing for so long.
pub fn rest(args: &[String]) -> Result<()> {
    let ms = args.first().context("for how many milliseconds?")?;
    sleep(Duration::from_millis(
        ms.parse().context("milliseconds are a number")?,
    ));
    Ok(())
}
