// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an open device may read beyond RAM and firmware memory.

use linpmem_core::abi;
pub use linpmem_core::access::{Access, Caching, Width};

/// The access as the bits of the ABI.
pub(crate) fn bits(access: Access) -> u32 {
    let caching = match access.caching {
        Caching::Natural => 0,
        Caching::Cached => abi::ACCESS_CACHED,
        Caching::Uncached => abi::ACCESS_UNCACHED,
    };
    let device = if access.device { abi::ACCESS_DEVICE } else { 0 };
    let unmapped = if access.unmapped {
        abi::ACCESS_UNMAPPED
    } else {
        0
    };
    caching | device | unmapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_what_the_module_reads() {
        for flags in 0..=abi::ACCESS_ALL {
            if let Ok(access) = Access::from_flags(flags) {
                assert_eq!(bits(access), flags);
            }
        }
    }
}
