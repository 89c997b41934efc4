// SPDX-License-Identifier: MIT OR Apache-2.0
//! The troubles that were met, as many as anyone reads.

use crate::error::Error;
use crate::machine::Struct;
use crate::trouble::Trouble;
use std::ops::Deref;

/// How many are kept: an image that was made for the purpose has as many as it likes.
const MAX_KEPT: usize = 1000;

/// Troubles in the order in which they were met: the first 1000, and how many there were
/// after them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    kept: Vec<Trouble>,
    more: u64,
}

impl Troubles {
    /// Keeps `trouble`, or counts it.
    pub fn push(&mut self, trouble: Trouble) {
        match self.kept.len() < MAX_KEPT {
            true => self.kept.push(trouble),
            false => self.more = self.more.saturating_add(1),
        }
    }

    /// Keeps or counts those of `others`.
    pub fn append(&mut self, others: Self) {
        for trouble in others.kept {
            self.push(trouble);
        }
        self.more = self.more.saturating_add(others.more);
    }

    /// What was `read` of `what`; `None` and a trouble if memory kept it from being read.
    ///
    /// # Errors
    /// If this kernel has no such thing at all.
    pub(crate) fn known<T>(
        &mut self,
        what: &'static str,
        read: Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(error @ (Error::Memory(_) | Error::Null { .. } | Error::Endless { .. })) => {
                self.push(Trouble::Unreadable { what, error });
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// The number that the member `path` of `of` holds, as [`known`](Self::known).
    pub(crate) fn number(
        &mut self,
        what: &'static str,
        of: Struct<'_>,
        path: &'static str,
    ) -> Result<Option<u64>, Error> {
        let read = of.field(path)?.u64();
        self.known(what, read)
    }

    /// Drops those of the kept ones that `is_wanted` is not true of.
    pub(crate) fn retain(&mut self, is_wanted: impl Fn(&Trouble) -> bool) {
        self.kept.retain(is_wanted);
    }

    /// How many were counted alone.
    #[must_use]
    pub const fn more(&self) -> u64 {
        self.more
    }
}

impl Deref for Troubles {
    type Target = [Trouble];

    fn deref(&self) -> &[Trouble] {
        &self.kept
    }
}

impl<const N: usize> PartialEq<[Trouble; N]> for Troubles {
    fn eq(&self, other: &[Trouble; N]) -> bool {
        self.more == 0 && self.kept == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(at: u64) -> Trouble {
        Trouble::Circle { what: "list", at }
    }

    #[test]
    fn the_first_ones_are_kept_and_the_others_counted() {
        let mut troubles = Troubles::default();
        for at in 0..1003 {
            troubles.push(trouble(at));
        }
        assert_eq!((troubles.len(), troubles.more()), (1000, 3));
        assert_eq!(troubles.last(), Some(&trouble(999)));
        let mut both = Troubles::default();
        both.push(trouble(7));
        both.append(troubles);
        assert_eq!((both.len(), both.more()), (1000, 4));
        assert_eq!(both.get(..2), Some(&[trouble(7), trouble(0)][..]));
    }
}
