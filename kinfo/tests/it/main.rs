// SPDX-License-Identifier: MIT OR Apache-2.0
//! What takes more than a few lines of input to test.

#![forbid(unsafe_code)]

#[cfg(test)]
mod assembler;
#[cfg(test)]
mod btf;
#[cfg(test)]
mod hostile;
