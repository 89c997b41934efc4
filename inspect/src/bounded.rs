// SPDX-License-Identifier: MIT OR Apache-2.0
//! What keeps a walk through a tree from going on without an end.

use crate::error::Error;
use crate::found::Found;
use crate::trouble::Trouble;
use std::collections::HashSet;

/// What a walk has found so far, and how far it may still go.
pub(crate) struct Bounded<T> {
    what: &'static str,
    /// The most nodes and entries.
    limit: usize,
    is_full: bool,
    seen: HashSet<u64>,
    pub(crate) found: Found<T>,
}

impl<T> Bounded<T> {
    /// A walk through `what`, with no more than `limit` nodes and entries.
    pub(crate) fn new(what: &'static str, limit: usize) -> Self {
        Self {
            what,
            limit,
            is_full: false,
            seen: HashSet::new(),
            found: Found::default(),
        }
    }

    /// Whether nothing more is taken.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether another one, a node or an entry, is taken; the first that is not is said.
    fn has_room(&mut self) -> bool {
        if self.is_full {
            return false;
        }
        let (what, limit) = (self.what, self.limit);
        self.is_full = self.seen.len() + self.found.items.len() >= limit;
        if self.is_full {
            self.found.troubles.push(Trouble::TooMany { what, limit });
        }
        !self.is_full
    }

    /// Keeps an entry, if there is room.
    pub(crate) fn keep(&mut self, item: T) {
        if self.has_room() {
            self.found.items.push(item);
        }
    }

    /// Whether the node at `at` is entered: it is new, not too deep, and there is room.
    pub(crate) fn enters(&mut self, at: u64, is_too_deep: bool) -> bool {
        if is_too_deep || !self.seen.insert(at) {
            self.circle(at);
            return false;
        }
        self.has_room()
    }

    /// Notes that what is at `at` leads in a circle.
    pub(crate) fn circle(&mut self, at: u64) {
        let what = self.what;
        self.found.troubles.push(Trouble::Circle { what, at });
    }

    /// Notes that at `at` there is `value`, which is no element.
    pub(crate) fn wild(&mut self, at: u64, value: u64) {
        let what = self.what;
        self.found.troubles.push(Trouble::Wild { what, at, value });
    }

    /// Notes what could not be read, and goes on; other errors end the walk.
    pub(crate) fn noted<R>(&mut self, read: Result<R, Error>) -> Result<Option<R>, Error> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error @ Error::Memory(_)) => {
                // Nothing that follows can be read either.
                self.is_full |= error.is_too_much();
                let what = self.what;
                self.found
                    .troubles
                    .push(Trouble::Unreadable { what, error });
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}
