// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes in a time, and how many a disk takes.

use crate::sink::{FileSink, Sink};
use crate::spool::unnamed_file;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The bytes.
    pub bytes: u64,
    /// The time.
    pub elapsed: Duration,
}

impl Rate {
    /// How many there are per second. At least one, so that everything ends.
    #[must_use]
    pub fn bytes_per_s(&self) -> u64 {
        let nanos = self.elapsed.as_nanos().max(1);
        let rate = u128::from(self.bytes) * 1_000_000_000 / nanos;
        u64::try_from(rate).unwrap_or(u64::MAX).max(1)
    }

    /// How long `bytes` take.
    #[must_use]
    pub fn time_for(&self, bytes: u64) -> Duration {
        let millis = u128::from(bytes) * 1000 / u128::from(self.bytes_per_s());
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

/// How fast the disk of `folder` takes a file as an image is written: `piece` again and again, for as
/// long as `during` and at least once, until there are `most` bytes. The file has no name, and nothing
/// stays.
///
/// # Errors
/// The system's.
pub(crate) fn of_disk(
    folder: &Path,
    piece: &[u8],
    most: u64,
    during: Duration,
) -> io::Result<Rate> {
    let mut sink = FileSink::new(unnamed_file(folder)?, folder)?;
    let begun = Instant::now();
    loop {
        sink.bytes(piece)?;
        if sink.position() >= most || begun.elapsed() >= during {
            break;
        }
    }
    sink.finish()?;
    Ok(Rate {
        bytes: sink.position(),
        elapsed: begun.elapsed(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_tells_how_long_something_takes() {
        let rate = Rate {
            bytes: 200 << 20,
            elapsed: Duration::from_millis(500),
        };
        assert_eq!(rate.bytes_per_s(), 400 << 20);
        assert_eq!(rate.time_for(4 << 30), Duration::from_millis(10_240));
        let nothing = Rate {
            bytes: 0,
            elapsed: Duration::from_secs(1),
        };
        assert_eq!(nothing.time_for(60), Duration::from_secs(60));
        assert_eq!(nothing.time_for(u64::MAX).as_millis(), u128::from(u64::MAX));
    }
}
