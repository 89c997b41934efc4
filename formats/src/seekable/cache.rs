// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that were decompressed a moment ago.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// What a frame holds, or why it cannot be known. Failures are kept as well: who
/// looks for the readable pages around a damage asks for the frame page by page.
pub(super) type Frame = Result<Vec<u8>, &'static str>;

/// The frames used last, up to a fixed number of bytes.
#[derive(Debug)]
pub(super) struct Cache {
    capacity_bytes: usize,
    frames: Mutex<VecDeque<(usize, Arc<Frame>)>>,
}

/// Frames at most, so that looking for one stays quick.
const MAX_FRAMES: usize = 64;

impl Cache {
    pub(super) fn new(capacity_bytes: usize) -> Self {
        Self {
            capacity_bytes,
            frames: Mutex::default(),
        }
    }

    pub(super) fn get(&self, number: usize) -> Option<Arc<Frame>> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let position = frames.iter().position(|(held, _)| *held == number)?;
        let used = frames.remove(position)?;
        let frame = Arc::clone(&used.1);
        frames.push_back(used);
        Some(frame)
    }

    pub(super) fn put(&self, number: usize, frame: Arc<Frame>) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.retain(|(held, _)| *held != number);
        frames.push_back((number, frame));
        let mut bytes = frames
            .iter()
            .fold(0, |sum: usize, (_, frame)| sum.saturating_add(size(frame)));
        while frames.len() > MAX_FRAMES || (bytes > self.capacity_bytes && frames.len() > 1) {
            let Some((_, oldest)) = frames.pop_front() else {
                break;
            };
            bytes = bytes.saturating_sub(size(&oldest));
        }
    }
}

fn size(frame: &Frame) -> usize {
    frame.as_ref().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_used_last_within_its_capacity() {
        let cache = Cache::new(20);
        for number in 0..3 {
            cache.put(number, Arc::new(Ok(vec![0; 8])));
            assert!(cache.get(0).is_some() || number == 2);
        }
        // 0 was asked for after 1 came, so 1 went first.
        assert!(cache.get(1).is_none());
        assert!(cache.get(0).is_some() && cache.get(2).is_some());
        cache.put(3, Arc::new(Ok(vec![0; 100])));
        assert!(cache.get(3).is_some() && cache.get(0).is_none());
        for number in 0..200 {
            cache.put(number, Arc::new(Err("damaged")));
        }
        assert!(cache.get(0).is_none() && cache.get(199).is_some());
    }
}
