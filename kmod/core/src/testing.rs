// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! A fake machine for the core's tests.

#![allow(clippy::as_conversions)]

extern crate std;

use super::access::Width;
use super::classify::{PageState, Region, Route};
use super::kernel::{Copied, Kernel, Statuses, Transfer};
use super::walk::{arm64, x86, Paging};
use super::Errno;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::vec::Vec;

/// A PC with 1 GiB of RAM, some of it unreadable, and 40 address bits.
pub struct FakeKernel {
    ram: Vec<(u64, u64)>,
    firmware: Vec<(u64, u64)>,
    unmappable: Option<u64>,
    refuses_devices: bool,
    fault: Option<u64>,
    signal: bool,
    isolated: bool,
    /// Is only in the kernel's image, not in the direct map.
    image: Option<u64>,
    paging: Paging,
    /// Goes offline as soon as it was found online.
    vanishing: Option<u64>,
    looks: Cell<usize>,
    held: Rc<Cell<usize>>,
    searches: Cell<usize>,
    loads: RefCell<Vec<(u64, u64)>>,
}

impl FakeKernel {
    pub fn pc() -> Self {
        Self {
            ram: [(0x1000, 0x9_fc00), (0x10_0000, 0x4000_0000)].into(),
            firmware: [(0, 0x1000), (0x9_fc00, 0xa_0000), (0xf_0000, 0x10_0000)].into(),
            unmappable: None,
            refuses_devices: false,
            fault: None,
            signal: false,
            isolated: false,
            image: None,
            paging: Paging::X86(x86::Paging {
                levels: 4,
                phys_bits: 40,
                encryption_mask: 0,
            }),
            vanishing: None,
            looks: Cell::new(0),
            held: Rc::default(),
            searches: Cell::new(0),
            loads: RefCell::default(),
        }
    }

    /// The same with pages of 4 KiB, 48 bits and a kernel's table at 4 MiB.
    pub fn arm64() -> Self {
        let registers = arm64::Registers {
            tcr: 16 | 16 << 16 | 2 << 30 | 2 << 32,
            ttbr1: 0x40_0000,
            indirect_rights: false,
            hidden: 1 << 11,
        };
        let paging = arm64::Paging::of_registers(&registers).expect("a valid TCR");
        Self {
            paging: Paging::Arm64(paging),
            ..Self::pc()
        }
    }

    pub fn refuse_mapping(&mut self, page: u64) {
        self.unmappable = Some(page);
    }

    /// Lets the kernel refuse to map any device.
    pub fn refuse_devices(&mut self) {
        self.refuses_devices = true;
    }

    /// Takes the page offline after it was found online.
    pub fn lose_after_first_look(&mut self, page: u64) {
        self.vanishing = Some(page);
    }

    pub fn fault_at(&mut self, addr: u64) {
        self.fault = Some(addr);
    }

    pub fn signal(&mut self) {
        self.signal = true;
    }

    /// Takes the page out of the direct map. Only the kernel's image still maps it.
    pub fn map_by_image_only(&mut self, page: u64) {
        self.image = Some(page);
        self.fault = Some(page);
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

/// Counts itself while it lives.
pub struct Held(Rc<Cell<usize>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Kernel for FakeKernel {
    type Held = Held;

    fn hold_memory(&self) -> Held {
        self.held.set(self.held.get() + 1);
        Held(Rc::clone(&self.held))
    }

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

    fn ram_page(&self, _held: &Held, page: u64) -> PageState {
        if self.vanishing == Some(page) {
            self.looks.set(self.looks.get() + 1);
            if self.looks.get() > 1 {
                return PageState::NotOnline;
            }
        }
        match page {
            0x20_1000 => PageState::Poisoned,
            0x20_2000 => PageState::Offline,
            0x20_3000 => PageState::Unaccepted,
            0x20_4000 => PageState::NotOnline,
            _ => PageState::Online,
        }
    }

    fn first_lost(&self, held: &Held, start: u64, end: u64) -> Option<u64> {
        (start..end)
            .step_by(4096)
            .find(|&page| self.ram_page(held, page) != PageState::Online)
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

    fn image_maps(&self, page: u64) -> bool {
        self.image == Some(page)
    }

    /// Every address holds its own value.
    fn load(&self, route: Route, addr: u64, width: Width) -> Result<u64, Errno> {
        assert!(self.held.get() > 0, "the page could be removed meanwhile");
        if self.image == Some(addr & !0xfff) && route != Route::Image {
            return Err(Errno::EIO);
        }
        self.loads.borrow_mut().push((addr, width.bytes()));
        Ok(addr)
    }

    fn paging(&self) -> Result<Paging, Errno> {
        Ok(self.paging)
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
        assert_eq!(self.held.get(), 0, "the task may sleep");
        self.signal
    }
}

/// Records which bytes were copied into it, but not their values.
pub struct FakeBuffer {
    copies: Vec<(u64, usize)>,
    routes: Vec<Route>,
    attempts: usize,
    zeroed: usize,
    room: usize,
    /// How many of the next bytes are present.
    present: usize,
    stays_absent: bool,
    waits: usize,
    unmappable: Option<u64>,
    refuses_devices: bool,
    fault: Option<u64>,
    held: Rc<Cell<usize>>,
}

impl FakeBuffer {
    pub fn new(kernel: &FakeKernel) -> Self {
        Self {
            copies: Vec::new(),
            routes: Vec::new(),
            attempts: 0,
            zeroed: 0,
            room: usize::MAX,
            present: usize::MAX,
            stays_absent: false,
            waits: 0,
            unmappable: kernel.unmappable,
            refuses_devices: kernel.refuses_devices,
            fault: kernel.fault,
            held: Rc::clone(&kernel.held),
        }
    }

    /// Leaves room for `bytes` more.
    pub fn end_after(&mut self, bytes: usize) {
        self.room = bytes;
    }

    /// Only makes a page and a half present at a time.
    pub fn make_absent(&mut self) {
        self.present = 0;
    }

    /// Loses again what was made present.
    pub fn keep_absent(&mut self) {
        self.present = 0;
        self.stays_absent = true;
    }

    /// Address and length of each copy that copied anything.
    pub fn copies(&self) -> &[(u64, usize)] {
        &self.copies
    }

    /// The route of each of them.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// How many copies were asked for.
    pub fn attempts(&self) -> usize {
        self.attempts
    }

    /// How many zero bytes were appended.
    pub fn zeroed(&self) -> usize {
        self.zeroed
    }

    /// How often the buffer was waited for.
    pub fn waits(&self) -> usize {
        self.waits
    }

    fn take(&mut self, wanted: usize) -> Copied {
        let bytes = wanted.min(self.room).min(self.present);
        self.room -= bytes;
        self.present -= bytes;
        Copied {
            bytes,
            stopped: (bytes < wanted).then_some(Errno::EFAULT),
        }
    }
}

impl Transfer for FakeBuffer {
    fn copy(&mut self, route: Route, start: u64, len: usize) -> Result<Copied, Errno> {
        let is_ram = matches!(route, Route::DirectMap | Route::Image | Route::Alias);
        assert_eq!(is_ram, self.held.get() > 0, "{route:?}");
        self.attempts += 1;
        let end = start + len as u64;
        let is_mapped = matches!(route, Route::Firmware | Route::Rom);
        let unmappable = self.unmappable.filter(|_| is_mapped);
        if unmappable.is_some_and(|page| start < page + 4096 && page < end) {
            return Err(Errno::EACCES);
        }
        if self.refuses_devices && matches!(route, Route::Device { .. }) {
            return Err(Errno::EACCES);
        }
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

    fn make_present(&mut self, len: usize) -> Result<(), Errno> {
        assert_eq!(self.held.get(), 0, "user space decides how long this takes");
        self.waits += 1;
        if self.room == 0 {
            return Err(Errno::EFAULT);
        }
        if !self.stays_absent {
            self.present = len.min(self.present.saturating_add(0x1800));
        }
        Ok(())
    }

    fn take_back(&mut self, mut len: usize) {
        self.room = self.room.saturating_add(len);
        self.present = self.present.saturating_add(len);
        while len > 0 {
            let last = self.copies.last_mut().expect("nothing to take back");
            let part = len.min(last.1);
            last.1 -= part;
            len -= part;
            if last.1 == 0 {
                self.copies.pop();
                self.routes.pop();
            }
        }
    }

    fn zero(&mut self, len: usize) -> Copied {
        assert_eq!(self.held.get(), 0, "user space decides how long this takes");
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
