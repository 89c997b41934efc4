// SPDX-License-Identifier: MIT OR Apache-2.0
//! The values that options choose from.

use clap::ValueEnum;
use linpmem_capture::{OnUnreadable, ReadOrder};

/// Format of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// ELF64 core file
    Elf,
    /// Nothing but memory
    Raw,
    /// Advanced Forensic Format 4, version 1.0
    Aff4,
    /// LiME
    Lime,
    /// Kdump-compressed, as a flattened stream: crash, drgn, makedumpfile
    Kdump,
    /// AVML's compressed LiME; Volatility 3 hangs on memory that does not compress
    Avml,
}

/// Layout of the ranges in a raw image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// Back to back; only the manifest knows the addresses
    Concatenated,
    /// Each at the offset of its address, with holes between them
    Padded,
}

/// What is read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// The lowest address
    Address,
    /// The kernel's data and the page tables, up to 64 MiB, kept in memory until their
    /// turn; the rest by address
    VolatileFirst,
}

/// What to do when a page cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Continue: the page is zero in the image and listed in the manifest; exit code 3
    List,
    /// Stop with exit code 1
    Fail,
}

/// How to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    /// A bar on a terminal, plain lines elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line every few seconds
    Plain,
    /// One JSON object per line
    Json,
    /// Nothing
    None,
}

impl From<Order> for ReadOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Address => Self::Address,
            Order::VolatileFirst => Self::VolatileFirst,
        }
    }
}

impl From<OnError> for OnUnreadable {
    fn from(choice: OnError) -> Self {
        match choice {
            OnError::List => Self::List,
            OnError::Fail => Self::Fail,
        }
    }
}
