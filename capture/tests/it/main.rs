// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine on made-up memory.

#![forbid(unsafe_code)]

#[cfg(test)]
mod crew;
#[cfg(test)]
mod no_copy;
