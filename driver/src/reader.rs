// SPDX-License-Identifier: MIT OR Apache-2.0
//! Physical memory as a stream: the position is the address.

use crate::{Access, Device, RequestError};
use linpmem_phys::PhysAddr;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::io::{self, Read, Seek, SeekFrom};

/// The most bytes of one read. Bytes after an unreadable page are read for nothing.
const STEP: usize = 1 << 20;

/// Physical memory for [`Read`] and [`Seek`]. The position is an address, and the end
/// is where the processor's addresses end.
///
/// A read stops short before a page that cannot be read. The next one fails with a
/// [`RequestError`] inside that has the address and the reason. To continue after
/// such a page, seek.
#[derive(Clone, Debug)]
pub struct Reader<'device> {
    device: &'device Device,
    access: Access,
    position: u64,
}

impl Device {
    /// A reader that starts at `start` and reads with `access` in addition to the
    /// device's own.
    #[must_use]
    pub fn reader(&self, access: Access, start: PhysAddr) -> Reader<'_> {
        Reader {
            device: self,
            access,
            position: start.get(),
        }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.end().checked_sub(self.position) else {
            return Ok(0); // beyond the end
        };
        let len = buf.len().min(STEP).min(u64_as_usize(left));
        let (part, _) = buf.split_at_mut(len);
        if part.is_empty() {
            return Ok(0);
        }
        let start = PhysAddr::new(self.position);
        let unreadable = self.device.read_with(self.access, start, part)?;
        let done = match unreadable.as_slice().first() {
            None => part.len(),
            Some(first) if first.range.start() == start => {
                return Err(RequestError::Read {
                    addr: start,
                    errno: first.errno,
                }
                .into());
            }
            // Unreadable pages are clipped to the request.
            Some(first) => u64_as_usize(first.range.start().get() - self.position),
        };
        // No further than the end, which is far below 2^64.
        self.position += usize_as_u64(done);
        Ok(done)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (base, offset) = match to {
            SeekFrom::Start(address) => (address, 0),
            SeekFrom::Current(offset) => (self.position, offset),
            SeekFrom::End(offset) => (self.end(), offset),
        };
        self.position = base.checked_add_signed(offset).ok_or_else(|| {
            let what = "cannot seek below physical address 0 or beyond 2^64";
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })?;
        Ok(self.position)
    }
}

impl Reader<'_> {
    fn end(&self) -> u64 {
        self.device.address_end().get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;
    use std::path::Path;

    #[test]
    fn positions_are_addresses() {
        let device = Device::open_as(Path::new("/dev/null"), Dialect::Original).unwrap();
        let mut reader = device.reader(Access::default(), PhysAddr::new(0x1000));
        assert_eq!(reader.stream_position().unwrap(), 0x1000);
        assert_eq!(reader.seek(SeekFrom::Current(-0x800)).unwrap(), 0x800);
        assert!(reader.seek(SeekFrom::Current(-0x801)).is_err());
        assert_eq!(reader.stream_position().unwrap(), 0x800);
        assert_eq!(reader.seek(SeekFrom::End(0)).unwrap(), 1 << 52);
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0, "the end");
        reader.seek(SeekFrom::End(-4)).unwrap();
        assert!(reader.read(&mut [0; 8]).is_err(), "/dev/null has no memory");
    }
}
