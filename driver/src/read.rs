// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading through the open device.

use crate::access::{self, Access, Width};
use crate::{Device, RequestError, sys};
use linpmem_core::abi;
use linpmem_phys::{
    Errno, PAGE_SIZE, PhysAddr, PhysLen, PhysRange, ReadPhys, SourceError, Unreadables,
};
use rustix::io;

/// Pages whose statuses one call asks for: 2 MiB of memory.
const STATUSES: usize = 512;

impl Device {
    /// What this device reads from now on beyond RAM and firmware memory.
    ///
    /// # Errors
    /// `EACCES` for device memory if the module was not loaded with
    /// `allow_device=1`.
    pub fn set_access(&self, access: Access) -> Result<(), RequestError> {
        let bits = access::bits(access);
        let request = abi::SetAccess {
            access: bits,
            ..abi::SetAccess::default()
        };
        sys::ask(self.fd(), request)
            .map(|_| ())
            .map_err(|errno| RequestError::new("set the access to", bits.into(), errno))
    }

    /// Exactly one load of `width` at `addr`.
    ///
    /// # Errors
    /// `EINVAL` if `addr` is not a multiple of the width; else the reason why
    /// the page cannot be read.
    pub fn load(&self, addr: PhysAddr, width: Width) -> Result<u64, RequestError> {
        let wrong = |errno| RequestError::new("load from", addr.get(), errno);
        let request = abi::Load {
            addr: addr.get(),
            width: u32::try_from(width.bytes()).map_err(|_| wrong(io::Errno::INVAL))?,
            ..abi::Load::default()
        };
        sys::ask(self.fd(), request)
            .map(|answer| answer.value)
            .map_err(wrong)
    }

    fn broken(&self, at: PhysAddr, errno: io::Errno) -> SourceError {
        let path = self.path().display();
        let message = match errno {
            io::Errno::PERM => format!(
                "{path} no longer permits reading: the kernel was locked down after it was opened"
            ),
            _ => format!("{path} cannot be read: {errno}"),
        };
        SourceError::new(at, message)
    }
}

impl ReadPhys for Device {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        read_all(start, buf, unreadable, |at, rest, statuses| {
            sys::read_pages(self.fd(), 0, at.get(), rest, statuses)
        })
        .map_err(|(at, errno)| self.broken(at, errno))
    }
}

/// Reads all of `buf` by calls that may stop short, and lists what they report.
fn read_all(
    start: PhysAddr,
    buf: &mut [u8],
    unreadable: &mut Unreadables,
    mut read_pages: impl FnMut(PhysAddr, &mut [u8], &mut [u8]) -> io::Result<usize>,
) -> Result<(), (PhysAddr, io::Errno)> {
    let mut statuses = [0; STATUSES];
    let mut at = start;
    let mut rest = buf;
    while !rest.is_empty() {
        let step = match read_pages(at, rest, &mut statuses) {
            Ok(0) => return Err((at, io::Errno::IO)),
            Ok(done) => done.min(rest.len()),
            Err(io::Errno::INTR) => continue,
            Err(errno) => return Err((at, errno)),
        };
        let (_, tail) = rest.split_at_mut(step);
        rest = tail;
        let len = PhysLen::new(u64::try_from(step).map_err(|_| (at, io::Errno::OVERFLOW))?);
        let read = PhysRange::from_len(at, len).map_err(|_| (at, io::Errno::OVERFLOW))?;
        for (page, &status) in read.pieces(PAGE_SIZE).zip(&statuses) {
            if status != 0 {
                unreadable.push(page, Errno::new(status.into()));
            }
        }
        at = read.end();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module whose page 2 is broken, that handles at most 3 pages a call and
    /// is interrupted once.
    fn fake(
        calls: &mut u32,
        at: PhysAddr,
        buf: &mut [u8],
        statuses: &mut [u8],
    ) -> io::Result<usize> {
        *calls += 1;
        if *calls == 2 {
            return Err(io::Errno::INTR);
        }
        let offset = usize::try_from(at.get() % 4096).unwrap();
        let len = buf.len().min(3 * 4096 - offset);
        for (index, byte) in buf[..len].iter_mut().enumerate() {
            let page = (at.get() + u64::try_from(index).unwrap()) / 4096;
            *byte = if page == 2 { 0 } else { 0xaa };
        }
        for (index, status) in statuses[..(offset + len).div_ceil(4096)]
            .iter_mut()
            .enumerate()
        {
            let page = at.get() / 4096 + u64::try_from(index).unwrap();
            *status = if page == 2 { 133 } else { 0 };
        }
        Ok(len)
    }

    #[test]
    fn short_calls_go_on_and_every_failed_page_is_listed() {
        let mut buf = vec![0x55; 0x5000];
        let mut unreadable = Unreadables::new();
        let mut calls = 0;
        read_all(
            PhysAddr::new(0x800),
            &mut buf,
            &mut unreadable,
            |at, rest, statuses| fake(&mut calls, at, rest, statuses),
        )
        .unwrap();
        let listed: Vec<_> = unreadable
            .as_slice()
            .iter()
            .map(|item| (item.range.to_string(), item.errno.to_string()))
            .collect();
        assert_eq!(
            listed,
            [("0x2000-0x2fff".to_owned(), "EHWPOISON".to_owned())]
        );
        assert!(buf[..0x1800].iter().all(|&byte| byte == 0xaa));
        assert!(buf[0x1800..0x2800].iter().all(|&byte| byte == 0));
        assert!(buf[0x2800..].iter().all(|&byte| byte == 0xaa));
        assert_eq!(calls, 3);
    }

    #[test]
    fn a_device_that_fails_as_a_whole_ends_the_read() {
        let mut buf = [0; 4096];
        let mut unreadable = Unreadables::new();
        let mut read = |errno: Option<io::Errno>| {
            read_all(
                PhysAddr::new(0x1000),
                &mut buf,
                &mut unreadable,
                |_, _, _| errno.map_or(Ok(0), Err),
            )
        };
        let at = PhysAddr::new(0x1000);
        assert_eq!(read(Some(io::Errno::PERM)), Err((at, io::Errno::PERM)));
        assert_eq!(read(None), Err((at, io::Errno::IO)), "no endless loop");
    }
}
