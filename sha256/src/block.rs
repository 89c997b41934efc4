// SPDX-License-Identifier: MIT OR Apache-2.0
//! What FIPS 180-4 says about SHA-256, apart from the rounds: constants and padding.

/// Bytes in a block.
pub const BLOCK_BYTES: usize = 64;

/// The bytes that are hashed at once.
pub type Block = [u8; BLOCK_BYTES];

/// The hash of the blocks so far.
pub type State = [u32; 8];

/// The state before the first block: section 5.3.3.
pub const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The digest that a state stands for.
pub fn digest(state: &State) -> [u8; 32] {
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// The end of a message: the bytes after its last whole block, and the padding.
#[derive(Clone, Copy)]
pub struct Ending {
    blocks: [Block; 2],
    is_long: bool,
}

impl Ending {
    /// The ending of a message of `len_bytes`, whose last block is incomplete and has the
    /// bytes `rest`.
    pub fn new(rest: &[u8], len_bytes: u64) -> Self {
        // A one bit, and the number of bits as 8 bytes, have to fit after the bytes.
        let is_long = rest.len() > BLOCK_BYTES - 9;
        let mut blocks = [[0; BLOCK_BYTES]; 2];
        let [first, second] = &mut blocks;
        for (to, from) in first.iter_mut().zip(rest.iter().chain(&[0x80])) {
            *to = *from;
        }
        let last = if is_long { second } else { first };
        // The standard counts bits, modulo 2^64.
        let bits = len_bytes.wrapping_mul(8).to_be_bytes();
        for (to, from) in last.iter_mut().rev().zip(bits.iter().rev()) {
            *to = *from;
        }
        Self { blocks, is_long }
    }

    /// One or two blocks.
    pub fn blocks(&self) -> &[Block] {
        let [first, _] = &self.blocks;
        match self.is_long {
            true => &self.blocks,
            false => std::slice::from_ref(first),
        }
    }
}
