// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem` and the library for Rust, as on x86-64: both ABIs, and translations level by level
//! with the tables' registers.

use crate::pmem::{library, refusals};
use anyhow::Result;
use linpmem_testkit::arch::Arch::Aarch64;

#[test]
fn every_call_returns_what_is_there() -> Result<()> {
    library::answers(Aarch64, |_| Ok(()))
}

#[test]
fn every_error_says_what_to_do() -> Result<()> {
    refusals::explains_errors(Aarch64)
}
