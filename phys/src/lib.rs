// SPDX-License-Identifier: MIT OR Apache-2.0
//! The vocabulary of physical memory: no I/O and no dependencies.
//!
//! - [`PhysAddr`] and [`PhysLen`]: an address is not an integer, and a length
//!   is not an address;
//! - [`PhysRange`]: half-open and never empty;
//! - [`MemoryMap`]: sorted and disjoint [`Region`]s, each of one [`RegionKind`];
//! - [`Extent`]: what is known about the content of a range. Zero is not "unread";
//! - [`ReadPhys`]: a source of physical memory;
//! - [`Errno`]: Linux's error numbers by name;
//! - [`PageBuffer`]: page-aligned memory to read into;
//! - [`is_zero`] and [`ZeroBlocks`]: which bytes are all 0;
//! - [`parse`]: the notation of addresses, lengths and ranges on command lines.
//!   Each of the three types is `FromStr` and `Display`;
//! - [`hex`] and [`num`]: hexadecimal digits, and integer conversions without loss.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::as_conversions))]

mod addr;
mod buffer;
mod errno;
mod extent;
pub mod hex;
mod map;
pub mod num;
pub mod parse;
mod range;
mod read;
mod zero;

pub use addr::{ExactLen, PAGE_SIZE, PhysAddr, PhysLen};
pub use buffer::PageBuffer;
pub use errno::Errno;
pub use extent::{Content, Extent, SkipReason};
pub use map::{MemoryMap, OverlapError, Region, RegionKind};
pub use parse::ParseError;
pub use range::{EmptyRangeError, PhysRange};
pub use read::{MemoryImage, ReadPhys, SourceError, Unreadable, Unreadables};
pub use zero::{ZeroBlocks, is_zero};

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
