// SPDX-License-Identifier: MIT OR Apache-2.0
//! What makes an image readable: the kernel's own description of itself, kept
//! beside its memory.
//!
//! [`Evidence`] reads it, from this machine or from an image. Its files bear the
//! paths that they had on the machine, without the first slash
//! (`proc/kallsyms`, `sys/kernel/btf/vmlinux`); two are made here: [`MACHINE`],
//! the facts, and [`VMCOREINFO`], the kernel's note.

mod error;
mod facts;
mod items;
mod kallsyms;
mod landmarks;
mod live;
mod machine;
mod modules;
mod patient_file;
mod store;
mod tree;

pub use error::EvidenceError;
pub use kallsyms::{Kallsyms, Symbol};
pub use machine::{Clocks, Cpus, Machine, Missing, Module, Remark};
pub use store::{Entry, Evidence};

/// The facts, as JSON: see [`Machine`].
pub const MACHINE: &str = "machine.json";

/// The text of the kernel's VMCOREINFO note, byte for byte.
pub const VMCOREINFO: &str = "vmcoreinfo.txt";
