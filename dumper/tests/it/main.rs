// SPDX-License-Identifier: MIT OR Apache-2.0
//! The dumper as a whole, on made-up memory and on the command line.

#![allow(clippy::as_conversions)]

mod cli;
mod damage;
mod ending;
mod fake;
mod identity;
mod schema;
mod unreadable;
