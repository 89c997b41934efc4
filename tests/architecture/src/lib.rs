// SPDX-License-Identifier: MIT OR Apache-2.0
//! What docs/ARCHITECTURE.md promises, as the code has it: which crate uses which
//! ([`crates`], [`table`]), which modules of a crate use each other in a circle
//! ([`modules`], [`circles`]), which files belong to no module ([`orphans`]), and which code depends
//! on the processor that it is compiled for ([`processors`]).

#![forbid(unsafe_code)]

pub mod circles;
pub mod crates;
pub mod modules;
pub mod orphans;
pub mod processors;
mod source_files;
pub mod table;
