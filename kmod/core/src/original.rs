// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! The ioctls of the original Linpmem, for its clients. docs/abi.md lists where the
//! answers differ.

use super::abi::Translate;
use super::kernel::PAGE_SIZE;
use super::Errno;
use core::mem::size_of;

/// [`DataTransfer`], in and out.
pub const IOCTL_READ_PHYSADDR: u32 = iowr(b'a', size_of::<DataTransfer>());
/// [`VtopInfo`], in and out.
pub const IOCTL_VTOP: u32 = iowr(b'b', size_of::<VtopInfo>());
/// [`Cr3Info`], in and out.
pub const IOCTL_QUERY_CR3: u32 = iowr(b'c', size_of::<Cr3Info>());

/// The major number of the original's device, which its clients use by default.
pub const DEFAULT_MAJOR: u32 = 42;

const ACCESS_BYTE: u8 = 1;
const ACCESS_QWORD: u8 = 8;
/// [`DataTransfer::access_type`] of a read into a buffer.
pub const ACCESS_BUFFER: u8 = 9;

/// One read.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | `phys_address` |
/// | 8 | 8 | `out_value` |
/// | 16 | 8 | `readbuffer` |
/// | 24 | 8 | `readbuffer_size` |
/// | 32 | 1 | `access_type` |
/// | 33 | 3 | `unused` |
/// | 36 | 4 | `padding` |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataTransfer {
    /// In: the address.
    pub phys_address: u64,
    /// Out: the value, unless the access is a read into a buffer.
    pub out_value: u64,
    /// In: address of the buffer.
    pub readbuffer: u64,
    /// In: bytes wanted, 1 to 4096. Out: bytes read; a read ends at the page's end.
    pub readbuffer_size: u64,
    /// In: 1, 2, 4 or 8 for one load of that many bytes, 9 for a buffer.
    pub access_type: u8,
    /// Ignored.
    pub unused: [u8; 3],
    /// Ignored.
    pub padding: u32,
}

/// One translation.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | `virt_address` |
/// | 8 | 8 | `associated_cr3` |
/// | 16 | 8 | `phys_address` |
/// | 24 | 8 | `ppte` |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VtopInfo {
    /// In: the address, not 0.
    pub virt_address: u64,
    /// In: a CR3 value, or TTBR0 on arm64; 0 is the caller's. An address of the kernel is
    /// translated by TTBR1 there, whichever process is meant.
    pub associated_cr3: u64,
    /// Out: the physical address.
    pub phys_address: u64,
    /// Out: the kernel address of the last entry.
    pub ppte: u64,
}

/// One process's CR3.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | `target_process` |
/// | 8 | 8 | `result_cr3` |
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cr3Info {
    /// In: a process id in the caller's pid namespace; 0 is the caller.
    pub target_process: u64,
    /// Out: the physical address of its top page table; on arm64 of TTBR0's.
    pub result_cr3: u64,
}

const _: () = {
    assert!(size_of::<DataTransfer>() == 40);
    assert!(size_of::<VtopInfo>() == 32);
    assert!(size_of::<Cr3Info>() == 16);
};

/// What a [`DataTransfer`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// One load.
    Load {
        /// Bytes: 1, 2, 4 or 8.
        width: u8,
    },
    /// A read into the caller's buffer.
    Buffer {
        /// Bytes, up to the end of the page.
        len: usize,
    },
}

impl DataTransfer {
    /// Checks the request.
    ///
    /// # Errors
    /// The original's: `EINVAL` for an unknown access type, a missing buffer, or a
    /// buffer of 0 or more than 4096 bytes; `EIO` for a load that is not aligned.
    pub fn decode(&self) -> Result<Transfer, Errno> {
        match self.access_type {
            ACCESS_BUFFER => {
                if self.readbuffer == 0 || !(1..=PAGE_SIZE).contains(&self.readbuffer_size) {
                    return Err(Errno::EINVAL);
                }
                let to_page_end = PAGE_SIZE - self.phys_address % PAGE_SIZE;
                let len = self.readbuffer_size.min(to_page_end);
                let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
                Ok(Transfer::Buffer { len })
            }
            width @ ACCESS_BYTE..=ACCESS_QWORD if width.is_power_of_two() => {
                if self.phys_address % u64::from(width) == 0 {
                    Ok(Transfer::Load { width })
                } else {
                    Err(Errno::EIO)
                }
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Cr3Info {
    /// The process id that is asked for.
    ///
    /// # Errors
    /// `ESRCH` if the number is too large for a process id.
    pub fn pid(&self) -> Result<i32, Errno> {
        i32::try_from(self.target_process).map_err(|_| Errno::ESRCH)
    }
}

impl VtopInfo {
    /// The answer, given the translation and the kernel address of physical address 0.
    /// If the address is not mapped, the answer holds zeros and the result is `EIO`.
    pub fn reply(mut self, walk: &Translate, page_offset_base: u64) -> (Self, Result<(), Errno>) {
        let leaf = walk
            .steps
            .checked_sub(1)
            .and_then(|last| walk.entries.get(usize::try_from(last).ok()?));
        match leaf {
            Some(leaf) if walk.outcome == super::abi::OUTCOME_MAPPED => {
                self.phys_address = walk.phys;
                self.ppte = page_offset_base.wrapping_add(leaf.addr);
                (self, Ok(()))
            }
            _ => {
                self.phys_address = 0;
                self.ppte = 0;
                (self, Err(Errno::EIO))
            }
        }
    }
}

/// `_IOWR('a', nr, size)`.
#[expect(
    clippy::as_conversions,
    reason = "sizes of structs are below 2^14, and From is not const"
)]
const fn iowr(nr: u8, size: usize) -> u32 {
    assert!(size < 1 << 14, "14 bits hold the size");
    3 << 30 | (size as u32) << 16 | (b'a' as u32) << 8 | nr as u32
}

#[cfg(test)]
mod tests {
    use super::super::abi::{self, Entry};
    use super::*;

    #[test]
    fn ioctl_numbers_match_the_original() {
        assert_eq!(IOCTL_READ_PHYSADDR, 0xc028_6161);
        assert_eq!(IOCTL_VTOP, 0xc020_6162);
        assert_eq!(IOCTL_QUERY_CR3, 0xc010_6163);
    }

    #[test]
    fn requests_are_decoded_like_the_original() {
        let decode = |phys_address, access_type, readbuffer, readbuffer_size| {
            DataTransfer {
                phys_address,
                access_type,
                readbuffer,
                readbuffer_size,
                ..DataTransfer::default()
            }
            .decode()
        };
        for width in [1, 2, 4, 8] {
            assert_eq!(decode(0x1000, width, 0, 0), Ok(Transfer::Load { width }));
        }
        for access_type in [0, 3, 5, 6, 7, 10, 255] {
            assert_eq!(decode(0x1000, access_type, 1, 1), Err(Errno::EINVAL));
        }
        assert_eq!(decode(0x1004, 8, 0, 0), Err(Errno::EIO));
        assert_eq!(decode(0x1ffe, 9, 1, 4096), Ok(Transfer::Buffer { len: 2 }));
        assert_eq!(
            decode(0x1000, 9, 1, 4096),
            Ok(Transfer::Buffer { len: 4096 })
        );
        assert_eq!(decode(0x1000, 9, 1, 4097), Err(Errno::EINVAL));
        assert_eq!(decode(0x1000, 9, 1, 0), Err(Errno::EINVAL));
        assert_eq!(decode(0x1000, 9, 0, 16), Err(Errno::EINVAL));
        let beyond = Cr3Info {
            target_process: 1 << 32,
            result_cr3: 0,
        };
        assert_eq!(beyond.pid(), Err(Errno::ESRCH));
    }

    #[test]
    fn an_unmapped_address_gives_zeros_and_eio() {
        let asked = VtopInfo {
            virt_address: 0x1000,
            phys_address: 7,
            ppte: 7,
            ..VtopInfo::default()
        };
        let mut walk = Translate {
            outcome: abi::OUTCOME_MAPPED,
            phys: 0x5000,
            steps: 1,
            ..Translate::default()
        };
        walk.entries[0] = Entry {
            addr: 0x2008,
            value: 0x5067,
        };
        let (found, result) = asked.reply(&walk, 0xff11_0000_0000_0000);
        assert_eq!(
            (found.phys_address, found.ppte),
            (0x5000, 0xff11_0000_0000_2008)
        );
        assert_eq!(result, Ok(()));
        walk.outcome = abi::OUTCOME_NOT_PRESENT;
        let (lost, result) = asked.reply(&walk, 0);
        assert_eq!((lost.phys_address, lost.ppte), (0, 0));
        assert_eq!(result, Err(Errno::EIO));
    }
}
