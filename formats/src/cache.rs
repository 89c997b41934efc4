// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small cache of what was read or decompressed last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The values used last, up to a fixed number of bytes. Failures are kept too: a
/// caller that looks for readable pages around damage asks page by page.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    capacity_bytes: usize,
    held: Mutex<VecDeque<Held<K, V>>>,
}

#[derive(Debug)]
struct Held<K, V> {
    key: K,
    value: Arc<V>,
    bytes: usize,
}

/// The most values, so that looking one up stays fast.
const MAX_VALUES: usize = 64;

impl<K: PartialEq, V> Cache<K, V> {
    pub(crate) fn new(capacity_bytes: usize) -> Self {
        Self {
            capacity_bytes,
            held: Mutex::default(),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let position = held.iter().position(|item| item.key == *key)?;
        let used = held.remove(position)?;
        let value = Arc::clone(&used.value);
        held.push_back(used);
        Some(value)
    }

    /// Drops what there is no room for besides a value of `bytes` that is about to come.
    pub(crate) fn make_room(&self, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total: usize = held.iter().map(|item| item.bytes).sum();
        while total > self.capacity_bytes.saturating_sub(bytes) {
            let Some(oldest) = held.pop_front() else {
                break;
            };
            total -= oldest.bytes;
        }
    }

    /// Keeps `value`, which takes `bytes` of memory.
    pub(crate) fn put(&self, key: K, value: Arc<V>, bytes: usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|item| item.key != key);
        held.push_back(Held { key, value, bytes });
        // Everything counted is in memory, so sums cannot overflow.
        let mut total: usize = held.iter().map(|item| item.bytes).sum();
        while held.len() > MAX_VALUES || (total > self.capacity_bytes && held.len() > 1) {
            let Some(oldest) = held.pop_front() else {
                break;
            };
            total -= oldest.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_used_last_within_its_capacity() {
        let cache = Cache::new(20);
        for number in 0..3 {
            cache.put(number, Arc::new(()), 8);
            assert!(cache.get(&0).is_some() || number == 2);
        }
        // 0 was asked for after 1 came, so 1 went first.
        assert!(cache.get(&1).is_none());
        assert!(cache.get(&0).is_some() && cache.get(&2).is_some());
        cache.put(3, Arc::new(()), 100);
        assert!(cache.get(&3).is_some() && cache.get(&0).is_none());
        for number in 0..200 {
            cache.put(number, Arc::new(()), 0);
        }
        assert!(cache.get(&0).is_none() && cache.get(&199).is_some());
    }
}
