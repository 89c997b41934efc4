// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! The ABIs' structs as bytes. They consist of integers without padding, so their bytes are
//! those of their fields in order.

use super::{abi, original};
use core::mem::size_of;

/// The size of the largest struct.
pub const LARGEST: usize = size_of::<abi::Translate>();

/// What is plain bytes for user space, little endian.
pub trait Plain: Copy + Default {
    /// Takes the value from the front of `bytes`; what is missing is zero.
    fn take(bytes: &mut &[u8]) -> Self;

    /// Puts the value at the front of `bytes`, as far as there is room.
    fn put(self, bytes: &mut &mut [u8]);
}

macro_rules! integers {
    ($($int:ty),+) => {$(
        impl Plain for $int {
            fn take(bytes: &mut &[u8]) -> Self {
                let mut value = Self::default().to_le_bytes();
                for byte in &mut value {
                    *byte = u8_at_front(bytes);
                }
                Self::from_le_bytes(value)
            }

            fn put(self, bytes: &mut &mut [u8]) {
                for byte in self.to_le_bytes() {
                    if let Some((front, rest)) = core::mem::take(bytes).split_first_mut() {
                        *front = byte;
                        *bytes = rest;
                    }
                }
            }
        }
    )+};
}
integers!(u8, u32, i32, u64);

fn u8_at_front(bytes: &mut &[u8]) -> u8 {
    let Some((front, rest)) = bytes.split_first() else {
        return 0;
    };
    *bytes = rest;
    *front
}

impl<T: Plain, const N: usize> Plain for [T; N]
where
    [T; N]: Default,
{
    fn take(bytes: &mut &[u8]) -> Self {
        core::array::from_fn(|_| T::take(bytes))
    }

    fn put(self, bytes: &mut &mut [u8]) {
        for item in self {
            item.put(bytes);
        }
    }
}

/// Lists a struct's fields in order. The compiler refuses one that is left out.
macro_rules! structs {
    ($($name:ty { $($field:ident),+ $(,)? })+) => {$(
        impl Plain for $name {
            fn take(bytes: &mut &[u8]) -> Self {
                Self { $($field: Plain::take(bytes)),+ }
            }

            fn put(self, bytes: &mut &mut [u8]) {
                let Self { $($field),+ } = self;
                $($field.put(bytes);)+
            }
        }
    )+};
}
structs! {
    abi::Info {
        size, abi_version, features, module_version, phys_bits, paging_levels, architecture,
        page_offset_base, phys_base, kaslr_offset, kernel_page_table, vmcoreinfo_addr,
        vmcoreinfo_len, encryption_mask,
    }
    abi::Read { size, access, addr, len, buffer, statuses, done }
    abi::SetAccess { size, access }
    abi::Load { size, access, addr, value, width, reserved }
    abi::Entry { addr, value }
    abi::Translate {
        size, outcome, virt, page_table, phys, page_bytes, rights, error, steps, levels, entries,
    }
    abi::PageTable { size, pid, kernel, user }
    original::DataTransfer {
        phys_address, out_value, readbuffer, readbuffer_size, access_type, unused, padding,
    }
    original::VtopInfo { virt_address, associated_cr3, phys_address, ppte }
    original::Cr3Info { target_process, result_cr3 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills a struct with different bytes, and checks that they come out in order.
    fn there_and_back<T: Plain>(size: usize) {
        let mut numbered = [0; LARGEST];
        for (byte, number) in numbered.iter_mut().zip(1..) {
            *byte = number;
        }
        let bytes = &numbered[..size];
        let mut rest = bytes;
        let value = T::take(&mut rest);
        assert!(rest.is_empty(), "the fields are all there is");
        let mut out = [0; LARGEST];
        value.put(&mut out.as_mut_slice());
        assert_eq!(&out[..size], bytes);
        assert!(out[size..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn every_struct_is_its_bytes() {
        there_and_back::<abi::Info>(size_of::<abi::Info>());
        there_and_back::<abi::Read>(size_of::<abi::Read>());
        there_and_back::<abi::SetAccess>(size_of::<abi::SetAccess>());
        there_and_back::<abi::Load>(size_of::<abi::Load>());
        there_and_back::<abi::Translate>(size_of::<abi::Translate>());
        there_and_back::<abi::PageTable>(size_of::<abi::PageTable>());
        there_and_back::<original::DataTransfer>(size_of::<original::DataTransfer>());
        there_and_back::<original::VtopInfo>(size_of::<original::VtopInfo>());
        there_and_back::<original::Cr3Info>(size_of::<original::Cr3Info>());
    }

    #[test]
    fn fields_have_the_places_that_the_abi_says() {
        let mut bytes = [0; 48];
        bytes[8..16].copy_from_slice(&0x1122_3344_5566_7788_u64.to_le_bytes());
        bytes[40] = 7;
        let read = abi::Read::take(&mut bytes.as_slice());
        assert_eq!((read.addr, read.done), (0x1122_3344_5566_7788, 7));
    }

    #[test]
    fn a_shorter_struct_lacks_its_last_fields() {
        let short = [1, 0, 0, 0, 2, 0, 0, 0, 3];
        let read = abi::Read::take(&mut short.as_slice());
        assert_eq!((read.size, read.access, read.addr, read.len), (1, 2, 3, 0));
        let mut room = [0xff; 6];
        read.put(&mut room.as_mut_slice());
        assert_eq!(room, [1, 0, 0, 0, 2, 0]);
    }
}
