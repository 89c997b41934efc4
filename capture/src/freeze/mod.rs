// SPDX-License-Identifier: MIT OR Apache-2.0
//! Suspending other programs while memory is read, and always resuming them.
//!
//! cgroup v2 suspends whole control groups. These must not be suspended: this program and
//! what shares its group (the shell, the remote connection), the groups that contain it,
//! and PID 1, which may have to feed a hardware watchdog. Kernel threads cannot be
//! suspended and keep running.

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
use watchdog::{Early, Watchdog};

/// How long the kernel has to suspend all processes of the groups.
const SETTLE: Duration = Duration::from_secs(5);

/// No program was suspended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FreezeError {
    /// The list of mounts or control groups cannot be read.
    #[error("--freeze: reading {what}: {source}")]
    Proc {
        /// The file.
        what: &'static str,
        /// The system's reason.
        source: procfs::ProcError,
    },
    /// cgroup v2 is not in use.
    #[error("--freeze needs cgroup v2, which is not mounted; drop --freeze")]
    NoHierarchy,
    /// A group's file cannot be read or written.
    #[error("--freeze: {path}: {source}")]
    Group {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The watchdog did not start.
    #[error(
        "--freeze: the process that would resume the programs in an emergency did not start: {0}"
    )]
    Watchdog(#[from] WatchdogError),
    /// The output folder would not accept data while programs are suspended.
    #[error(
        "--freeze: {0} is on a FUSE file system, and the program that serves it would be \
         suspended too; write to another file system, or drop --freeze"
    )]
    Fuse(PathBuf),
}

/// Control groups that are suspended, until this is dropped at the latest.
#[derive(Debug)]
pub struct Frozen {
    groups: Vec<PathBuf>,
    watchdog: Option<Watchdog>,
    limit: Duration,
}

/// Checks that an image in `folder` can be written while other programs are suspended.
///
/// # Errors
/// If one of them serves the file system.
pub fn check_output(folder: &Path) -> Result<(), FreezeError> {
    // FUSE_SUPER_MAGIC in include/uapi/linux/magic.h
    const FUSE: i64 = 0x6573_5546;
    match statfs(folder) {
        Ok(system) if system.f_type == FUSE => Err(FreezeError::Fuse(folder.to_path_buf())),
        // Whoever creates the image will report what is wrong with the folder.
        _ => Ok(()),
    }
}

impl Frozen {
    /// Suspends every group that may be suspended, for `limit` at most. A watchdog process
    /// resumes them when this process dies, or when `meter` shows no progress for half a
    /// minute. `warn` gets the groups that could not be suspended as a whole.
    ///
    /// # Errors
    /// If no program was suspended.
    pub fn begin(
        meter: Arc<Meter>,
        limit: Duration,
        warn: &mut dyn FnMut(String),
    ) -> Result<Self, FreezeError> {
        let groups = Groups::of_others()?;
        if groups.paths.is_empty() {
            warn(
                "--freeze suspended nothing: all programs are in this program's control group"
                    .to_owned(),
            );
        }
        let watchdog = Watchdog::start(&groups.paths, meter, limit)?;
        if watchdog.is_exposed {
            warn(
                "--freeze: the process that resumes the programs in an emergency could not leave \
                 this program's control group: if all of that is killed, resume them with \
                 `echo 0 > /sys/fs/cgroup/GROUP/cgroup.freeze`"
                    .to_owned(),
            );
        }
        let frozen = Self {
            groups: groups.paths,
            watchdog: Some(watchdog),
            limit,
        };
        // From here on, dropping resumes them.
        for group in &frozen.groups {
            groups::set(group, true)?;
        }
        let begun = Instant::now();
        let mut running = frozen.groups.clone();
        loop {
            running.retain(|group| !groups::is_suspended(group));
            if running.is_empty() || begun.elapsed() > SETTLE {
                break;
            }
            sleep(Duration::from_millis(5));
        }
        for group in running {
            let group = group.display();
            warn(format!(
                "--freeze: could not suspend all of {group}; some of its processes keep running"
            ));
        }
        Ok(frozen)
    }

    /// The groups' folders, for the manifest.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let names = self.groups.iter().map(|group| group.to_string_lossy());
        names.map(String::from).collect()
    }

    /// Resumes the groups. Returns a warning if that failed, or if the watchdog already did
    /// it.
    #[must_use]
    pub fn thaw(mut self) -> Option<String> {
        self.end()
    }

    fn end(&mut self) -> Option<String> {
        let watchdog = self.watchdog.take()?;
        let mut problems = Vec::new();
        for group in &self.groups {
            if let Err(error) = groups::set(group, false) {
                problems.push(error.to_string());
            }
        }
        match watchdog.end() {
            Early::Not => {}
            Early::NoProgress => problems.push(
                "--freeze: nothing was read or written for half a minute, so the programs were \
                 resumed before the end"
                    .to_owned(),
            ),
            Early::Limit => problems.push(format!(
                "--freeze: after {} s, the programs were resumed before the end (--freeze-limit)",
                self.limit.as_secs()
            )),
        }
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.end();
    }
}
