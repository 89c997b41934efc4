// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fitting a module to kernels as distributions ship them: those in the cache, which
//! `cargo xtask setup` fetches.

#![forbid(unsafe_code)]

#[cfg(test)]
mod object;
#[cfg(test)]
mod stock;
