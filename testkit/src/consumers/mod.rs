// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other people's programs that open our images, each with what it found in one.

pub mod drgn;
pub mod dump_tools;
pub mod leechcore;
pub mod pyaff4;
mod python;
pub mod symbol_file;
pub mod volatility;
