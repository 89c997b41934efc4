// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod bounded;
#[cfg(feature = "sign")]
pub mod signature;
