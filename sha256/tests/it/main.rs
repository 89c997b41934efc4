// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages hashed in every way, compared with the crate `sha2`.

#![forbid(unsafe_code)]

#[cfg(test)]
mod digests;
