// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was made last, as much as there is room for.

use std::collections::VecDeque;

/// The values used last, by a key; together they take no more than so many bytes, or there is
/// but one of them.
#[derive(Debug)]
pub(crate) struct Kept<K, V> {
    room: usize,
    values: VecDeque<(K, V, usize)>,
}

/// The most values, so that looking one up stays fast.
const MAX_VALUES: usize = 32;

impl<K: PartialEq, V: Clone> Kept<K, V> {
    pub(crate) const fn new(room: usize) -> Self {
        Self {
            room,
            values: VecDeque::new(),
        }
    }

    /// The value of `key`.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let at = self.values.iter().position(|(kept, _, _)| kept == key)?;
        let used = self.values.remove(at)?;
        let value = used.1.clone();
        self.values.push_back(used);
        Some(value)
    }

    /// Keeps `value`, which takes so many `bytes`.
    pub(crate) fn put(&mut self, key: K, value: V, bytes: usize) {
        let mut total: usize = self.values.iter().map(|(_, _, bytes)| bytes).sum();
        total = total.saturating_add(bytes);
        while self.values.len() >= MAX_VALUES || total > self.room {
            let Some((_, _, bytes)) = self.values.pop_front() else {
                break;
            };
            total = total.saturating_sub(bytes);
        }
        self.values.push_back((key, value, bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_is_kept_within_the_room() {
        let mut kept = Kept::new(20);
        kept.put('a', 1, 8);
        kept.put('b', 2, 8);
        assert_eq!(kept.get(&'a'), Some(1));
        kept.put('c', 3, 8);
        assert_eq!(
            [kept.get(&'a'), kept.get(&'b'), kept.get(&'c')],
            [Some(1), None, Some(3)]
        );
        // One that is too large is alone.
        kept.put('d', 4, 100);
        assert_eq!([kept.get(&'c'), kept.get(&'d')], [None, Some(4)]);
        kept.put('e', 5, 0);
        assert_eq!([kept.get(&'d'), kept.get(&'e')], [None, Some(5)]);
        for key in 0..100 {
            kept.put(char::from(key), 0, 0);
        }
        assert_eq!((kept.get(&'\0'), kept.get(&'c')), (None, Some(0)));
    }
}
