// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an option can be set to.

use clap::ValueEnum;

/// Format of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// ELF64 core file
    Elf,
    /// Memory and nothing else
    Raw,
    /// Advanced Forensic Format 4, version 1.0
    Aff4,
    /// LiME: Volatility 3, LeechCore
    Lime,
    /// Kdump-compressed, as a flattened stream: crash, drgn, makedumpfile
    Kdump,
    /// AVML's compressed LiME; Volatility 3 hangs on memory that does not compress
    Avml,
}

/// How the ranges of a raw image lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Back to back
    Concatenated,
    /// At the offsets of their addresses
    Padded,
}

/// What is read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// The lowest address
    Address,
    /// The kernel's data and the page tables, up to 64 MiB, which are held in memory
    /// until their turn; then by address
    VolatileFirst,
}

/// What becomes of the run when a page cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// It goes on: the page is zero in the image and listed; exit code 3
    List,
    /// It ends there, with exit code 1
    Fail,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, plain lines elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line every few seconds
    Plain,
    /// A JSON object a line
    Json,
    /// Nothing
    None,
}
