// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other programs, stopped while memory is read, and always let go again.
//!
//! cgroup v2 stops whole control groups where they stand. What must not be stopped:
//! this program and what shares its group (the shell, the connection that it came in
//! by), everything on the way there, and PID 1, which may have a hardware watchdog to
//! feed. Kernel threads cannot be stopped and go on.

mod groups;
mod watchdog;

pub use watchdog::{WatchdogError, watch};

use crate::meter::Meter;
use groups::Groups;
use rustix::fs::statfs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};
use watchdog::Watchdog;

/// How long groups have until all of their processes stand still.
const SETTLE: Duration = Duration::from_secs(5);

/// Nothing was stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FreezeError {
    /// The kernel does not tell of control groups.
    #[error("--freeze: {what}: {source}")]
    Proc {
        /// What was read.
        what: &'static str,
        /// Why it cannot be.
        source: procfs::ProcError,
    },
    /// No cgroup v2.
    #[error("--freeze needs cgroup v2, and it is not mounted here; leave --freeze out")]
    NoHierarchy,
    /// A group's file cannot be used.
    #[error("--freeze: {path}: {source}")]
    Group {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Without a watchdog nothing is stopped.
    #[error("--freeze: its watchdog does not start: {0}")]
    Watchdog(#[from] WatchdogError),
    /// The output would wait for a program that stands still.
    #[error(
        "--freeze: {0} lies on a file system that a program serves (FUSE), which would be \
         stopped as well; write elsewhere, or leave --freeze out"
    )]
    ServedByAProgram(PathBuf),
}

/// Control groups that stand still until this is dropped, at the latest.
#[derive(Debug)]
pub struct Frozen {
    groups: Vec<PathBuf>,
    watchdog: Option<Watchdog>,
}

/// Whether an image in `folder` can be written while other programs are stopped.
///
/// # Errors
/// If one of them would have to take the bytes.
pub fn check_output(folder: &Path) -> Result<(), FreezeError> {
    // FUSE_SUPER_MAGIC in include/uapi/linux/magic.h
    const FUSE: i64 = 0x6573_5546;
    match statfs(folder) {
        Ok(system) if system.f_type == FUSE => {
            Err(FreezeError::ServedByAProgram(folder.to_path_buf()))
        }
        // What is wrong with the folder is told by whoever writes to it.
        _ => Ok(()),
    }
}

impl Frozen {
    /// Stops every group that can be stopped. A watchdog of its own process lets them
    /// go when this process dies, or when `meter` shows no progress for half a minute.
    ///
    /// # Errors
    /// If nothing was stopped. Groups that do not come to rest are told to `warn`.
    pub fn begin(meter: Arc<Meter>, warn: &mut dyn FnMut(String)) -> Result<Self, FreezeError> {
        let groups = Groups::of_others()?;
        if groups.paths.is_empty() {
            warn("--freeze: all programs are in this one's control group; none was stopped".into());
        }
        let watchdog = Watchdog::start(&groups.paths, meter)?;
        let frozen = Self {
            groups: groups.paths,
            watchdog: Some(watchdog),
        };
        // From here on, dropping lets go what is stopped.
        for group in &frozen.groups {
            groups::set(group, true)?;
        }
        let begun = Instant::now();
        let mut restless = frozen.groups.clone();
        loop {
            restless.retain(|group| !groups::is_at_rest(group));
            if restless.is_empty() || begun.elapsed() > SETTLE {
                break;
            }
            sleep(Duration::from_millis(5));
        }
        for group in restless {
            let group = group.display();
            warn(format!(
                "--freeze: {group} does not come to rest; some of it goes on"
            ));
        }
        Ok(frozen)
    }

    /// The groups, as folders, for the manifest.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = self.groups.iter().map(|group| group.to_string_lossy());
        names.map(String::from).collect()
    }

    /// Lets them go. A word if the watchdog had to do it before.
    #[must_use]
    pub fn thaw(mut self) -> Option<String> {
        self.end()
    }

    fn end(&mut self) -> Option<String> {
        let watchdog = self.watchdog.take()?;
        let mut words = Vec::new();
        for group in &self.groups {
            if let Err(error) = groups::set(group, false) {
                words.push(error.to_string());
            }
        }
        if watchdog.end() {
            words.push(
                "--freeze: nothing moved for half a minute, and the watchdog let the programs \
                 go before the end"
                    .to_owned(),
            );
        }
        (!words.is_empty()).then(|| words.join("; "))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.end();
    }
}
