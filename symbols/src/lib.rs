// SPDX-License-Identifier: MIT OR Apache-2.0
//! Symbol files for Volatility 3, made from what a running kernel says about itself:
//! its types from BTF, its symbols from kallsyms, its banner. Neither a debug package
//! nor another program is needed.
//!
//! The file is JSON in Volatility's schema 6.2.0; `docs/symbols.md` explains which part
//! comes from where. The crate opens no files and holds one part of the output in
//! memory at a time.
//!
//! ```no_run
//! use linpmem_symbols::{Architecture, KernelFacts, SymbolFile};
//!
//! let banner = std::fs::read("/proc/version")?;
//! let btf = std::fs::read("/sys/kernel/btf/vmlinux")?;
//! let symbols = std::fs::read("/proc/kallsyms")?;
//! let file = SymbolFile::of(KernelFacts {
//!     banner: &banner,
//!     btf: &btf,
//!     modules: &[],
//!     symbols: &symbols,
//!     kaslr_offset: 0x1e00_0000,
//!     architecture: Architecture::X86_64,
//! })?;
//! file.write_xz(std::fs::File::create("host.isf.json.xz")?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod base_types;
mod descriptor;
mod document;
mod file;
mod kernel_symbols;
mod names;
mod symbol_types;

pub(crate) use file::Origin;
pub use file::{KernelFacts, SymbolFile, SymbolFileError};
pub use kernel_symbols::{KernelSymbols, KernelSymbolsError};
pub use linpmem_kinfo::btf::BtfError;
pub use linpmem_kinfo::layout::Architecture;

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
