// SPDX-License-Identifier: MIT OR Apache-2.0
//! What reading a file may cost: the memory that it makes a reader hold, and the work that
//! it makes a reader do, both in proportion to what the file really has.
//!
//! A few bytes can describe a great deal: a name that is repeated, a bitmap that
//! compresses to nothing, an archive whose members share their bytes. Limits for each item
//! do not help, since a file may have many items. So there is one [`Budget`] for all that a
//! program opens, and each reader opens an [`Account`] in it.
//!
//! Honest files need little. What is held for an image is its description, not its memory:
//! an AFF4 image of 1 TiB has 16,384 segments, whose names take 25 MB; a zstd image of
//! 1 TiB has a million frames, which take 64 MB. What grows further, such as the ranges of
//! a fragmented dump, has a place in the file for each of its items, and a file that
//! really has more bytes may hold more.

use crate::ReadAt;
use linpmem_phys::PhysLen;
use linpmem_phys::num::usize_as_u64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory and work that reading may cost, shared by all its clones.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: u64,
    held: Meter,
}

/// A quantity and its limit, which grows with the files that are open.
#[derive(Debug)]
struct Meter {
    room: AtomicU64,
    used: AtomicU64,
}

/// What one reader takes out of a [`Budget`]. Memory goes back when it is dropped.
#[derive(Debug)]
pub struct Account {
    budget: Budget,
    /// The room that the file brought along.
    share: u64,
    held: AtomicU64,
    /// What may be done for this file: a command that opens it again may do it again.
    work: Meter,
}

/// Memory that is held for a moment.
#[derive(Debug)]
pub(crate) struct Loan<'a> {
    account: &'a Account,
    bytes: u64,
}

/// A file needs more than its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} {} than a file of this size may (memory limit {limit}): it is damaged or forged. If \
     you trust it, raise the limit with --memory-limit",
    .cost.words()
)]
pub struct OverBudget {
    /// What needs it, in the plural.
    what: &'static str,
    cost: Cost,
    /// The limit that was set.
    limit: PhysLen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cost {
    Memory,
    Work,
}

/// What is held may take this part of the limit. The rest is for what is read and
/// decompressed at the moment, which has limits of its own, and for what is printed.
const HELD_PART: u64 = 2;
/// How many bytes of a file allow one more byte to be held.
const FILE_BYTES_PER_HELD: u64 = 8;
/// How many bytes may be decompressed or hashed for each byte of the limit, whatever the
/// file: a second or two of work.
const WORK_PER_LIMIT: u64 = 2;
/// How many bytes may be decompressed or hashed for each byte of a file. Memory is zero for
/// the most part where it is not used, but even an idle machine needs a hundredth of it to
/// manage it, and compression makes a tenth of that.
const WORK_PER_FILE_BYTE: u64 = 256;
/// What a range of an image takes in its reader, in the map of a source, in plans and in a
/// manifest.
const RANGE_BYTES: u64 = 384;
/// Work that a small item stands for: about as long as a statement takes to parse. A small
/// file may have 65,536 of them.
const ITEM_WORK: u64 = 8 << 10;

impl Budget {
    /// The limit if none is given.
    pub const DEFAULT_LIMIT: PhysLen = PhysLen::new(256 << 20);

    /// A budget for a program that may take about `limit` bytes of memory.
    #[must_use]
    pub fn new(limit: PhysLen) -> Self {
        let limit = limit.get();
        Self(Arc::new(Shared {
            limit,
            held: Meter::new(limit / HELD_PART),
        }))
    }

    /// An account for what the file `source` says, which makes the budget larger by a share
    /// of the file's size while it is open.
    pub fn open(&self, source: &(impl ReadAt + ?Sized)) -> Account {
        let bytes = source.stored_bytes();
        let share = bytes / FILE_BYTES_PER_HELD;
        self.0.held.grow(share);
        // Beyond 2^64 bytes nothing is limited.
        let least = self.0.limit.saturating_mul(WORK_PER_LIMIT);
        let work = least.saturating_add(bytes.saturating_mul(WORK_PER_FILE_BYTE));
        Account {
            budget: self.clone(),
            share,
            held: AtomicU64::new(0),
            work: Meter::new(work),
        }
    }

    fn error(&self, what: &'static str, cost: Cost) -> OverBudget {
        OverBudget {
            what,
            cost,
            limit: PhysLen::new(self.0.limit),
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

impl Account {
    /// The budget.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Holds `bytes` of memory for `what`, until the account is dropped.
    ///
    /// # Errors
    /// If that exceeds the budget. The account is unchanged then.
    pub fn hold(&self, what: &'static str, bytes: u64) -> Result<(), OverBudget> {
        if !self.budget.0.held.take(bytes) {
            return Err(self.budget.error(what, Cost::Memory));
        }
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Holds `count` items of the type `T`, in a vector that may have grown to twice their
    /// size.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub fn hold_items<T>(&self, what: &'static str, count: usize) -> Result<(), OverBudget> {
        let each = usize_as_u64(size_of::<T>()) * 2;
        self.hold(what, usize_as_u64(count).saturating_mul(each))
    }

    /// Holds `count` ranges of an image: in its reader, and wherever it is described.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub(crate) fn hold_ranges(&self, count: usize) -> Result<(), OverBudget> {
        let bytes = usize_as_u64(count).saturating_mul(RANGE_BYTES);
        self.hold("the ranges of an image", bytes)
    }

    /// Holds `bytes` of memory for `what` until the loan is dropped.
    pub(crate) fn lend(&self, what: &'static str, bytes: u64) -> Result<Loan<'_>, OverBudget> {
        self.hold(what, bytes)?;
        Ok(Loan {
            account: self,
            bytes,
        })
    }

    /// Notes that `bytes` are decompressed, hashed or searched for `what`.
    ///
    /// # Errors
    /// If that exceeds the budget.
    pub fn work(&self, what: &'static str, bytes: u64) -> Result<(), OverBudget> {
        match self.work.take(bytes) {
            true => Ok(()),
            false => Err(self.budget.error(what, Cost::Work)),
        }
    }

    /// Notes that one of many small items of `what` is looked at.
    ///
    /// # Errors
    /// As [`work`](Self::work).
    pub fn item(&self, what: &'static str) -> Result<(), OverBudget> {
        self.work(what, ITEM_WORK)
    }

    fn give_back(&self, bytes: u64) {
        self.budget.0.held.give_back(bytes);
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let meter = &self.budget.0.held;
        meter.give_back(*self.held.get_mut());
        meter.shrink(self.share);
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}

impl Meter {
    const fn new(room: u64) -> Self {
        Self {
            room: AtomicU64::new(room),
            used: AtomicU64::new(0),
        }
    }

    fn grow(&self, by: u64) {
        let add = |room: u64| Some(room.saturating_add(by));
        let _ = self
            .room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes back what [`grow`](Self::grow) gave.
    fn shrink(&self, by: u64) {
        let take = |room: u64| Some(room.saturating_sub(by));
        let _ = self
            .room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
    }

    /// Whether there was room for `amount`.
    fn take(&self, amount: u64) -> bool {
        let room = self.room.load(Ordering::Relaxed);
        let add = |used: u64| used.checked_add(amount).filter(|used| *used <= room);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .is_ok()
    }

    fn give_back(&self, amount: u64) {
        self.used.fetch_sub(amount, Ordering::Relaxed);
    }
}

impl Cost {
    const fn words(self) -> &'static str {
        match self {
            Self::Memory => "need more memory",
            Self::Work => "take more work",
        }
    }
}

impl From<OverBudget> for std::io::Error {
    fn from(error: OverBudget) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_limited_for_all_files_together_and_comes_back() {
        let budget = Budget::new(PhysLen::new(1000));
        let (a, b) = (budget.open(&b""[..]), budget.open(&b""[..]));
        a.hold("names", 300).unwrap();
        let loan = b.lend("names", 150).unwrap();
        let error = a.hold("names", 51).unwrap_err().to_string();
        assert!(
            error.contains("names need more memory") && error.contains("1000 B)"),
            "{error}"
        );
        assert!(error.contains("--memory-limit"), "{error}");
        a.hold("names", 50).unwrap();
        drop(loan);
        b.hold("names", 150).unwrap();
        drop(a);
        b.hold("names", 350).unwrap();
        assert!(b.hold("names", 1).is_err());
        assert!(b.hold("names", u64::MAX).is_err());
    }

    #[test]
    fn a_larger_file_may_hold_more_and_take_longer() {
        let budget = Budget::new(PhysLen::new(1000));
        let file = vec![0; 8000];
        let open = budget.open(&file);
        open.hold("names", 1500).unwrap();
        assert!(open.hold("names", 1).is_err());
        open.work("hashes", 2000 + 8000 * 256).unwrap();
        let error = open.work("hashes", 1).unwrap_err().to_string();
        assert!(error.contains("hashes take more work"), "{error}");
        drop(open);
        assert!(budget.open(&b""[..]).hold("names", 501).is_err());
    }
}
