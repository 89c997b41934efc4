// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fitting a module to a kernel whose files these tests put together.

#![forbid(unsafe_code)]
#![allow(clippy::as_conversions, reason = "the numbers here are small")]

// kinfo's tests put BTF together by the same.
#[cfg(test)]
#[allow(dead_code, reason = "not every test needs every kind")]
#[path = "../../../kinfo/tests/it/assembler.rs"]
mod assembler;
#[cfg(test)]
mod elf;
#[cfg(test)]
mod facts;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod kernel;
#[cfg(test)]
mod written;
