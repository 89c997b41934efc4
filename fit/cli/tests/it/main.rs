// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `linpmem-fit`.

#![forbid(unsafe_code)]

#[cfg(test)]
mod program;
