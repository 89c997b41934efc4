// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes as memory has them: noise, text, code and zeros in turns.

use anyhow::{Context, Result};
use linpmem_testkit::Random;
use std::env;
use std::fs;

/// Consecutive bytes of one kind.
const RUN: usize = 256 << 10;

/// Makes memory piece by piece, always the same for the same program.
pub struct Memory {
    random: Random,
    code: Vec<u8>,
    runs: usize,
}

impl Memory {
    /// Begins at the first address.
    pub fn new() -> Result<Self> {
        let own = env::current_exe().context("cannot find this program's file")?;
        Ok(Self {
            random: Random::new(1),
            code: fs::read(own).context("cannot read this program's file")?,
            runs: 0,
        })
    }

    /// Fills `piece`, a multiple of 256 KiB, with the next bytes.
    pub fn next(&mut self, piece: &mut [u8]) {
        for run in piece.chunks_mut(RUN) {
            match self.runs % 4 {
                0 => self.random.fill(run),
                1 => self.text(run),
                2 => self.code(run),
                _ => run.fill(0),
            }
            self.runs = self.runs.wrapping_add(1);
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
            let number = self.random.number();
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
