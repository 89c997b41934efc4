// SPDX-License-Identifier: MIT OR Apache-2.0
//! Artifacts: the kernel's own description of itself, which makes an image readable.
//!
//! [`Artifacts`] reads them, from this machine or from an image. Each file has the path
//! that it had on the machine, without the first slash (`proc/kallsyms`,
//! `sys/kernel/btf/vmlinux`). Three files are made here: [`MACHINE`], the facts,
//! [`VMCOREINFO`], and [`PROCESSES`].

mod added;
mod added_reader;
mod archive;
mod archive_writer;
mod area_reader;
mod check;
mod crashed;
mod facts;
mod frame_stream;
mod gather;
mod image;
mod kernel_log;
mod known_symbols;
mod late;
mod live;
mod machine;
mod machine_files;
mod modules;
mod own_file;
mod pattern;
mod placement;
mod processes;
mod store;
mod swap_areas;

pub use added::AddedError;
pub use added_reader::serve_added;
pub(crate) use archive::MAX_SWAP_BYTES;
pub use area_reader::Gap;
pub use check::{ArtifactsVerdict, check};
pub use facts::{is_arm64, no_volatility};
pub use gather::GatherError;
pub(crate) use image::artifact_beside;
pub(crate) use late::LateArtifacts;
pub use live::{Described, describe};
pub use machine::{Clocks, Cpus, Machine, Module};
pub(crate) use own_file::OwnFile;
pub use placement::PlacementError;
pub(crate) use placement::{ArtifactsRequest, CollectedArtifacts, members};
pub use processes::{ListedPids, ListedProcess, ListedProcesses, Processes};
pub use store::{Artifacts, ArtifactsError, Entry};
pub use swap_areas::{SwapArea, SwapError};
pub(crate) use swap_areas::{listed as listed_swap_areas, total_bytes as total_swap_bytes};

pub use linpmem_manifest::{Missing, Remark};

/// The facts, as JSON: see [`Machine`].
pub const MACHINE: &str = "machine.json";

/// The text of VMCOREINFO, byte for byte.
pub const VMCOREINFO: &str = "vmcoreinfo.txt";

/// The processes that /proc listed, as JSON: see [`Processes`].
pub const PROCESSES: &str = "processes.json";

/// The manifest of an AFF4 volume, inside of it.
pub const MANIFEST: &str = "manifest.jsonl";
