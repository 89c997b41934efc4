// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump`: the command line over the acquisition engine
//! ([`linpmem_capture`]).
//!
//! A library only so that its parts can be tested from outside.

#![forbid(unsafe_code)]

pub mod args;
pub mod commands;
pub mod text;

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
