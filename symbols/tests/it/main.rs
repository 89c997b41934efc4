// SPDX-License-Identifier: MIT OR Apache-2.0
//! Symbol files from BTF and symbols that these tests put together.

#![forbid(unsafe_code)]

// kinfo's tests put BTF together by the same.
#[cfg(test)]
#[path = "../../../kinfo/tests/it/assembler.rs"]
mod assembler;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod kernel;
#[cfg(test)]
mod modules;
#[cfg(test)]
mod types;
