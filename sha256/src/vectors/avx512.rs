// SPDX-License-Identifier: MIT OR Apache-2.0
//! Eight lanes by the instructions of AVX-512 that work on 256 bits.
//!
//! What makes them fast is that they rotate, and combine three operands by any function:
//! half as many instructions as with AVX2. Vectors of 512 bits and sixteen lanes would gain
//! little on top, lower the clock of the older ones of these processors, and need twice
//! the memory for chunks that wait to be hashed together.

#![allow(
    clippy::incompatible_msrv,
    reason = "build.rs leaves this file out where the compiler is too old"
)]

use super::{Avx2, LANES};
use crate::block::{Block, State};
use crate::rounds::{Vectors, compress};
use std::arch::x86_64::*;

/// The processor has AVX2, and AVX-512 F and VL.
///
/// # Invariants
/// Exists only on such processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(Avx2);

/// Each truth table is what the function makes of these three operands.
const X: i32 = 0b1111_0000;
const Y: i32 = 0b1100_1100;
const Z: i32 = 0b1010_1010;
const CH: i32 = X & Y ^ !X & Z;
const MAJ: i32 = X & Y ^ X & Z ^ Y & Z;
const XOR: i32 = X ^ Y ^ Z;

impl Avx512 {
    /// The proof, if this processor has them.
    pub fn detect() -> Option<Self> {
        let has_both = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        Avx2::detect().filter(|_| has_both).map(Self)
    }

    /// Adds the first blocks of `runs`, as many as the shortest has, to the states.
    pub fn compress(self, states: &mut [&mut State; LANES], runs: &[&[Block]; LANES]) {
        #[target_feature(enable = "avx2,avx512f,avx512vl")]
        unsafe fn with_avx512(
            v: Avx512,
            states: &mut [&mut State; LANES],
            runs: &[&[Block]; LANES],
        ) {
            compress(v, states, runs);
        }
        // SAFETY: `self` proves that the processor has these instructions.
        unsafe { with_avx512(self, states, runs) }
    }
}

impl Vectors<LANES> for Avx512 {
    type Words = __m256i;

    #[inline(always)]
    fn splat(self, word: u32) -> __m256i {
        self.0.splat(word)
    }

    #[inline(always)]
    fn load(self, words: &[u32; LANES]) -> __m256i {
        self.0.load(words)
    }

    #[inline(always)]
    fn store(self, words: __m256i, to: &mut [u32; LANES]) {
        self.0.store(words, to);
    }

    #[inline(always)]
    fn message(self, blocks: &[&Block; LANES]) -> [__m256i; 16] {
        self.0.message(blocks)
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        self.0.add(a, b)
    }

    #[inline(always)]
    fn ch(self, x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        // SAFETY: `self` proves that the processor has AVX-512 F and VL, as below.
        unsafe { _mm256_ternarylogic_epi32::<CH>(x, y, z) }
    }

    #[inline(always)]
    fn maj(self, x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        // SAFETY: AVX-512.
        unsafe { _mm256_ternarylogic_epi32::<MAJ>(x, y, z) }
    }

    #[inline(always)]
    fn big_sigma_0(self, x: __m256i) -> __m256i {
        // SAFETY: AVX-512.
        unsafe {
            let [a, b] = [_mm256_ror_epi32::<2>(x), _mm256_ror_epi32::<13>(x)];
            _mm256_ternarylogic_epi32::<XOR>(a, b, _mm256_ror_epi32::<22>(x))
        }
    }

    #[inline(always)]
    fn big_sigma_1(self, x: __m256i) -> __m256i {
        // SAFETY: AVX-512.
        unsafe {
            let [a, b] = [_mm256_ror_epi32::<6>(x), _mm256_ror_epi32::<11>(x)];
            _mm256_ternarylogic_epi32::<XOR>(a, b, _mm256_ror_epi32::<25>(x))
        }
    }

    #[inline(always)]
    fn small_sigma_0(self, x: __m256i) -> __m256i {
        // SAFETY: AVX-512.
        unsafe {
            let [a, b] = [_mm256_ror_epi32::<7>(x), _mm256_ror_epi32::<18>(x)];
            _mm256_ternarylogic_epi32::<XOR>(a, b, _mm256_srli_epi32::<3>(x))
        }
    }

    #[inline(always)]
    fn small_sigma_1(self, x: __m256i) -> __m256i {
        // SAFETY: AVX-512.
        unsafe {
            let [a, b] = [_mm256_ror_epi32::<17>(x), _mm256_ror_epi32::<19>(x)];
            _mm256_ternarylogic_epi32::<XOR>(a, b, _mm256_srli_epi32::<10>(x))
        }
    }
}
