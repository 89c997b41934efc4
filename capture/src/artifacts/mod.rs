// SPDX-License-Identifier: MIT OR Apache-2.0
//! What makes an image readable: the kernel's own description of itself, kept
//! with its memory.
//!
//! [`Artifacts`] reads it, from this machine or from an image. Its files bear the
//! paths that they had on the machine, without the first slash
//! (`proc/kallsyms`, `sys/kernel/btf/vmlinux`); two are made here: [`MACHINE`],
//! the facts, and [`VMCOREINFO`], the kernel's note.

mod added;
mod archive;
mod archive_writer;
mod check;
mod error;
mod facts;
mod gather;
mod image;
mod items;
mod kallsyms;
mod known_symbols;
mod live;
mod machine;
mod members;
mod modules;
mod placement;
mod run;
mod store;
mod tree;
mod variables;

pub use added::AddedError;
pub(crate) use archive::Section;
pub use check::{ArtifactsVerdict, check};
pub use error::ArtifactsError;
pub use facts::FIVE_LEVELS;
pub use gather::GatherError;
pub use image::beside;
pub use kallsyms::{Kallsyms, Symbol};
pub use machine::{Clocks, Cpus, Machine, Module};
pub use placement::PlacementError;
pub(crate) use placement::{Kept, members};
pub(crate) use run::Run;
pub use store::{Artifacts, Entry};

pub use linpmem_manifest::{Missing, Remark};

/// The facts, as JSON: see [`Machine`].
pub const MACHINE: &str = "machine.json";

/// The text of the kernel's VMCOREINFO note, byte for byte.
pub const VMCOREINFO: &str = "vmcoreinfo.txt";

/// The manifest, as far as it can be in the volume that it describes.
pub const MANIFEST: &str = "manifest.jsonl";
