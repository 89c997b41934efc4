// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads that may never return, done by threads that can be left behind.

mod file;
mod reader;

pub(crate) use file::{Patience, TimeoutFile};
pub(crate) use reader::TimeoutReader;
