// SPDX-License-Identifier: MIT OR Apache-2.0
//! The vector instructions of x86-64 processors: the only module with unsafe code.
//!
//! [`Avx2`] and [`Avx512`] are proofs that the processor has these instructions: only
//! `detect` makes one. All other functions take such a proof, so that they are safe.

#![allow(unsafe_code)]

mod avx2;
#[cfg(avx512)]
mod avx512;

pub use avx2::Avx2;
#[cfg(avx512)]
pub use avx512::Avx512;

/// Lanes of a 256-bit vector.
pub const LANES: usize = 8;
