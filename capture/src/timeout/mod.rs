// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads that may never return, in threads that can be abandoned.

mod file;
mod reader;

pub(crate) use file::{Patience, TimeoutFile, open_regular};
pub(crate) use reader::TimeoutReader;
