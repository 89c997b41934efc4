// SPDX-License-Identifier: MIT OR Apache-2.0
//! Eight lanes by AVX2.

use super::LANES;
use crate::block::{Block, State};
use crate::rounds::{Vectors, compress};
use std::arch::x86_64::*;

/// The processor has AVX2.
///
/// # Invariants
/// Exists only on such processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// The proof, if this processor has AVX2.
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    /// Adds the first blocks of `runs`, as many as the shortest has, to the states.
    pub fn compress(self, states: &mut [&mut State; LANES], runs: &[&[Block]; LANES]) {
        #[target_feature(enable = "avx2")]
        unsafe fn with_avx2(v: Avx2, states: &mut [&mut State; LANES], runs: &[&[Block]; LANES]) {
            compress(v, states, runs);
        }
        // SAFETY: `self` proves that the processor has AVX2.
        unsafe { with_avx2(self, states, runs) }
    }
}

/// `x >>> $r` for each `$r` and `x >> $s` for each `$s`, all of them added without carry.
macro_rules! xor_of_shifts {
    ($x:ident, $($r:literal)+, $($s:literal)?) => {{
        let sum = _mm256_setzero_si256();
        $(let sum = _mm256_xor_si256(
            sum,
            _mm256_xor_si256(_mm256_srli_epi32::<$r>($x), _mm256_slli_epi32::<{ 32 - $r }>($x)),
        );)+
        $(let sum = _mm256_xor_si256(sum, _mm256_srli_epi32::<$s>($x));)?
        sum
    }};
}

impl Vectors<LANES> for Avx2 {
    type Words = __m256i;

    #[inline(always)]
    fn splat(self, word: u32) -> __m256i {
        // SAFETY: `self` proves that the processor has AVX2, as in all functions below.
        unsafe { _mm256_set1_epi32(i32::from_ne_bytes(word.to_ne_bytes())) }
    }

    #[inline(always)]
    fn load(self, words: &[u32; LANES]) -> __m256i {
        // SAFETY: AVX2, and `words` has the 32 bytes that are read, at any alignment.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, words: __m256i, to: &mut [u32; LANES]) {
        // SAFETY: AVX2, and `to` has the 32 bytes that are written, at any alignment.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), words) }
    }

    #[inline(always)]
    fn message(self, blocks: &[&Block; LANES]) -> [__m256i; 16] {
        message(self, blocks)
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: AVX2.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn ch(self, x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        // SAFETY: AVX2.
        unsafe { _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z))) }
    }

    #[inline(always)]
    fn maj(self, x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        // In this form, a round finds `x ^ y` of the round before as its `y ^ z`.
        // SAFETY: AVX2.
        unsafe {
            let either = _mm256_and_si256(_mm256_xor_si256(x, y), _mm256_xor_si256(y, z));
            _mm256_xor_si256(either, y)
        }
    }

    #[inline(always)]
    fn big_sigma_0(self, x: __m256i) -> __m256i {
        // SAFETY: AVX2.
        unsafe { xor_of_shifts!(x, 2 13 22,) }
    }

    #[inline(always)]
    fn big_sigma_1(self, x: __m256i) -> __m256i {
        // SAFETY: AVX2.
        unsafe { xor_of_shifts!(x, 6 11 25,) }
    }

    #[inline(always)]
    fn small_sigma_0(self, x: __m256i) -> __m256i {
        // SAFETY: AVX2.
        unsafe { xor_of_shifts!(x, 7 18, 3) }
    }

    #[inline(always)]
    fn small_sigma_1(self, x: __m256i) -> __m256i {
        // SAFETY: AVX2.
        unsafe { xor_of_shifts!(x, 17 19, 10) }
    }
}

/// The words of eight blocks, from lanes into vectors.
#[inline(always)]
fn message(v: Avx2, blocks: &[&Block; LANES]) -> [__m256i; 16] {
    let [a, b, c, d] = [
        four_words::<0>(v, blocks),
        four_words::<16>(v, blocks),
        four_words::<32>(v, blocks),
        four_words::<48>(v, blocks),
    ];
    [
        a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2],
        d[3],
    ]
}

/// The four words from byte `AT` on: a transposition of two squares of four by four, of
/// the first four blocks in the lower halves and of the last four in the upper ones.
#[inline(always)]
fn four_words<const AT: usize>(_: Avx2, blocks: &[&Block; LANES]) -> [__m256i; 4] {
    const { assert!(AT + 16 <= size_of::<Block>()) };
    /// The 16 bytes from `AT` on of two blocks.
    macro_rules! two {
        ($low:expr, $high:expr) => {
            _mm256_inserti128_si256::<1>(
                _mm256_castsi128_si256(_mm_loadu_si128($low.as_ptr().add(AT).cast())),
                _mm_loadu_si128($high.as_ptr().add(AT).cast()),
            )
        };
    }
    // SAFETY: the caller's proof says that the processor has AVX2. Blocks have 64 bytes, of
    // which 16 from `AT` on are read, at any alignment; the assertion says that they exist.
    unsafe {
        let swap = _mm256_broadcastsi128_si256(_mm_setr_epi8(
            3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
        ));
        let rows = [
            two!(blocks[0], blocks[4]),
            two!(blocks[1], blocks[5]),
            two!(blocks[2], blocks[6]),
            two!(blocks[3], blocks[7]),
        ];
        let low = [
            _mm256_unpacklo_epi32(rows[0], rows[1]),
            _mm256_unpacklo_epi32(rows[2], rows[3]),
        ];
        let high = [
            _mm256_unpackhi_epi32(rows[0], rows[1]),
            _mm256_unpackhi_epi32(rows[2], rows[3]),
        ];
        [
            _mm256_shuffle_epi8(_mm256_unpacklo_epi64(low[0], low[1]), swap),
            _mm256_shuffle_epi8(_mm256_unpackhi_epi64(low[0], low[1]), swap),
            _mm256_shuffle_epi8(_mm256_unpacklo_epi64(high[0], high[1]), swap),
            _mm256_shuffle_epi8(_mm256_unpackhi_epi64(high[0], high[1]), swap),
        ]
    }
}
