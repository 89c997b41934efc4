// SPDX-License-Identifier: MIT OR Apache-2.0
//! What memory is filled with.

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

/// Fills `page` with lines that a log could hold; `number` makes each page its own.
pub fn text(page: &mut [u8], number: u64) {
    const WORDS: &[&str] = &[
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
    let mut line = number;
    let mut text = Vec::with_capacity(page.len().saturating_add(128));
    while text.len() < page.len() {
        text.extend(format!("{number:010} {line:016x}").bytes());
        for step in 0..6 {
            let index = usize::try_from((line >> (4 * step)) & 15).unwrap_or(0);
            text.push(b' ');
            text.extend(WORDS.get(index).unwrap_or(&"").bytes());
        }
        text.push(b'\n');
        line = line
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(number | 1);
    }
    text.truncate(page.len());
    page.copy_from_slice(&text);
}
