// SPDX-License-Identifier: MIT OR Apache-2.0
//! One page about an acquisition: what was read, where, when, by whom and with what, what is missing,
//! and what that means.
//!
//! [`Gathered::read`] reads a manifest once, from front to back, and keeps as much of it as can be
//! drawn, whatever its length. [`page`] makes a page of HTML of it that needs nothing else: no
//! network, no script, no other file. Nothing in a manifest is trusted: every text is escaped, and
//! characters that change how others are shown are replaced.

#![forbid(unsafe_code)]

mod draw;
mod gathered;
mod heat;
mod meaning;
mod page;
mod scale;
mod timeline;
mod words;

pub use gathered::Gathered;
pub use page::{Command, Context, Event, Standing, Voucher, page};

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
