// SPDX-License-Identifier: MIT OR Apache-2.0
//! What memory is filled with.

use std::fs;
use std::io;

/// A small generator of bytes without pattern (xorshift64*).
pub struct Noise(u64);

impl Noise {
    /// Every seed gives another sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Fills `page`, a multiple of 8 bytes.
    pub fn fill(&mut self, page: &mut [u8]) {
        for word in page.chunks_exact_mut(8) {
            word.copy_from_slice(&self.next().to_le_bytes());
        }
    }
}

/// Lines as a log could hold them.
pub struct Prose(Vec<u8>);

impl Prose {
    /// Words in no order, on lines of different lengths.
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
        let mut noise = Noise::new(0);
        let mut text = Vec::with_capacity(Self::LEN + 128);
        while text.len() < Self::LEN {
            let number = noise.next();
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

    const LEN: usize = 128 << 10;

    /// Fills `page`, at most 64 KiB. Its `number` makes every page its own.
    pub fn fill(&self, page: &mut [u8], number: u64) {
        let from = usize::try_from(number.wrapping_mul(53) % (64 << 10)).unwrap_or(0);
        let text = self.0.get(from..from.saturating_add(page.len()));
        page.copy_from_slice(text.unwrap_or_default());
        mark(page, number);
    }
}

/// A program as it lies in memory: this one.
pub struct Code(Vec<u8>);

impl Code {
    /// This program's file.
    pub fn own() -> io::Result<Self> {
        fs::read("/proc/self/exe").map(Self)
    }

    /// Fills `page` from a place that depends on `number`, which makes every page
    /// its own.
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

/// Makes a page differ from all others.
fn mark(page: &mut [u8], number: u64) {
    let head = format!("page {number:016x}\n");
    for (target, byte) in page.iter_mut().zip(head.bytes()) {
        *target = byte;
    }
}
