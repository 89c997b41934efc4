// SPDX-License-Identifier: MIT OR Apache-2.0
//! The comparison, page by page.

use anyhow::{Result, anyhow, ensure};
use linpmem_phys::{
    MemoryMap, PAGE_SIZE, PhysAddr, PhysLen, PhysRange, ReadPhys, Unreadable, Unreadables,
};
use std::fmt;

/// How many addresses of wrong or missing pages are kept.
const KEPT: usize = 16;

/// A page that is not locked may have changed for a moment if it differs in at most
/// this many bytes: a lock, a count, some entries of a page table, the deep end of a
/// kernel stack, which looks as before once its task sleeps again. So may a free page
/// that is zero: it is cleared before it is handed out.
const FLICKER_BYTES: usize = 3072;

/// One page in this many may flicker. The slower the machine, the more do.
const FLICKER_SHARE: u64 = 5_000;

/// What a comparison found, in pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Pages of RAM, partial pages included.
    pub total: u64,
    /// Equal before, during and after the acquisition.
    pub stable: u64,
    /// Of the stable ones: equal in the image.
    pub equal: u64,
    /// Of the equal ones: not all zero.
    pub equal_with_data: u64,
    /// Of the equal ones: pages that the guest has locked.
    pub equal_and_still: u64,
    /// Stable, but different in the image in a few bytes, or zero in all views and not
    /// in the image.
    pub flickered: u64,
    /// Stable, but different in the image in any other way.
    pub wrong: u64,
    /// Not in the image, and not excused by the manifest.
    pub missing: u64,
    /// Not in the image, and listed as unreadable by the manifest.
    pub excused: u64,
    /// The first ones that flickered.
    pub first_flickered: Vec<PhysAddr>,
    /// The first wrong ones, and in how many bytes each differs.
    pub first_wrong: Vec<(PhysAddr, usize)>,
    /// The first missing ones.
    pub first_missing: Vec<PhysAddr>,
}

/// Compares `image` with QEMU's `views` of the same memory, taken before, during
/// and after the acquisition, in all of `ram`. Pages in `excused` are those that the
/// manifest lists as unreadable: they are zero in the image and never count as equal.
/// Pages in `still`, which is sorted, are locked: any difference there is an error.
///
/// # Errors
/// If one of them cannot be read, or QEMU has no memory where the guest has.
pub fn compare(
    ram: &MemoryMap,
    views: &[&dyn ReadPhys],
    image: &dyn ReadPhys,
    excused: &[PhysRange],
    still: &[PhysRange],
) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    let mut views: Vec<View<'_>> = views.iter().map(|&view| View::new(view)).collect();
    ensure!(
        views.len() >= 2,
        "at least a view before and one after are needed"
    );
    let mut image = View::new(image);
    for region in ram.regions() {
        for piece in region.range.pieces(PhysLen::new(1 << 20)) {
            image.load(piece)?;
            for view in &mut views {
                view.load(piece)?;
                ensure!(
                    view.unreadable.is_empty(),
                    "QEMU has no memory in {piece}, which the guest calls RAM"
                );
            }
            for page in piece.pieces(PAGE_SIZE) {
                let mut pages = views.iter().map(|view| view.page(page));
                let first = pages.next().flatten();
                let known = first.filter(|_| pages.all(|other| other == first));
                let state = State {
                    excused: excused.iter().any(|range| range.intersect(page).is_some()),
                    still: holds(still, page),
                };
                let found = image.page(page);
                let found = found.filter(|_| !state.excused && !image.lacks(page));
                comparison.count(page.start(), known, found, state);
            }
        }
    }
    Ok(comparison)
}

/// What is known about a page besides its bytes.
#[derive(Clone, Copy, Debug)]
struct State {
    /// The manifest lists it as unreadable.
    excused: bool,
    /// The guest has locked it.
    still: bool,
}

/// Whether all of `page` is in one of `ranges`, which are sorted.
fn holds(ranges: &[PhysRange], page: PhysRange) -> bool {
    let after = ranges.partition_point(|range| range.start() <= page.start());
    let before = after.checked_sub(1).and_then(|index| ranges.get(index));
    before.is_some_and(|range| page.end() <= range.end())
}

impl Comparison {
    /// Counts the page at `at`: its `known` content if it is stable, and the content
    /// `found` in the image if it is there.
    fn count(&mut self, at: PhysAddr, known: Option<&[u8]>, found: Option<&[u8]>, state: State) {
        self.total += 1;
        self.stable += u64::from(known.is_some());
        match (known, found) {
            (_, None) if state.excused => self.excused += 1,
            (_, None) => {
                self.missing += 1;
                keep(&mut self.first_missing, at);
            }
            (None, Some(_)) => {}
            (Some(known), Some(found)) if known == found => {
                self.equal += 1;
                self.equal_with_data += u64::from(found.iter().any(|&byte| byte != 0));
                self.equal_and_still += u64::from(state.still);
            }
            (Some(known), Some(found)) => {
                let pairs = known.iter().zip(found);
                let different = pairs.filter(|(known, found)| known != found).count();
                let was_zero = known.iter().all(|&byte| byte == 0);
                if !state.still && (different <= FLICKER_BYTES || was_zero) {
                    self.flickered += 1;
                    keep(&mut self.first_flickered, at);
                } else {
                    self.wrong += 1;
                    keep(&mut self.first_wrong, (at, different));
                }
            }
        }
    }

    /// The share of all pages that were stable and equal in the image, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        ratio(self.equal, self.total)
    }

    /// Whether the only problem is that more pages than usual changed and changed back.
    /// Another acquisition can tell a busy moment from a fault.
    #[must_use]
    pub fn is_restless(&self) -> bool {
        self.wrong == 0 && self.missing == 0 && self.flickered > self.total / FLICKER_SHARE
    }

    /// Requires that the image is right, and that enough of it could be compared.
    ///
    /// # Errors
    /// If a page is wrong or missing, too many flickered, or the share is not above
    /// `least`.
    pub fn require(&self, least: f64) -> Result<()> {
        let right = self.wrong == 0
            && self.missing == 0
            && self.flickered <= self.total / FLICKER_SHARE
            && self.share() > least;
        right
            .then_some(())
            .ok_or_else(|| anyhow!("the image differs from the machine's memory: {self}"))
    }
}

fn keep<T>(list: &mut Vec<T>, at: T) {
    if list.len() < KEPT {
        list.push(at);
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    // Pages of one machine fit a u32.
    let number = |pages: u64| f64::from(u32::try_from(pages).unwrap_or(u32::MAX));
    number(part) / number(whole.max(1))
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} pages of RAM, {} equal before, during and after, {} of these equal in the \
             image ({:.1} % of RAM; {} with data, {} locked), {} changed for a moment, {} wrong, \
             {} missing, {} unreadable",
            self.total,
            self.stable,
            self.equal,
            self.share() * 100.0,
            self.equal_with_data,
            self.equal_and_still,
            self.flickered,
            self.wrong,
            self.missing,
            self.excused
        )?;
        for (what, list) in [
            ("changed", &self.first_flickered),
            ("missing", &self.first_missing),
        ] {
            for at in list {
                write!(f, "; {what} at {at}")?;
            }
        }
        for (at, bytes) in &self.first_wrong {
            write!(f, "; wrong in {bytes} bytes at {at}")?;
        }
        Ok(())
    }
}

/// One side of the comparison, and the piece of it at hand.
struct View<'a> {
    memory: &'a dyn ReadPhys,
    bytes: Vec<u8>,
    start: PhysAddr,
    unreadable: Unreadables,
}

impl<'a> View<'a> {
    fn new(memory: &'a dyn ReadPhys) -> Self {
        Self {
            memory,
            bytes: Vec::new(),
            start: PhysAddr::ZERO,
            unreadable: Unreadables::new(),
        }
    }

    fn load(&mut self, piece: PhysRange) -> Result<()> {
        self.start = piece.start();
        self.bytes.resize(usize::try_from(piece.len().get())?, 0);
        self.unreadable.clear();
        self.memory
            .read_phys(piece.start(), &mut self.bytes, &mut self.unreadable)?;
        Ok(())
    }

    fn page(&self, page: PhysRange) -> Option<&[u8]> {
        let index = |addr: PhysAddr| usize::try_from(addr.checked_sub(self.start)?.get()).ok();
        self.bytes.get(index(page.start())?..index(page.end())?)
    }

    fn lacks(&self, page: PhysRange) -> bool {
        let touches = |item: &Unreadable| item.range.intersect(page).is_some();
        self.unreadable.as_slice().iter().any(touches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{MemoryImage, Region, RegionKind};

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    fn map(end: u64) -> MemoryMap {
        let kind = RegionKind::SystemRam;
        let range = range(0, end);
        MemoryMap::new([Region { range, kind }]).unwrap()
    }

    /// Pages, each of one byte.
    fn memory(pages: &[u8]) -> MemoryImage {
        let bytes = pages.iter().flat_map(|&byte| [byte; 4096]).collect();
        MemoryImage::new(map(u64::try_from(pages.len()).unwrap() << 12), bytes)
    }

    #[test]
    fn only_stable_pages_are_judged() {
        let before = memory(&[0, 1, 2, 3, 4]);
        let after = memory(&[0, 1, 9, 3, 4]);
        let image = memory(&[0, 1, 7, 8]);
        let found = compare(&map(0x5000), &[&before, &after], &image, &[], &[]).unwrap();
        assert_eq!(
            (
                found.total,
                found.stable,
                found.equal,
                found.equal_with_data
            ),
            (5, 4, 2, 1)
        );
        assert_eq!((found.wrong, found.missing, found.excused), (1, 1, 0));
        assert_eq!(found.first_wrong, [(PhysAddr::new(0x3000), 4096)]);
        assert_eq!(found.first_missing, [PhysAddr::new(0x4000)]);
        assert!(found.require(0.1).is_err());
    }

    #[test]
    fn a_page_that_changed_and_changed_back_is_not_judged_if_that_was_seen() {
        let truth = memory(&[1; 2]);
        let during = memory(&[1, 2]);
        let image = memory(&[1, 2]);
        let found = compare(&map(0x2000), &[&truth, &during, &truth], &image, &[], &[]).unwrap();
        assert_eq!((found.stable, found.equal, found.wrong), (1, 1, 0));
        let found = compare(&map(0x2000), &[&truth, &truth], &image, &[], &[]).unwrap();
        assert_eq!((found.stable, found.equal, found.wrong), (2, 1, 1));
    }

    #[test]
    fn a_few_pages_may_flicker_in_a_few_bytes() {
        let many = usize::try_from(FLICKER_SHARE).unwrap();
        let truth = memory(&vec![1; many]);
        let whole = map(FLICKER_SHARE << 12);
        let mut bytes = vec![1; many << 12];
        bytes[0x3000..0x3000 + FLICKER_BYTES].fill(2);
        let image = MemoryImage::new(whole.clone(), bytes.clone());
        let found = compare(&whole, &[&truth, &truth], &image, &[], &[]).unwrap();
        assert_eq!((found.flickered, found.wrong), (1, 0));
        found.require(0.9).unwrap();
        bytes[0x5000] = 2;
        let image = MemoryImage::new(whole.clone(), bytes.clone());
        let found = compare(&whole, &[&truth, &truth], &image, &[], &[]).unwrap();
        assert_eq!((found.flickered, found.wrong), (2, 0));
        assert!(found.require(0.9).is_err() && found.is_restless());
        bytes[0x5000] = 1;
        bytes[0x3000 + FLICKER_BYTES] = 2;
        let image = MemoryImage::new(whole.clone(), bytes);
        let found = compare(&whole, &[&truth, &truth], &image, &[], &[]).unwrap();
        assert_eq!((found.flickered, found.wrong), (0, 1));
        assert!(found.require(0.9).is_err());
    }

    #[test]
    fn a_locked_page_may_not_flicker() {
        let many = usize::try_from(FLICKER_SHARE).unwrap();
        let truth = memory(&vec![0; many]);
        let whole = map(FLICKER_SHARE << 12);
        let mut bytes = vec![0; many << 12];
        bytes[0x3000] = 2;
        let image = MemoryImage::new(whole.clone(), bytes);
        let judge = |still: &[PhysRange]| compare(&whole, &[&truth, &truth], &image, &[], still);
        let around = [range(0x1000, 0x3000), range(0x4000, 0x6000)];
        let found = judge(&around).unwrap();
        assert_eq!((found.flickered, found.wrong), (1, 0));
        assert_eq!(found.equal_and_still, 4);
        let over = [range(0x1000, 0x2000), range(0x2000, 0x5000)];
        let found = judge(&over).unwrap();
        assert_eq!((found.flickered, found.wrong), (0, 1));
        assert_eq!(found.first_wrong, [(PhysAddr::new(0x3000), 1)]);
        assert!(found.require(0.1).is_err());
    }

    #[test]
    fn a_page_listed_as_unreadable_is_excused_and_never_equal() {
        let truth = memory(&[0, 0, 1]);
        let image = memory(&[0, 0, 1]);
        let listed = [range(0x1000, 0x2000)];
        let found = compare(&map(0x3000), &[&truth, &truth], &image, &listed, &[]).unwrap();
        assert_eq!((found.equal, found.excused, found.missing), (2, 1, 0));
        found.require(0.6).unwrap();
        assert!(found.require(0.7).is_err());
    }

    #[test]
    fn a_partial_page_is_compared_as_far_as_it_is_ram() {
        let truth = memory(&[1, 1]);
        let mut bytes = vec![1; 0x2000];
        bytes[0x1100..].fill(2);
        let image = MemoryImage::new(map(0x2000), bytes);
        let found = compare(&map(0x1100), &[&truth, &truth], &image, &[], &[]).unwrap();
        assert_eq!((found.total, found.equal), (2, 2));
        let found = compare(&map(0x1f00), &[&truth, &truth], &image, &[], &[]).unwrap();
        assert_eq!((found.equal, found.wrong), (1, 1));
    }

    #[test]
    fn memory_that_qemu_lacks_is_an_error() {
        let truth = memory(&[1]);
        assert!(compare(&map(0x2000), &[&truth, &truth], &truth, &[], &[]).is_err());
    }
}
