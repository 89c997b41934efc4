// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! What a caller may ask for beyond plain reads of RAM, and how it is read.

use super::abi;
use super::Errno;

/// What a caller has asked for. The default reads RAM and firmware memory only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Device memory and holes. Reading a device can have side effects, so a caller
    /// must ask for it.
    pub device: bool,
    /// How pages outside RAM are mapped.
    pub caching: Caching,
    /// RAM that is not in the kernel's direct map (memfd_secret).
    pub unmapped: bool,
}

/// How pages outside RAM are mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caching {
    /// Firmware memory cached, devices uncached.
    #[default]
    Natural,
    /// Cached.
    Cached,
    /// Uncached.
    Uncached,
}

/// The size of one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Word,
    /// 4 bytes.
    Dword,
    /// 8 bytes.
    Qword,
}

impl Access {
    /// The `ACCESS_*` bits of the ABI.
    ///
    /// # Errors
    /// `EINVAL` for unknown or contradictory bits.
    pub fn from_flags(flags: u32) -> Result<Self, Errno> {
        if flags & !abi::ACCESS_ALL != 0 {
            return Err(Errno::EINVAL);
        }
        let cached = flags & abi::ACCESS_CACHED != 0;
        let uncached = flags & abi::ACCESS_UNCACHED != 0;
        let caching = match (cached, uncached) {
            (false, false) => Caching::Natural,
            (true, false) => Caching::Cached,
            (false, true) => Caching::Uncached,
            (true, true) => return Err(Errno::EINVAL),
        };
        Ok(Self {
            device: flags & abi::ACCESS_DEVICE != 0,
            caching,
            unmapped: flags & abi::ACCESS_UNMAPPED != 0,
        })
    }
}

impl Width {
    /// The width of `bytes` bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u8) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Dword => 4,
            Self::Qword => 8,
        }
    }

    /// Whether `addr` is aligned for a load of this width.
    #[must_use]
    pub const fn fits(self, addr: u64) -> bool {
        addr & (self.bytes() - 1) == 0
    }

    /// The widest load, up to this width, that is aligned at `addr` and reads no more
    /// than `left` bytes.
    #[must_use]
    pub fn widest_at(self, addr: u64, left: u64) -> Self {
        [Self::Qword, Self::Dword, Self::Word]
            .into_iter()
            .find(|width| {
                width.bytes() <= self.bytes() && width.fits(addr) && width.bytes() <= left
            })
            .unwrap_or(Self::Byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_contradictory_flags_are_refused() {
        assert_eq!(Access::from_flags(0), Ok(Access::default()));
        assert_eq!(Access::from_flags(1 << 31), Err(Errno::EINVAL));
        let both = abi::ACCESS_CACHED | abi::ACCESS_UNCACHED;
        assert_eq!(Access::from_flags(both), Err(Errno::EINVAL));
        let device = Access::from_flags(abi::ACCESS_DEVICE | abi::ACCESS_CACHED);
        assert!(device.is_ok_and(|access| access.device && access.caching == Caching::Cached));
    }

    #[test]
    fn loads_are_aligned_and_stay_within_the_rest() {
        assert_eq!(Width::Dword.widest_at(0x1000, 100), Width::Dword);
        assert_eq!(Width::Dword.widest_at(0x1002, 100), Width::Word);
        assert_eq!(Width::Qword.widest_at(0x1001, 100), Width::Byte);
        assert_eq!(Width::Qword.widest_at(0x1000, 7), Width::Dword);
        assert_eq!(Width::Byte.widest_at(0x1000, 8), Width::Byte);
        assert!(!Width::Word.fits(0x1001));
        assert_eq!(Width::from_bytes(3), None);
    }
}
