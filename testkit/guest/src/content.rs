// SPDX-License-Identifier: MIT OR Apache-2.0
//! What memory is filled with.

use crate::Random;
use std::fs;
use std::io;

/// Lines such as a log might hold.
#[derive(Clone, Debug)]
pub struct Prose(Vec<u8>);

impl Default for Prose {
    fn default() -> Self {
        Self::new()
    }
}

impl Prose {
    const LEN: usize = 128 << 10;

    /// Words in random order, on lines of different lengths.
    #[must_use]
    pub fn new() -> Self {
        const WORDS: [&str; 16] = [
            "started",
            "session",
            "opened",
            "for",
            "user",
            "connection",
            "from",
            "closed",
            "reading",
            "file",
            "written",
            "request",
            "served",
            "in",
            "address",
            "unknown",
        ];
        let mut random = Random::new(0);
        let mut text = Vec::with_capacity(Self::LEN + 128);
        while text.len() < Self::LEN {
            let number = random.number();
            text.extend(format!("{:010}", number >> 32).bytes());
            for step in 0..5 + number % 5 {
                let index = usize::try_from((number >> (4 * step)) & 15).unwrap_or(0);
                text.push(b' ');
                text.extend(WORDS.get(index).unwrap_or(&"").bytes());
            }
            text.push(b'\n');
        }
        Self(text)
    }

    /// Fills `page`, at most 64 KiB. Its `number` makes every page unique.
    pub fn fill(&self, page: &mut [u8], number: u64) {
        let from = usize::try_from(number.wrapping_mul(53) % (64 << 10)).unwrap_or(0);
        let text = self.0.get(from..from.saturating_add(page.len()));
        page.copy_from_slice(text.unwrap_or_default());
        mark(page, number);
    }
}

/// Machine code: this program's.
#[derive(Clone, Debug)]
pub struct Code(Vec<u8>);

impl Code {
    /// This program's file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn own() -> io::Result<Self> {
        fs::read("/proc/self/exe").map(Self)
    }

    /// Fills `page` from a place that depends on `number`, which also makes every page
    /// unique.
    pub fn fill(&self, page: &mut [u8], number: u64) {
        let places = self.0.len().saturating_sub(page.len()).max(1);
        let from = usize::try_from(number)
            .unwrap_or(0)
            .wrapping_mul(page.len())
            % places;
        for (target, byte) in page.iter_mut().zip(self.0.iter().skip(from)) {
            *target = *byte;
        }
        mark(page, number);
    }
}

/// Fills page `number` of memory that a program of the guest holds: no byte is zero, and
/// no two pages are equal.
pub fn hold(page: &mut [u8], number: u64) {
    page.fill(b'.');
    mark(page, number);
}

/// Makes a page differ from all others.
fn mark(page: &mut [u8], number: u64) {
    let head = format!("page {number:016x}\n");
    for (target, byte) in page.iter_mut().zip(head.bytes()) {
        *target = byte;
    }
}
