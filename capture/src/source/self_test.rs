// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a source reads what it should: pages of our own are filled with what
//! nobody else knows, /proc/self/pagemap tells where they lie, and the source has
//! to find it there.

use super::vmcoreinfo;
use crate::clock::monotonic_ns;
use linpmem_phys::{PAGE_SIZE, PhysAddr, ReadPhys, Unreadables};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A page may move while it is looked for; not so many.
const PAGES: usize = 8;
const PAGE: usize = 4096;

/// Bits of an entry (Documentation/admin-guide/mm/pagemap.rst).
const PRESENT: u64 = 1 << 63;
const FRAME: u64 = (1 << 55) - 1;

/// The source did not give what is known to lie there.
#[derive(Debug, thiserror::Error)]
pub(super) enum SelfTestFailed {
    #[error("it refuses System RAM: a page of our own, at {at}, could not be read ({why})")]
    Refused { at: PhysAddr, why: String },
    #[error("what it gives for {at} is not what lies there: it reads something else")]
    Wrong { at: PhysAddr },
    #[error("it could not be tested: {0}")]
    Untested(String),
}

/// Reads pages through `source` whose content is known.
///
/// # Errors
/// If it gives anything else, or refuses, or if nothing is known.
pub(super) fn run(source: &dyn ReadPhys) -> Result<(), SelfTestFailed> {
    match own_pages(source) {
        // Without CAP_SYS_ADMIN the kernel tells no addresses.
        Err(SelfTestFailed::Untested(why)) => note(source).map_err(|other| match other {
            SelfTestFailed::Untested(other) => SelfTestFailed::Untested(format!("{why}; {other}")),
            wrong => wrong,
        }),
        outcome => outcome,
    }
}

fn own_pages(source: &dyn ReadPhys) -> Result<(), SelfTestFailed> {
    let untested =
        |error: io::Error| SelfTestFailed::Untested(format!("/proc/self/pagemap: {error}"));
    let pagemap = File::open("/proc/self/pagemap").map_err(untested)?;
    let buffer = pattern((PAGES + 1) * PAGE);
    let first = buffer.as_ptr().addr().next_multiple_of(PAGE);
    let skipped = first.saturating_sub(buffer.as_ptr().addr());
    let own = buffer.get(skipped..).unwrap_or_default();
    let mut reason = SelfTestFailed::Untested("no page of our own held still".to_owned());
    for (number, known) in own.chunks_exact(PAGE).take(PAGES).enumerate() {
        let virt = first.saturating_add(number.saturating_mul(PAGE));
        let Some(at) = place(&pagemap, virt).map_err(untested)? else {
            continue;
        };
        let mut found = vec![0; PAGE];
        let mut unreadable = Unreadables::new();
        source
            .read_phys(at, &mut found, &mut unreadable)
            .map_err(|error| SelfTestFailed::Refused {
                at,
                why: error.message,
            })?;
        if place(&pagemap, virt).map_err(untested)? != Some(at) {
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

/// Where the page at `virt` lies.
fn place(pagemap: &File, virt: usize) -> io::Result<Option<PhysAddr>> {
    let mut entry = [0; 8];
    let index = u64::try_from(virt / PAGE).unwrap_or(u64::MAX);
    pagemap.read_exact_at(&mut entry, index.saturating_mul(8))?;
    let entry = u64::from_le_bytes(entry);
    let frame = entry & FRAME;
    if entry & PRESENT == 0 || frame == 0 {
        return Ok(None);
    }
    Ok(frame.checked_mul(PAGE_SIZE.get()).map(PhysAddr::new))
}

/// Bytes that lie nowhere else.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = (monotonic_ns() ^ (u64::from(std::process::id()) << 40)) | 1;
    let mut words = std::iter::repeat_with(|| {
        // xorshift64: its numbers do not repeat within any machine's memory.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    });
    let mut bytes = vec![0; len];
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&words.next().unwrap_or_default().to_le_bytes());
    }
    bytes
}

/// The kernel's note of itself, which names its release.
fn note(source: &dyn ReadPhys) -> Result<(), SelfTestFailed> {
    let text = vmcoreinfo::read(source, None)
        .map_err(|error| SelfTestFailed::Untested(error.reason().to_owned()))?;
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    match vmcoreinfo::record(&text).release {
        Some(told) if told == release => Ok(()),
        told => Err(SelfTestFailed::Untested(format!(
            "the kernel's note names the release {told:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{Errno, PhysRange, SourceError};

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
                    unreadable.push(range, Errno::new(1));
                }
            }
            Ok(())
        }
    }

    #[test]
    fn a_source_of_anything_else_is_no_source() {
        for byte in [Some(0), Some(0xff), None] {
            assert!(run(&Constant(byte)).is_err(), "{byte:?}");
        }
    }

    #[test]
    fn the_pattern_is_another_one_each_time() {
        let one = pattern(4 * PAGE);
        assert_ne!(one, pattern(4 * PAGE));
        assert!(
            one.chunks_exact(PAGE)
                .all(|page| page != &one[..PAGE] || page.as_ptr() == one.as_ptr())
        );
    }
}
