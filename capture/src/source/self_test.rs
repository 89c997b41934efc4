// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a source reads the right memory. This process fills pages of its own with
//! unique data and looks up their physical addresses in /proc/self/pagemap; the source
//! has to return that data.

use super::vmcoreinfo;
use crate::clock::monotonic_ns;
use crate::kernel_page;
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The kernel may move a page during the test, but hardly this many.
const PAGES: usize = 8;

/// Bits of an entry (Documentation/admin-guide/mm/pagemap.rst).
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The source failed the test, or could not be tested.
#[derive(Debug, thiserror::Error)]
pub(super) enum SelfTestFailed {
    #[error(
        "it does not allow reading System RAM: the test page at {at} could not be read ({why})"
    )]
    Refused { at: PhysAddr, why: String },
    #[error("it returns wrong data: the test page at {at} read back differently")]
    Wrong { at: PhysAddr },
    #[error("it could not be tested with known pages: {0}")]
    Untested(String),
}

/// Reads pages with known content through `source`.
///
/// # Errors
/// If it returns anything else or cannot read them, or if no page is known.
pub(super) fn run(source: &dyn ReadPhys) -> Result<(), SelfTestFailed> {
    match own_pages(source) {
        // Without CAP_SYS_ADMIN the kernel hides physical addresses.
        Err(SelfTestFailed::Untested(why)) => {
            vmcoreinfo_page(source).map_err(|other| match other {
                SelfTestFailed::Untested(other) => {
                    SelfTestFailed::Untested(format!("{why}; {other}"))
                }
                wrong => wrong,
            })
        }
        outcome => outcome,
    }
}

fn own_pages(source: &dyn ReadPhys) -> Result<(), SelfTestFailed> {
    let untested =
        |error: io::Error| SelfTestFailed::Untested(format!("/proc/self/pagemap: {error}"));
    let pagemap = File::open("/proc/self/pagemap").map_err(untested)?;
    let page = rustix::param::page_size();
    let buffer = pattern((PAGES + 1) * page);
    let first = buffer.as_ptr().addr().next_multiple_of(page);
    // Less than the page that the buffer has more than it needs.
    let own = buffer.split_at(first - buffer.as_ptr().addr()).1;
    let mut reason = SelfTestFailed::Untested("the kernel moved every test page".to_owned());
    for (number, known) in own.chunks_exact(page).take(PAGES).enumerate() {
        // An address within the buffer.
        let virt = first + number * page;
        let Some(at) = phys_addr_of(&pagemap, virt).map_err(untested)? else {
            continue;
        };
        let mut found = vec![0; page];
        let mut unreadable = Unreadables::new();
        source
            .read_phys(at, &mut found, &mut unreadable)
            .map_err(|error| SelfTestFailed::Refused {
                at,
                why: error.message,
            })?;
        if phys_addr_of(&pagemap, virt).map_err(untested)? != Some(at) {
            continue;
        }
        reason = match unreadable.as_slice().first() {
            None if found == known => return Ok(()),
            None => return Err(SelfTestFailed::Wrong { at }),
            Some(item) => SelfTestFailed::Refused {
                at,
                why: item.errno.to_string(),
            },
        };
    }
    Err(reason)
}

/// The physical address of the page at `virt`; `None` if the kernel hides it or the page
/// is not in memory.
fn phys_addr_of(pagemap: &File, virt: usize) -> io::Result<Option<PhysAddr>> {
    let mut entry = [0; 8];
    // Smaller than the address it is made from.
    let offset = usize_as_u64(virt / rustix::param::page_size() * entry.len());
    pagemap.read_exact_at(&mut entry, offset)?;
    let entry = u64::from_le_bytes(entry);
    let frame = entry & FRAME;
    if entry & PRESENT == 0 || frame == 0 {
        return Ok(None);
    }
    Ok(frame
        .checked_mul(kernel_page::size().get())
        .map(PhysAddr::new))
}

/// Bytes that no other memory contains.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = (monotonic_ns() ^ (u64::from(std::process::id()) << 40)) | 1;
    let mut bytes = vec![0; len];
    for chunk in bytes.chunks_exact_mut(8) {
        // xorshift64: its numbers do not repeat within any machine's memory.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// Tests with VMCOREINFO, which contains the kernel's release.
fn vmcoreinfo_page(source: &dyn ReadPhys) -> Result<(), SelfTestFailed> {
    let text = vmcoreinfo::read(source, None)
        .map_err(|error| SelfTestFailed::Untested(error.reason().to_owned()))?;
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    match vmcoreinfo::record(&text).release {
        Some(found) if found == release => Ok(()),
        found => Err(SelfTestFailed::Untested(format!(
            "VMCOREINFO has the release {found:?}, and the running kernel is {release}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{Errno, PAGE_SIZE, PhysRange, SourceError};

    const PAGE: usize = 4096;

    /// Gives the same bytes wherever it is read, or refuses.
    struct Constant(Option<u8>);

    impl ReadPhys for Constant {
        fn read_phys(
            &self,
            start: PhysAddr,
            buf: &mut [u8],
            unreadable: &mut Unreadables,
        ) -> Result<(), SourceError> {
            match self.0 {
                Some(byte) => buf.fill(byte),
                None => {
                    let range = PhysRange::from_len(start, PAGE_SIZE).unwrap();
                    unreadable.push(range, Errno::EPERM);
                }
            }
            Ok(())
        }
    }

    #[test]
    fn a_source_of_anything_else_fails() {
        for byte in [Some(0), Some(0xff), None] {
            assert!(run(&Constant(byte)).is_err(), "{byte:?}");
        }
    }

    #[test]
    fn the_pattern_differs_each_time() {
        let one = pattern(4 * PAGE);
        assert_ne!(one, pattern(4 * PAGE));
        assert!(
            one.chunks_exact(PAGE)
                .all(|page| page != &one[..PAGE] || page.as_ptr() == one.as_ptr())
        );
    }
}
