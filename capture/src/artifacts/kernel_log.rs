// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's log, by /dev/kmsg (Documentation/ABI/testing/dev-kmsg): a record a read,
//! `LEVEL,SEQUENCE,MICROSECONDS,FLAGS;TEXT` and lines of properties after it.

use linpmem_phys::num::usize_as_u64;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// No record is longer (PRINTK_MESSAGE_MAX and what is escaped in it); with less room, the
/// kernel refuses to return one.
const MAX_RECORD_BYTES: usize = 16 << 10;

/// The kernel may log faster than records can be read: no more is read than this, and for
/// no longer. What it logs later is not in any copy.
const MAX_BYTES: u64 = 32 << 20;
const TIME: Duration = Duration::from_secs(10);

/// The records that the log has now, read one after another.
#[derive(Debug)]
pub(crate) struct KernelLog {
    file: File,
    until: Instant,
    left_bytes: u64,
}

impl KernelLog {
    /// Opens the device at `path`.
    ///
    /// # Errors
    /// If it does not exist, or the kernel does not allow it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            // Otherwise a read at the end waits for the next record.
            .custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default())
            .open(path)?;
        Ok(Self {
            file,
            until: Instant::now() + TIME,
            left_bytes: MAX_BYTES,
        })
    }
}

impl Read for KernelLog {
    /// Fills `buf` with whole records, as far as they fit.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(room) = buf.get_mut(filled..) {
            let is_full = filled > 0 && room.len() < MAX_RECORD_BYTES;
            if is_full || self.left_bytes == 0 || Instant::now() > self.until {
                break;
            }
            match self.file.read(room) {
                Ok(0) => break,
                Ok(len) => {
                    filled += len;
                    self.left_bytes = self.left_bytes.saturating_sub(usize_as_u64(len));
                }
                Err(error) => match Errno::from_io_error(&error) {
                    // The last record was read.
                    Some(Errno::AGAIN) => break,
                    // The next records were overwritten; the read after this one continues
                    // with the oldest that is left.
                    Some(Errno::PIPE | Errno::INTR) => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_this_machine_ends_or_is_refused_but_never_waits() {
        let begun = Instant::now();
        let mut bytes = Vec::new();
        let read =
            KernelLog::open(Path::new("/dev/kmsg")).and_then(|mut log| log.read_to_end(&mut bytes));
        assert!(begun.elapsed() < TIME + Duration::from_secs(5));
        // A container may have no such device, or no right to read it.
        if read.is_ok() && !bytes.is_empty() {
            let text = String::from_utf8_lossy(&bytes);
            let head = text.split(';').next().unwrap();
            assert!(head.split(',').count() >= 4, "{head}");
        }
    }

    #[test]
    fn a_log_without_end_is_cut_off() {
        let mut log = KernelLog {
            file: File::open("/dev/zero").unwrap(),
            until: Instant::now() + TIME,
            left_bytes: 100_000,
        };
        let mut step = vec![0; 64 << 10];
        let mut total = 0;
        loop {
            match log.read(&mut step).unwrap() {
                0 => break,
                len => total += len,
            }
        }
        assert_eq!(total, 2 * step.len());
    }
}
