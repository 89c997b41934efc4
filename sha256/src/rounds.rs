// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rounds of SHA-256 over vectors: every lane of a vector belongs to another message.
//!
//! Everything here is inlined into a function for one instruction set (`vectors.rs`);
//! elsewhere it would be correct, and slow.

use crate::block::{Block, State};

/// The constants of the rounds, section 4.2.2, sixteen in a row.
const K: [[u32; 16]; 4] = [
    [
        0x428a_2f98,
        0x7137_4491,
        0xb5c0_fbcf,
        0xe9b5_dba5,
        0x3956_c25b,
        0x59f1_11f1,
        0x923f_82a4,
        0xab1c_5ed5,
        0xd807_aa98,
        0x1283_5b01,
        0x2431_85be,
        0x550c_7dc3,
        0x72be_5d74,
        0x80de_b1fe,
        0x9bdc_06a7,
        0xc19b_f174,
    ],
    [
        0xe49b_69c1,
        0xefbe_4786,
        0x0fc1_9dc6,
        0x240c_a1cc,
        0x2de9_2c6f,
        0x4a74_84aa,
        0x5cb0_a9dc,
        0x76f9_88da,
        0x983e_5152,
        0xa831_c66d,
        0xb003_27c8,
        0xbf59_7fc7,
        0xc6e0_0bf3,
        0xd5a7_9147,
        0x06ca_6351,
        0x1429_2967,
    ],
    [
        0x27b7_0a85,
        0x2e1b_2138,
        0x4d2c_6dfc,
        0x5338_0d13,
        0x650a_7354,
        0x766a_0abb,
        0x81c2_c92e,
        0x9272_2c85,
        0xa2bf_e8a1,
        0xa81a_664b,
        0xc24b_8b70,
        0xc76c_51a3,
        0xd192_e819,
        0xd699_0624,
        0xf40e_3585,
        0x106a_a070,
    ],
    [
        0x19a4_c116,
        0x1e37_6c08,
        0x2748_774c,
        0x34b0_bcb5,
        0x391c_0cb3,
        0x4ed8_aa4a,
        0x5b9c_ca4f,
        0x682e_6ff3,
        0x748f_82ee,
        0x78a5_636f,
        0x84c8_7814,
        0x8cc7_0208,
        0x90be_fffa,
        0xa450_6ceb,
        0xbef9_a3f7,
        0xc671_78f2,
    ],
];

/// The vector instructions of a processor that has them, for `N` lanes of 32 bits. The
/// functions have the names of section 4.1.2.
pub trait Vectors<const N: usize>: Copy {
    /// A 32-bit word of every lane.
    type Words: Copy;

    /// The same word in all lanes.
    fn splat(self, word: u32) -> Self::Words;
    /// A word of each lane.
    fn load(self, words: &[u32; N]) -> Self::Words;
    /// The words of the lanes.
    fn store(self, words: Self::Words, to: &mut [u32; N]);
    /// The words of `blocks`, which are big-endian, from lanes into vectors.
    fn message(self, blocks: &[&Block; N]) -> [Self::Words; 16];
    /// The sum modulo 2^32.
    fn add(self, a: Self::Words, b: Self::Words) -> Self::Words;
    /// Ch.
    fn ch(self, x: Self::Words, y: Self::Words, z: Self::Words) -> Self::Words;
    /// Maj.
    fn maj(self, x: Self::Words, y: Self::Words, z: Self::Words) -> Self::Words;
    /// Σ0.
    fn big_sigma_0(self, x: Self::Words) -> Self::Words;
    /// Σ1.
    fn big_sigma_1(self, x: Self::Words) -> Self::Words;
    /// σ0.
    fn small_sigma_0(self, x: Self::Words) -> Self::Words;
    /// σ1.
    fn small_sigma_1(self, x: Self::Words) -> Self::Words;
}

/// One round. The caller rotates the names of the eight variables.
macro_rules! round {
    ($v:ident, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $w:expr, $k:expr) => {
        let sum = $v.add($v.add($h, $v.add($w, $v.splat($k))), $v.ch($e, $f, $g));
        let sum = $v.add(sum, $v.big_sigma_1($e));
        $d = $v.add($d, sum);
        $h = $v.add($v.add(sum, $v.maj($a, $b, $c)), $v.big_sigma_0($a));
    };
}

/// Sixteen rounds with the words `$w` and the constants `$k`.
macro_rules! sixteen_rounds {
    ($v:ident, $s:ident, $w:ident, $k:ident) => {
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = $s;
        round!($v, a b c d e f g h, $w[0], $k[0]);
        round!($v, h a b c d e f g, $w[1], $k[1]);
        round!($v, g h a b c d e f, $w[2], $k[2]);
        round!($v, f g h a b c d e, $w[3], $k[3]);
        round!($v, e f g h a b c d, $w[4], $k[4]);
        round!($v, d e f g h a b c, $w[5], $k[5]);
        round!($v, c d e f g h a b, $w[6], $k[6]);
        round!($v, b c d e f g h a, $w[7], $k[7]);
        round!($v, a b c d e f g h, $w[8], $k[8]);
        round!($v, h a b c d e f g, $w[9], $k[9]);
        round!($v, g h a b c d e f, $w[10], $k[10]);
        round!($v, f g h a b c d e, $w[11], $k[11]);
        round!($v, e f g h a b c d, $w[12], $k[12]);
        round!($v, d e f g h a b c, $w[13], $k[13]);
        round!($v, c d e f g h a b, $w[14], $k[14]);
        round!($v, b c d e f g h a, $w[15], $k[15]);
        $s = [a, b, c, d, e, f, g, h];
    };
}

/// The word sixteen after word `$i` takes its place.
macro_rules! next_words {
    ($v:ident, $w:ident, $($i:literal $i1:literal $i9:literal $i14:literal),+) => {$(
        $w[$i] = $v.add(
            $v.add($w[$i], $v.small_sigma_0($w[$i1])),
            $v.add($w[$i9], $v.small_sigma_1($w[$i14])),
        );
    )+};
}

/// Adds the first blocks of `runs`, as many as the shortest has, to the states of the lanes.
#[inline(always)]
pub fn compress<const N: usize, V: Vectors<N>>(
    v: V,
    states: &mut [&mut State; N],
    runs: &[&[Block]; N],
) {
    const NONE: &Block = &[0; 64];
    let mut columns = [[0; N]; 8];
    for (word, column) in columns.iter_mut().enumerate() {
        for (to, state) in column.iter_mut().zip(states.iter()) {
            *to = state.get(word).copied().unwrap_or_default();
        }
    }
    let mut state = [
        v.load(&columns[0]),
        v.load(&columns[1]),
        v.load(&columns[2]),
        v.load(&columns[3]),
        v.load(&columns[4]),
        v.load(&columns[5]),
        v.load(&columns[6]),
        v.load(&columns[7]),
    ];
    let count = runs.iter().map(|run| run.len()).min().unwrap_or_default();
    for index in 0..count {
        let mut blocks = [NONE; N];
        for (to, run) in blocks.iter_mut().zip(runs) {
            *to = run.get(index).unwrap_or(NONE);
        }
        let before = state;
        let mut w = v.message(&blocks);
        let [first, others @ ..] = &K;
        sixteen_rounds!(v, state, w, first);
        for k in others {
            next_words!(
                v, w, 0 1 9 14, 1 2 10 15, 2 3 11 0, 3 4 12 1, 4 5 13 2, 5 6 14 3, 6 7 15 4,
                7 8 0 5, 8 9 1 6, 9 10 2 7, 10 11 3 8, 11 12 4 9, 12 13 5 10, 13 14 6 11,
                14 15 7 12, 15 0 8 13
            );
            sixteen_rounds!(v, state, w, k);
        }
        state = [
            v.add(state[0], before[0]),
            v.add(state[1], before[1]),
            v.add(state[2], before[2]),
            v.add(state[3], before[3]),
            v.add(state[4], before[4]),
            v.add(state[5], before[5]),
            v.add(state[6], before[6]),
            v.add(state[7], before[7]),
        ];
    }
    v.store(state[0], &mut columns[0]);
    v.store(state[1], &mut columns[1]);
    v.store(state[2], &mut columns[2]);
    v.store(state[3], &mut columns[3]);
    v.store(state[4], &mut columns[4]);
    v.store(state[5], &mut columns[5]);
    v.store(state[6], &mut columns[6]);
    v.store(state[7], &mut columns[7]);
    for (word, column) in columns.iter().enumerate() {
        for (from, state) in column.iter().zip(states.iter_mut()) {
            if let Some(to) = state.get_mut(word) {
                *to = *from;
            }
        }
    }
}
