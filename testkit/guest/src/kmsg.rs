// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tool `kmsg`: the kernel's log with its levels.

use anyhow::{Context, Result};
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

/// Prints a line a record in the kernel's format, `LEVEL,SEQUENCE,MICROSECONDS,FLAG;TEXT`.
pub fn run() -> Result<()> {
    let mut log = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .context("opening /dev/kmsg")?;
    let mut record = vec![0; 16 << 10];
    loop {
        match log.read(&mut record) {
            Ok(0) => return Ok(()),
            Ok(count) => io::stdout().write_all(record.get(..count).unwrap_or_default())?,
            // Records were overwritten: continue with the oldest one left.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("reading /dev/kmsg"),
        }
    }
}
