// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes as memory has them: noise, text, code and zeros by turns.

use std::env;
use std::fs;

use anyhow::{Context, Result};

/// Bytes of one sort that lie together.
const RUN: usize = 256 << 10;

/// Gives memory piece by piece, the same for the same program.
pub struct Memory {
    state: u64,
    code: Vec<u8>,
    runs: usize,
}

impl Memory {
    /// From the first address.
    pub fn new() -> Result<Self> {
        let own = env::current_exe().context("this program's own file")?;
        Ok(Self {
            state: 0x9e37_79b9_7f4a_7c15,
            code: fs::read(own).context("this program's own file")?,
            runs: 0,
        })
    }

    /// Fills `piece`, a multiple of 256 KiB, with what comes next.
    pub fn next(&mut self, piece: &mut [u8]) {
        for run in piece.chunks_mut(RUN) {
            match self.runs % 4 {
                0 => self.noise(run),
                1 => self.text(run),
                2 => self.code(run),
                _ => run.fill(0),
            }
            self.runs = self.runs.wrapping_add(1);
        }
    }

    fn random(&mut self) -> u64 {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn noise(&mut self, run: &mut [u8]) {
        for word in run.chunks_exact_mut(8) {
            word.copy_from_slice(&self.random().to_le_bytes());
        }
    }

    fn text(&mut self, run: &mut [u8]) {
        const WORDS: [&str; 8] = [
            "session",
            "opened",
            "for",
            "user",
            "connection",
            "from",
            "closed",
            "request",
        ];
        let mut text = String::with_capacity(run.len() + 64);
        while text.len() < run.len() {
            let number = self.random();
            text.push_str(&format!("{:010}", number >> 32));
            for step in 0..5 {
                let index = usize::try_from((number >> (3 * step)) & 7).unwrap_or(0);
                text.push(' ');
                text.push_str(WORDS.get(index).unwrap_or(&""));
            }
            text.push('\n');
        }
        run.copy_from_slice(text.as_bytes().get(..run.len()).unwrap_or_default());
    }

    fn code(&mut self, run: &mut [u8]) {
        let places = self.code.len().saturating_sub(run.len()).max(1);
        let from = self.runs.wrapping_mul(RUN) % places;
        for (target, byte) in run.iter_mut().zip(self.code.iter().skip(from)) {
            *target = *byte;
        }
    }
}
