// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image, opened as the machine that it is of.

mod swap;
mod value;

pub use swap::{ReadSwap, SwapArea};
pub use value::{Struct, Value};

use crate::address_space::{AddressSpace, Place};
use crate::error::{Error, MemoryError, Reason};
use crate::facts::{Facts, Symbols};
use crate::memory::Memory;
use crate::paging;
use crate::types::Types;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{PAGE_SIZE, ReadPhys};
use swap::Swap;

/// Bytes of the kernel's banner that are read.
const BANNER_BYTES: u64 = 512;

/// A machine whose kernel was found in its memory.
#[derive(Debug)]
pub struct Machine<'a> {
    memory: Memory<'a>,
    types: Types<'a>,
    symbols: Symbols,
    kernel: AddressSpace,
    banner: String,
    page_size: u64,
    swap: Option<Swap<'a>>,
}

impl<'a> Machine<'a> {
    /// Finds the kernel in `memory`, and checks by its banner that it is the one that `facts`
    /// are of.
    ///
    /// # Errors
    /// If `facts` do not say where it is, or something else is there.
    pub fn open(memory: &'a dyn ReadPhys, facts: Facts<'a>) -> Result<Self, Error> {
        let info = Vmcoreinfo::new(facts.vmcoreinfo);
        let release = info.release().ok_or(Error::NoFact("the release"))?;
        let at = facts.symbols.get("linux_banner");
        let at = at.ok_or(Error::NoSymbol("linux_banner"))?;
        let memory = Memory::new(memory);
        // In one piece, this program would have the beginning of a banner, for which others search
        // memory.
        let expected = ["Linux", "version", release, ""].join(" ");
        let mut failed = None;
        for kernel in paging::candidates(info)? {
            match text(&kernel, &memory, at, BANNER_BYTES) {
                Ok(banner) if banner.starts_with(&expected) => {
                    return Ok(Self {
                        memory,
                        types: Types::parse(facts.btf)?,
                        symbols: facts.symbols,
                        kernel,
                        banner: banner.trim_end().to_owned(),
                        page_size: info.page_size().unwrap_or(PAGE_SIZE.get()),
                        swap: None,
                    });
                }
                Ok(found) => {
                    let found = found.chars().take(80).collect();
                    let release = release.to_owned();
                    failed = Some(Error::Banner { at, found, release });
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or(Error::NoFact("how its page tables are read")))
    }

    /// With the swap areas that it had: pages of processes are read from them.
    #[must_use]
    pub fn with_swap(self, areas: &'a [SwapArea], reader: &'a dyn ReadSwap) -> Self {
        Self {
            swap: Some(Swap::new(areas, reader)),
            ..self
        }
    }

    pub(crate) const fn swap(&self) -> Option<&Swap<'a>> {
        self.swap.as_ref()
    }

    pub(crate) const fn memory(&self) -> &Memory<'a> {
        &self.memory
    }

    /// The kernel's banner, as it is in memory.
    #[must_use]
    pub fn banner(&self) -> &str {
        &self.banner
    }

    /// Bytes of a page.
    pub(crate) const fn page_size(&self) -> u64 {
        self.page_size
    }

    /// The kernel's types.
    #[must_use]
    pub const fn types(&self) -> &Types<'a> {
        &self.types
    }

    /// The kernel's address space.
    #[must_use]
    pub const fn kernel(&self) -> AddressSpace {
        self.kernel
    }

    /// Fills `buf` from the kernel's address `at` on.
    ///
    /// # Errors
    /// At the first page that cannot be read.
    pub fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), MemoryError> {
        self.kernel.read(&self.memory, at, buf)
    }

    /// Lets as much be read again as when it was opened. Walks are bounded by that together, so
    /// that a program which goes on for as long as somebody asks calls this for each question.
    pub fn renew(&self) {
        self.memory.renew();
    }

    /// Fills `buf` through the page tables of a process, up to the first page that cannot be
    /// read: how many bytes that are, and why there are no more. What was swapped out is read
    /// from the areas that were kept.
    pub fn read_some_in(
        &self,
        space: AddressSpace,
        at: u64,
        buf: &mut [u8],
    ) -> (usize, Option<MemoryError>) {
        let mut done = 0;
        let mut rest = buf;
        loop {
            let address = at.wrapping_add(usize_as_u64(done));
            let (read, error) = space.read_some(&self.memory, address, rest);
            done += read;
            let Some(error) = error else {
                return (done, None);
            };
            if error.reason != Reason::SwappedOut {
                return (done, Some(error));
            }
            let (_, missing) = rest.split_at_mut(read);
            let in_page = PAGE_SIZE.get() - error.address % PAGE_SIZE.get();
            let len = missing.len().min(u64_as_usize(in_page));
            let (target, tail) = missing.split_at_mut(len);
            if let Err(error) = self.read_swapped(space, error.address, target) {
                return (done, Some(error));
            }
            done += len;
            rest = tail;
        }
    }

    /// What the page tables of a process say of an address.
    pub(crate) fn place_in(&self, space: AddressSpace, at: u64) -> Place {
        space.place(&self.memory, at)
    }

    /// Fills `buf` from the physical address `at` on; whether it is in the image.
    pub(crate) fn read_phys(&self, at: u64, buf: &mut [u8]) -> bool {
        self.memory.read(at, buf).is_ok()
    }

    /// The eight bytes at the kernel's address `at`.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read_u64(&self, at: u64) -> Result<u64, MemoryError> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// The physical address of the kernel's address `at`.
    ///
    /// # Errors
    /// If nothing is mapped there.
    pub fn phys(&self, at: u64) -> Result<u64, MemoryError> {
        let found = self.kernel.translate(&self.memory, at);
        found.map_err(|reason| MemoryError {
            address: at,
            reason,
        })
    }

    /// The text at the kernel's address `at`, of at most `limit` bytes, up to its first zero
    /// byte. What is not UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn text(&self, at: u64, limit: u64) -> Result<String, Error> {
        text(&self.kernel, &self.memory, at, limit)
    }

    /// The struct of type `name` at `address`.
    ///
    /// # Errors
    /// If the kernel has no such type.
    pub fn structure(&self, name: &'static str, address: u64) -> Result<Struct<'_>, Error> {
        Ok(Struct::new(self, self.types.find(name)?, address))
    }

    /// The kernel's variable `name`, a struct of type `of`.
    ///
    /// # Errors
    /// If there is no such variable or type.
    pub fn variable(&self, name: &'static str, of: &'static str) -> Result<Struct<'_>, Error> {
        self.structure(of, self.symbol(name)?)
    }

    /// The address of the kernel's variable `name`.
    pub(crate) fn symbol(&self, name: &'static str) -> Result<u64, Error> {
        self.symbols.get(name).ok_or(Error::NoSymbol(name))
    }
}

/// The text at `at`, of at most `limit` bytes.
fn text(space: &AddressSpace, memory: &Memory<'_>, at: u64, limit: u64) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let mut page = [0; u64_as_usize(PAGE_SIZE.get())];
    let mut at = at;
    let mut left = limit;
    while left > 0 {
        let in_page = PAGE_SIZE.get() - at % PAGE_SIZE.get();
        let len = in_page.min(left);
        let (part, _) = page.split_at_mut(u64_as_usize(len));
        space.read(memory, at, part)?;
        if let Some(end) = part.iter().position(|&byte| byte == 0) {
            bytes.extend_from_slice(part.get(..end).unwrap_or(&[]));
            break;
        }
        bytes.extend_from_slice(part);
        left -= len;
        let next = at.checked_add(len);
        at = next.ok_or(MemoryError {
            address: at,
            reason: Reason::Invalid,
        })?;
    }
    debug_assert!(usize_as_u64(bytes.len()) <= limit);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Btf, DIRECT, END, IMAGE, Kernel, TABLE, VMCOREINFO};

    fn opened(kernel: Kernel, vmcoreinfo: &[u8]) -> Result<String, Error> {
        let image = kernel.image();
        let facts = Facts {
            vmcoreinfo,
            ..image.facts()
        };
        Machine::open(image.memory(), facts).map(|machine| machine.banner().to_owned())
    }

    fn kernel() -> Kernel {
        Kernel::new(&Btf::new())
    }

    #[test]
    fn a_kernel_is_found_by_its_banner() {
        let banner = opened(kernel(), VMCOREINFO).unwrap();
        assert_eq!(banner, "Linux version 7.3.4 (test)");
    }

    #[test]
    fn another_kernel_at_that_place_is_refused() {
        let other = String::from_utf8_lossy(VMCOREINFO).replace("7.3.4", "7.3");
        let error = opened(kernel(), other.as_bytes()).unwrap_err();
        assert!(
            error.to_string().contains("not that of Linux 7.3."),
            "{error}"
        );
        assert!(matches!(error, Error::Banner { .. }), "{error}");
    }

    #[test]
    fn what_vmcoreinfo_lacks_is_named() {
        for (line, fact) in [
            ("OSRELEASE=7.3.4", "release"),
            ("NUMBER(phys_base)=0", "architecture"),
            ("SYMBOL(swapper_pg_dir)=ffffffff80001000", "swapper_pg_dir"),
            ("NUMBER(pgtable_l5_enabled)=0", "levels"),
        ] {
            let less = String::from_utf8_lossy(VMCOREINFO).replace(line, "");
            let error = opened(kernel(), less.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::NoFact(_)), "{line}: {error}");
            assert!(error.to_string().contains(fact), "{line}: {error}");
        }
        let image = kernel().image();
        let facts = Facts {
            symbols: Symbols::default(),
            ..image.facts()
        };
        let error = Machine::open(image.memory(), facts).unwrap_err();
        assert_eq!(error, Error::NoSymbol("linux_banner"));
    }

    #[test]
    fn page_tables_that_are_missing_or_lead_out_of_memory_are_said() {
        let mut missing = kernel();
        missing.lose(DIRECT + TABLE);
        let error = opened(missing, VMCOREINFO).unwrap_err();
        assert!(error.to_string().contains("does not have"), "{error}");
        let mut absent = kernel();
        absent.put(DIRECT + TABLE + 511 * 8, 0);
        let error = opened(absent, VMCOREINFO).unwrap_err();
        assert!(error.to_string().contains("is not mapped"), "{error}");
        let mut outside = kernel();
        outside.put(DIRECT + TABLE + 511 * 8, 0x00ff_ffff_f000 | 0x63);
        let error = opened(outside, VMCOREINFO).unwrap_err();
        assert!(error.to_string().contains("does not have"), "{error}");
    }

    #[test]
    fn a_table_that_leads_to_itself_ends() {
        let mut kernel = kernel();
        // Every level is the same table, and the last one maps itself.
        kernel.put(DIRECT + TABLE + 256 * 8, TABLE | 0x63);
        let image = kernel.image();
        let machine = image.machine();
        let fold = 256 << 39 | 256 << 30 | 256 << 21 | 256 << 12 | 0xffff_0000_0000_0000_u64;
        assert_eq!(machine.phys(fold + 8), Ok(TABLE + 8));
        assert_eq!(machine.read_u64(fold + 256 * 8), Ok(TABLE | 0x63));
    }

    #[test]
    fn every_page_of_a_read_is_translated() {
        let mut kernel = kernel();
        let at = kernel.allocate(0x3000);
        kernel.text(at + 0x0fff, "across");
        let image = kernel.image();
        let machine = image.machine();
        assert_eq!(machine.text(at + 0x0fff, 100).unwrap(), "across");
        assert_eq!(machine.text(at + 0x0fff, 3).unwrap(), "acr");
        assert_eq!(machine.phys(IMAGE + 0x5123), Ok(0x5123));
        let last = DIRECT + END - 4;
        let error = machine.read(last, &mut [0; 8]).unwrap_err();
        assert_eq!(error.address, DIRECT + END);
        assert_eq!(
            machine.phys(0x0000_8000_0000_0000).unwrap_err().reason,
            Reason::Invalid
        );
        assert_eq!(
            machine.phys(0x40_0000).unwrap_err().reason,
            Reason::NotMapped
        );
    }
}
