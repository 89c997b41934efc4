// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! A made-up machine for the core's tests.

#![allow(clippy::as_conversions)]

extern crate std;

use super::classify::{PageState, Region};
use super::kernel::{Copied, Kernel, Transfer};
use super::Errno;
use std::cell::Cell;
use std::vec::Vec;

/// A PC with 1 GiB of RAM, some of it unfit to be read, and 40 address bits.
pub struct FakeKernel {
    ram: Vec<(u64, u64)>,
    firmware: Vec<(u64, u64)>,
    unmappable: Option<u64>,
    fault: Option<u64>,
    signal: bool,
    searches: Cell<usize>,
}

impl FakeKernel {
    pub fn pc() -> Self {
        Self {
            ram: [(0x1000, 0x9_fc00), (0x10_0000, 0x4000_0000)].into(),
            firmware: [(0, 0x1000), (0x9_fc00, 0xa_0000), (0xf_0000, 0x10_0000)].into(),
            unmappable: None,
            fault: None,
            signal: false,
            searches: Cell::new(0),
        }
    }

    pub fn refuse_mapping(&mut self, page: u64) {
        self.unmappable = Some(page);
    }

    pub fn fault_at(&mut self, addr: u64) {
        self.fault = Some(addr);
    }

    pub fn signal(&mut self) {
        self.signal = true;
    }

    pub fn searches(&self) -> usize {
        self.searches.get()
    }
}

impl Kernel for FakeKernel {
    fn phys_bits(&self) -> u32 {
        40
    }

    fn next_ram(&self, from: u64, end: u64) -> Option<(u64, u64)> {
        self.searches.set(self.searches.get() + 1);
        let &(start, stop) = self
            .ram
            .iter()
            .find(|&&(start, stop)| stop > from && start < end)?;
        Some((start.max(from), stop.min(end)))
    }

    fn ram_page(&self, page: u64) -> PageState {
        match page {
            0x20_1000 => PageState::Poisoned,
            0x20_2000 => PageState::Offline,
            0x20_3000 => PageState::Unaccepted,
            0x20_4000 => PageState::NotOnline,
            _ => PageState::Online,
        }
    }

    fn region(&self, page: u64) -> Region {
        let firmware = self
            .firmware
            .iter()
            .any(|&(start, stop)| start < page + 4096 && page < stop);
        if firmware {
            Region::Firmware
        } else {
            Region::Other
        }
    }

    fn yield_now(&self) -> bool {
        self.signal
    }
}

/// Notes what was copied into it, in place of the bytes.
pub struct FakeBuffer {
    copies: Vec<(u64, usize)>,
    unmappable: Option<u64>,
    fault: Option<u64>,
}

impl FakeBuffer {
    pub fn new(kernel: &FakeKernel) -> Self {
        Self {
            copies: Vec::new(),
            unmappable: kernel.unmappable,
            fault: kernel.fault,
        }
    }

    /// Address and length of each copy.
    pub fn copies(&self) -> &[(u64, usize)] {
        &self.copies
    }

    /// Whether each copy went on where the one before ended.
    pub fn is_exact(&self) -> bool {
        self.copies
            .windows(2)
            .all(|pair| pair[0].0 + pair[0].1 as u64 == pair[1].0)
    }

    fn copy(&mut self, start: u64, len: usize) -> Copied {
        let end = start + len as u64;
        let fault = self.fault.filter(|&at| start <= at && at < end);
        let bytes = fault.map_or(len, |at| (at - start) as usize);
        self.copies.push((start, bytes));
        Copied {
            bytes,
            stopped: fault.map(|_| Errno::EIO),
        }
    }
}

impl Transfer for FakeBuffer {
    fn copy_direct_map(&mut self, start: u64, len: usize) -> Copied {
        self.copy(start, len)
    }

    fn copy_mapping(&mut self, start: u64, len: usize) -> Result<Copied, Errno> {
        if self.unmappable == Some(start & !4095) {
            return Err(Errno::EACCES);
        }
        Ok(self.copy(start, len))
    }
}
