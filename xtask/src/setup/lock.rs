// SPDX-License-Identifier: MIT OR Apache-2.0
//! One set-up at a time.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::{FdFlags, fcntl_setfd};

use crate::cache::Cache;

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for other set-ups to end.
    ///
    /// Programs that the set-up starts inherit the lock: when a set-up is
    /// killed, the next one waits for what it left running, and does not make
    /// a folder that something still writes to.
    ///
    /// # Errors
    /// When the lock file cannot be made or locked.
    pub fn take(cache: &Cache) -> Result<Self> {
        let path = cache.dir().join("lock");
        let context = || format!("cannot lock {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(context)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            println!(
                "[setup] waiting for another set-up (process {}) or for programs that it left running",
                holder.trim()
            );
            flock(&file, FlockOperation::LockExclusive).with_context(context)?;
        }
        fcntl_setfd(&file, FdFlags::empty()).with_context(context)?;
        file.set_len(0).with_context(context)?;
        writeln!(file, "{}", std::process::id()).with_context(context)?;
        Ok(Self { _file: file })
    }
}
