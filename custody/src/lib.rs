// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod adjtimex;
mod bounded;
pub mod chain;
pub mod digest;
pub mod record;
#[cfg(feature = "sign")]
pub mod signature;
#[cfg(feature = "timestamp")]
pub mod timestamp;
