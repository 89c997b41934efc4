// SPDX-License-Identifier: MIT OR Apache-2.0
//! What vouches for a manifest, checked by the programs that others use, and theirs by us.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails may say so by a panic"
)]

mod chain;
#[cfg(feature = "sign")]
mod minisign_itself;
#[cfg(all(feature = "sign", feature = "timestamp"))]
mod seeds;
#[cfg(feature = "sign")]
mod signatures;
#[cfg(feature = "timestamp")]
mod timestamps;
