// SPDX-License-Identifier: GPL-2.0-only
//! Copies from devices: one load at a time, of a width that devices understand.

use crate::linpmem_core::access::Width;
use crate::linpmem_core::classify::Route;
use crate::linpmem_core::{Copied, Errno};
use crate::mapping::Mapping;
use crate::transfer::load;
use core::ffi::c_void;

/// The width of the loads that read a device, unless the caller chooses one: most
/// devices have 32-bit registers.
const DEVICE_WIDTH: Width = Width::Dword;

/// How many bytes of a device are collected before they are copied to the caller.
const GATHER_BYTES: usize = 128;

/// Copies `len` bytes at physical address `start`, which `mapping` maps. `put` copies bytes
/// to the caller and returns how many arrived.
pub(crate) fn copy(
    mapping: &Mapping,
    start: u64,
    len: usize,
    mut put: impl FnMut(&[u8]) -> usize,
) -> Copied {
    let mut gathered = [0u8; GATHER_BYTES];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(GATHER_BYTES);
        let at = mapping.addr().wrapping_byte_add(done);
        let good = gather(at, start.wrapping_add(done as u64), part, &mut gathered);
        let bytes = put(gathered.get(..good).unwrap_or(&[]));
        done += bytes;
        let stopped = match (bytes < good, good < part) {
            (true, _) => Some(Errno::EFAULT),
            (_, true) => Some(Errno::EIO),
            _ => continue,
        };
        return Copied {
            bytes: done,
            stopped,
        };
    }
    Copied {
        bytes: done,
        stopped: None,
    }
}

/// Loads `len` bytes of physical address `phys`, which is mapped at `at`, into `out`.
/// Returns how many bytes it could load.
fn gather(at: *const c_void, phys: u64, len: usize, out: &mut [u8]) -> usize {
    let mut done = 0;
    while done < len {
        let width = DEVICE_WIDTH.widest_at(phys.wrapping_add(done as u64), (len - done) as u64);
        let Ok(value) = load(at.wrapping_byte_add(done), width) else {
            break;
        };
        let size = width.bytes() as usize;
        let bytes = value.to_le_bytes();
        if let (Some(target), Some(source)) = (out.get_mut(done..done + size), bytes.get(..size)) {
            target.copy_from_slice(source);
        }
        done += size;
    }
    done
}

/// Maps a page, makes exactly one load, and unmaps it.
pub(crate) fn load_by(route: Route, addr: u64, width: Width) -> Result<u64, Errno> {
    let mapping = Mapping::new(route, addr, width.bytes() as usize)?;
    load(mapping.addr(), width)
}
