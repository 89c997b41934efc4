// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading through the open device.

use crate::access::{self, Access, Width};
use crate::dialect::Dialect;
use crate::{Device, RequestError, error, sys};
use linpmem_core::abi;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{
    Errno, PAGE_SIZE, PhysAddr, PhysLen, PhysRange, ReadPhys, SourceError, Unreadables,
};
use rustix::io;

/// Pages whose statuses one call asks for: 2 MiB of memory.
const STATUSES: usize = 512;

impl Device {
    /// What this open device may read from now on beyond RAM and firmware memory.
    ///
    /// # Errors
    /// `EACCES` for device memory if the module was not loaded with
    /// `allow_device=1`. The original does not support it.
    pub fn set_access(&self, access: Access) -> Result<(), RequestError> {
        let bits = access::bits(access);
        if self.dialect() == Dialect::Original {
            return natural(bits);
        }
        let request = abi::SetAccess {
            access: bits,
            ..abi::SetAccess::default()
        };
        sys::ask(self.fd(), request)
            .map(|_| ())
            .map_err(|errno| RequestError::Access {
                access: bits,
                errno: error::errno(errno),
            })
    }

    /// Exactly one load of `width` at `addr`.
    ///
    /// # Errors
    /// `EINVAL` if `addr` is not a multiple of the width; otherwise the reason why the
    /// page cannot be read.
    pub fn load(&self, addr: PhysAddr, width: Width) -> Result<u64, RequestError> {
        self.load_with(Access::default(), addr, width)
    }

    /// The same with `access` in addition to the device's own, for this load only.
    ///
    /// # Errors
    /// As [`load`](Self::load), and as [`set_access`](Self::set_access).
    pub fn load_with(
        &self,
        access: Access,
        addr: PhysAddr,
        width: Width,
    ) -> Result<u64, RequestError> {
        let wrong = |errno| refused(addr, errno);
        let bits = access::bits(access);
        if !width.fits(addr.get()) {
            return Err(wrong(io::Errno::INVAL));
        }
        let bytes = u8::try_from(width.bytes()).map_err(|_| wrong(io::Errno::INVAL))?;
        if self.dialect() == Dialect::Original {
            natural(bits)?;
            return sys::original_load(self.fd(), addr.get(), bytes).map_err(wrong);
        }
        let request = abi::Load {
            access: bits,
            addr: addr.get(),
            width: bytes.into(),
            ..abi::Load::default()
        };
        sys::ask(self.fd(), request)
            .map(|answer| answer.value)
            .map_err(wrong)
    }

    /// Fills `buf` with the bytes from `start` on, with `access` in addition to the
    /// device's own for this read only. Returns the pages that could not be read,
    /// clipped to the request, each with its reason; their bytes are zero.
    ///
    /// # Errors
    /// Only if nothing can be read at all: the module does not grant the access, or
    /// the kernel was locked down. A page that cannot be read is not an error.
    pub fn read_with(
        &self,
        access: Access,
        start: PhysAddr,
        buf: &mut [u8],
    ) -> Result<Unreadables, RequestError> {
        let mut unreadable = Unreadables::new();
        self.fill(access::bits(access), start, buf, &mut unreadable)?;
        Ok(unreadable)
    }

    fn fill(
        &self,
        access: u32,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), RequestError> {
        let outcome = match self.dialect() {
            Dialect::Linpmem => read_all(start, buf, unreadable, |at, rest, statuses| {
                sys::read_pages(self.fd(), access, at.get(), rest, statuses)
            }),
            Dialect::Original => {
                natural(access)?;
                read_all(start, buf, unreadable, |at, rest, statuses| {
                    read_page(at, rest, statuses, |at, part| {
                        sys::original_read(self.fd(), at.get(), part)
                    })
                })
            }
        };
        outcome.map_err(|(at, errno)| match errno {
            io::Errno::ACCESS | io::Errno::INVAL if access != 0 => RequestError::Access {
                access,
                errno: error::errno(errno),
            },
            errno => refused(at, errno),
        })
    }

    fn broken(&self, error: &RequestError, start: PhysAddr) -> SourceError {
        let path = self.path().display();
        let message = match error {
            RequestError::Read {
                errno: Errno::EPERM,
                ..
            } => format!(
                "{path} no longer permits reading: the kernel was locked down after it was opened"
            ),
            error => format!("{path}: {error}"),
        };
        SourceError::new(error.addr().unwrap_or(start), message)
    }
}

impl ReadPhys for Device {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.fill(0, start, buf, unreadable)
            .map_err(|error| self.broken(&error, start))
    }
}

/// The original reads in this way only.
fn natural(bits: u32) -> Result<(), RequestError> {
    match bits {
        0 => Ok(()),
        _ => Err(RequestError::Unsupported {
            what: "read device memory, or choose the caching",
        }),
    }
}

fn refused(addr: PhysAddr, errno: io::Errno) -> RequestError {
    match errno {
        io::Errno::NOTTY | io::Errno::NOSYS => RequestError::Unsupported {
            what: "read in this way",
        },
        errno => RequestError::Read {
            addr,
            errno: error::errno(errno),
        },
    }
}

/// Reads one page by the original's request, and answers as ours would.
fn read_page(
    at: PhysAddr,
    rest: &mut [u8],
    statuses: &mut [u8],
    read: impl FnOnce(PhysAddr, &mut [u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let left = PAGE_SIZE.get() - at.get() % PAGE_SIZE.get();
    let len = u64_as_usize(left).min(rest.len());
    let (part, _) = rest.split_at_mut(len);
    let (done, status) = match read(at, part) {
        // This is how the original reports that a page cannot be read.
        Ok(0) => (len, io::Errno::IO.raw_os_error()),
        Ok(done) => (done, 0),
        Err(
            errno @ (io::Errno::IO
            | io::Errno::ACCESS
            | io::Errno::NXIO
            | io::Errno::NODATA
            | io::Errno::HWPOISON
            | io::Errno::OPNOTSUPP),
        ) => (len, errno.raw_os_error()),
        Err(errno) => return Err(errno),
    };
    if status != 0 {
        part.fill(0);
    }
    if let Some(first) = statuses.first_mut() {
        *first = u8::try_from(status).map_err(|_| io::Errno::OVERFLOW)?;
    }
    Ok(done)
}

/// Fills `buf` by calls that may stop short, and lists the pages that they report.
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
        let len = PhysLen::new(usize_as_u64(step));
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

    /// A module whose page 2 is faulty, that handles at most 3 pages a call, and whose
    /// second call is interrupted.
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
            let faulty = u8::try_from(Errno::EHWPOISON.get()).unwrap();
            *status = if page == 2 { faulty } else { 0 };
        }
        Ok(len)
    }

    #[test]
    fn short_calls_are_continued_and_every_failed_page_is_listed() {
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

    #[test]
    fn the_originals_silent_empty_read_is_a_page_that_cannot_be_read() {
        let mut buf = vec![0x55; 0x2000];
        let mut unreadable = Unreadables::new();
        read_all(
            PhysAddr::new(0x1800),
            &mut buf,
            &mut unreadable,
            |at, rest, statuses| {
                read_page(at, rest, statuses, |at, part| {
                    if at.get() / 4096 == 2 {
                        return Ok(0);
                    }
                    part.fill(0xaa);
                    Ok(part.len())
                })
            },
        )
        .unwrap();
        assert!(buf[..0x800].iter().all(|&byte| byte == 0xaa));
        assert!(buf[0x800..0x1800].iter().all(|&byte| byte == 0));
        assert!(buf[0x1800..].iter().all(|&byte| byte == 0xaa));
        let listed = unreadable.as_slice();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].range.to_string(), "0x2000-0x2fff");
        assert_eq!(listed[0].errno, Errno::EIO);
    }

    #[test]
    fn the_original_reads_nothing_but_ram() {
        let null = Device::open_as(std::path::Path::new("/dev/null"), Dialect::Original).unwrap();
        let device = Access {
            device: true,
            ..Access::default()
        };
        let at = PhysAddr::new(0x1000);
        for error in [
            null.set_access(device).unwrap_err(),
            null.read_with(device, at, &mut [0; 8]).unwrap_err(),
            null.load_with(device, at, Width::Byte).unwrap_err(),
            // /dev/null does not know the request at all.
            null.load(at, Width::Byte).unwrap_err(),
        ] {
            assert!(matches!(error, RequestError::Unsupported { .. }), "{error}");
        }
    }
}
