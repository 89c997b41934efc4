// SPDX-License-Identifier: MIT OR Apache-2.0
//! What docs/ARCHITECTURE.md promises, as the code has it: which crate uses which
//! ([`crates`], [`table`]), which modules of a crate use each other in a circle
//! ([`modules`], [`circles`]), and which files belong to no module ([`orphans`]).

#![forbid(unsafe_code)]

pub mod circles;
pub mod crates;
pub mod modules;
pub mod orphans;
mod source_files;
pub mod table;
