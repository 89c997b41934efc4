// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading through the open device.

use crate::Device;
use linpmem_phys::{
    Errno, PAGE_SIZE, PhysAddr, PhysLen, PhysRange, ReadPhys, SourceError, Unreadables,
};
use rustix::io;

impl ReadPhys for Device {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        read_all(
            start,
            buf,
            unreadable,
            |offset, rest| match rustix::io::pread(self.file(), rest, offset) {
                Err(io::Errno::PERM) => Err(ReadFailure::Source(SourceError::new(
                    PhysAddr::new(offset),
                    format!(
                        "{} no longer permits reading: the kernel was locked down after it \
                         was opened",
                        self.path().display()
                    ),
                ))),
                // Not the page is at fault but the device, so every page would fail.
                Err(errno @ (io::Errno::BADF | io::Errno::INVAL | io::Errno::NODEV)) => {
                    Err(ReadFailure::Source(SourceError::new(
                        PhysAddr::new(offset),
                        format!("{} cannot be read: {errno}", self.path().display()),
                    )))
                }
                Err(errno) => Err(ReadFailure::Errno(errno)),
                Ok(bytes) => Ok(bytes),
            },
        )
    }
}

/// Why one system call read nothing.
enum ReadFailure {
    Errno(io::Errno),
    Source(SourceError),
}

/// Reads all of `buf` by calls that stop short before a page that cannot be read
/// and fail at it. Such a page is zeroed, listed and stepped over.
fn read_all(
    start: PhysAddr,
    buf: &mut [u8],
    unreadable: &mut Unreadables,
    mut pread: impl FnMut(u64, &mut [u8]) -> Result<usize, ReadFailure>,
) -> Result<(), SourceError> {
    let mut at = start;
    let mut rest = buf;
    while !rest.is_empty() {
        let step = match pread(at.get(), rest) {
            Ok(bytes) if bytes > 0 => bytes.min(rest.len()),
            Err(ReadFailure::Errno(io::Errno::INTR)) => continue,
            Err(ReadFailure::Source(error)) => return Err(error),
            // End of file: no address lies above.
            Ok(_) => give_up(at, rest, rest.len(), Errno::ENXIO, unreadable)?,
            Err(ReadFailure::Errno(errno)) => {
                let errno = Errno::new(errno.raw_os_error());
                give_up(at, rest, to_page_end(at), errno, unreadable)?
            }
        };
        let (_, tail) = rest.split_at_mut(step);
        rest = tail;
        at = advance(at, step)?;
    }
    Ok(())
}

/// Zeroes and lists up to `len` bytes; returns how many.
fn give_up(
    at: PhysAddr,
    rest: &mut [u8],
    len: usize,
    errno: Errno,
    unreadable: &mut Unreadables,
) -> Result<usize, SourceError> {
    let step = len.min(rest.len());
    let (lost, _) = rest.split_at_mut(step);
    lost.fill(0);
    if let Ok(range) = PhysRange::new(at, advance(at, step)?) {
        unreadable.push(range, errno);
    }
    Ok(step)
}

fn to_page_end(at: PhysAddr) -> usize {
    let page = PAGE_SIZE.get();
    usize::try_from(page - at.get() % page).unwrap_or(1)
}

fn advance(at: PhysAddr, step: usize) -> Result<PhysAddr, SourceError> {
    u64::try_from(step)
        .ok()
        .and_then(|step| at.checked_add(PhysLen::new(step)))
        .ok_or_else(|| SourceError::new(at, "the range passes the last 64-bit address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device whose page 2 is broken, that reads at most 6000 bytes a call,
    /// is interrupted once and ends at 0x5000.
    fn fake(calls: &mut u32, offset: u64, buf: &mut [u8]) -> Result<usize, ReadFailure> {
        *calls += 1;
        if *calls == 2 {
            return Err(ReadFailure::Errno(io::Errno::INTR));
        }
        let stop = match offset {
            0x2000..0x3000 => return Err(ReadFailure::Errno(io::Errno::IO)),
            0..0x2000 => 0x2000,
            _ => 0x5000,
        };
        let len = stop.max(offset).abs_diff(offset).min(6000);
        let len = usize::try_from(len).unwrap().min(buf.len());
        buf[..len].fill(0xaa);
        Ok(len)
    }

    #[test]
    fn steps_over_what_fails_and_lists_it() {
        let mut buf = vec![0x55; 0x5000];
        let mut unreadable = Unreadables::new();
        let mut calls = 0;
        read_all(
            PhysAddr::new(0x800),
            &mut buf,
            &mut unreadable,
            |offset, rest| fake(&mut calls, offset, rest),
        )
        .unwrap();
        let listed: Vec<_> = unreadable
            .as_slice()
            .iter()
            .map(|item| (item.range.to_string(), item.errno))
            .collect();
        assert_eq!(
            listed,
            [
                ("0x2000-0x2fff".to_owned(), Errno::EIO),
                ("0x5000-0x57ff".to_owned(), Errno::ENXIO),
            ]
        );
        assert!(buf[..0x1800].iter().all(|&byte| byte == 0xaa));
        assert!(buf[0x1800..0x2800].iter().all(|&byte| byte == 0));
        assert!(buf[0x2800..0x4800].iter().all(|&byte| byte == 0xaa));
        assert!(buf[0x4800..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn an_error_within_a_page_loses_only_the_rest_of_that_page() {
        let mut buf = vec![0x55; 0x1000];
        let mut unreadable = Unreadables::new();
        let mut calls = 2;
        read_all(
            PhysAddr::new(0x2800),
            &mut buf,
            &mut unreadable,
            |offset, rest| fake(&mut calls, offset, rest),
        )
        .unwrap();
        assert_eq!(unreadable.total().get(), 0x800);
        assert!(buf[0x800..].iter().all(|&byte| byte == 0xaa));
    }
}
