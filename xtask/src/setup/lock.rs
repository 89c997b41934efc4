// SPDX-License-Identifier: MIT OR Apache-2.0
//! One set-up at a time.

use anyhow::{Context, Result};
use linpmem_testkit::cache::Cache;
use rustix::fs::{FlockOperation, flock};
use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until no other set-up is running.
    ///
    /// The programs that the set-up starts inherit the lock. If it is killed, the next
    /// one waits for those still running, and does not replace a folder that one of them
    /// writes to.
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
                "[setup] waiting for another set-up (process {}), or for programs it started",
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
