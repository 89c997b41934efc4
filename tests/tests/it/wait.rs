// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for a condition.

use anyhow::{Result, bail};
use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything takes on a busy machine: only a safety net.
const LIMIT: Duration = Duration::from_secs(120);

/// Calls `poll` until it returns a value.
pub fn until<T>(event: &str, mut poll: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(value) = poll()? {
            return Ok(value);
        }
        if begin.elapsed() > LIMIT {
            bail!("gave up after waiting {LIMIT:?} until {event}");
        }
        thread::sleep(Duration::from_millis(200));
    }
}
