// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! A fake machine for the core's tests.

#![allow(clippy::as_conversions)]

extern crate std;

use super::access::Width;
use super::classify::{PageState, Region, Route};
use super::kernel::{Copied, Kernel, Statuses, Transfer};
use super::walk::Paging;
use super::Errno;
use std::cell::{Cell, RefCell};
use std::vec::Vec;

/// A PC with 1 GiB of RAM, some of it unreadable, and 40 address bits.
pub struct FakeKernel {
    ram: Vec<(u64, u64)>,
    firmware: Vec<(u64, u64)>,
    unmappable: Option<u64>,
    fault: Option<u64>,
    signal: bool,
    isolated: bool,
    searches: Cell<usize>,
    loads: RefCell<Vec<(u64, u64)>>,
}

impl FakeKernel {
    pub fn pc() -> Self {
        Self {
            ram: [(0x1000, 0x9_fc00), (0x10_0000, 0x4000_0000)].into(),
            firmware: [(0, 0x1000), (0x9_fc00, 0xa_0000), (0xf_0000, 0x10_0000)].into(),
            unmappable: None,
            fault: None,
            signal: false,
            isolated: false,
            searches: Cell::new(0),
            loads: RefCell::default(),
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

    pub fn isolate(&mut self) {
        self.isolated = true;
    }

    pub fn searches(&self) -> usize {
        self.searches.get()
    }

    /// Address and width of each load.
    pub fn loads(&self) -> Vec<(u64, u64)> {
        self.loads.borrow().clone()
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
        if (0xc_0000..0xc_1000).contains(&page) {
            Region::Rom
        } else if firmware {
            Region::Firmware
        } else {
            Region::Other
        }
    }

    /// Every address holds its own value.
    fn load(&self, _route: Route, addr: u64, width: Width) -> Result<u64, Errno> {
        self.loads.borrow_mut().push((addr, width.bytes()));
        Ok(addr)
    }

    fn paging(&self) -> Result<Paging, Errno> {
        Ok(Paging {
            levels: 4,
            phys_bits: 40,
            encryption_mask: 0,
        })
    }

    fn page_table(&self, pid: i32) -> Result<u64, Errno> {
        if pid < 2 {
            Ok(0x30_0000)
        } else {
            Err(Errno::ESRCH)
        }
    }

    fn is_isolated(&self) -> bool {
        self.isolated
    }

    fn yield_now(&self) -> bool {
        self.signal
    }
}

/// Records which bytes were copied into it, but not their values.
pub struct FakeBuffer {
    copies: Vec<(u64, usize)>,
    routes: Vec<Route>,
    zeroed: usize,
    room: usize,
    unmappable: Option<u64>,
    fault: Option<u64>,
}

impl FakeBuffer {
    pub fn new(kernel: &FakeKernel) -> Self {
        Self {
            copies: Vec::new(),
            routes: Vec::new(),
            zeroed: 0,
            room: usize::MAX,
            unmappable: kernel.unmappable,
            fault: kernel.fault,
        }
    }

    /// Leaves room for `bytes` more.
    pub fn end_after(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// Address and length of each copy that copied anything.
    pub fn copies(&self) -> &[(u64, usize)] {
        &self.copies
    }

    /// The route of each of them.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// How many zero bytes were appended.
    pub fn zeroed(&self) -> usize {
        self.zeroed
    }

    fn take(&mut self, wanted: usize) -> Copied {
        let bytes = wanted.min(self.room);
        self.room -= bytes;
        Copied {
            bytes,
            stopped: (bytes < wanted).then_some(Errno::EFAULT),
        }
    }
}

impl Transfer for FakeBuffer {
    fn copy(&mut self, route: Route, start: u64, len: usize) -> Result<Copied, Errno> {
        if route == Route::Firmware && self.unmappable == Some(start & !4095) {
            return Err(Errno::EACCES);
        }
        let end = start + len as u64;
        let fault = self
            .fault
            .filter(|&at| route == Route::DirectMap && start <= at && at < end);
        let readable = fault.map_or(len, |at| (at - start) as usize);
        let mut copied = self.take(readable);
        if copied.bytes > 0 {
            self.copies.push((start, copied.bytes));
            self.routes.push(route);
        }
        copied.stopped = copied.stopped.or(fault.map(|_| Errno::EIO));
        Ok(copied)
    }

    fn zero(&mut self, len: usize) -> Copied {
        let copied = self.take(len);
        self.zeroed += copied.bytes;
        copied
    }
}

/// The statuses, page by page.
#[derive(Default)]
pub struct FakeStatuses(Vec<u8>);

impl FakeStatuses {
    pub fn list(&self) -> &[u8] {
        &self.0
    }
}

impl Statuses for FakeStatuses {
    fn append(&mut self, pages: u64, status: u8) -> Result<(), Errno> {
        for _ in 0..pages {
            self.0.push(status);
        }
        Ok(())
    }
}
