// SPDX-License-Identifier: MIT OR Apache-2.0
//! How to acquire, and what.

use super::{ImageArgs, OnError, Order, RunArgs};
use crate::driver::DriverSpec;
use crate::notation::{SourceSpec, parse_range};
use clap::Args;
use linpmem_phys::PhysRange;
use std::path::PathBuf;

/// Options that decide what is read.
#[derive(Clone, Debug, Args)]
pub struct SelectionArgs {
    /// Read reserved memory as well
    ///
    /// Beside System RAM: Reserved, ACPI Tables, ACPI Non-volatile Storage, Soft
    /// Reserved and ROMs. Never read are device registers (reading them can hang
    /// the machine), memory that the firmware calls unusable, and persistent memory.
    #[arg(long)]
    pub include_reserved: bool,

    /// Read what /proc/iomem has no entry for, as well
    ///
    /// Up to the end of RAM, or to the end of --range. Most of it is not there;
    /// what cannot be read is zero in the image and listed as unreadable.
    #[arg(long)]
    pub include_holes: bool,

    /// Read only this range: A-B, or A+LENGTH; may be repeated
    ///
    /// Addresses are hexadecimal, with or without 0x, and B is the last one
    /// included, as in /proc/iomem; LENGTH is decimal with KiB, MiB, GiB or TiB, or
    /// 0x…: 100000-1fffff and 1MiB+1MiB are the same. Widened to whole pages.
    #[arg(long = "range", value_name = "A-B", value_parser = parse_range)]
    pub ranges: Vec<PhysRange>,

    /// Where memory comes from: auto, linpmem, kcore, crash, devmem, a device node,
    /// or file:IMAGE
    ///
    /// auto takes the best that works, which is tested by reading pages whose
    /// content is known: the linpmem module (/dev/linpmem), else System RAM from
    /// /proc/kcore, /dev/crash or /dev/mem, and reserved ranges from /dev/mem.
    /// A path is the module's node elsewhere. file: reads an image that this
    /// program can open, which converts it.
    #[arg(long, value_name = "SOURCE", default_value = "auto")]
    pub source: SourceSpec,

    /// Whatever the source has, whichever kind it is.
    #[arg(skip)]
    pub everything: bool,
}

/// How to acquire.
#[derive(Debug, Args)]
pub struct AcquireArgs {
    /// The image; - is stdout
    ///
    /// Without it, HOSTNAME-TIME.core (or .raw) in the current folder. It is created
    /// with mode 0600, never through a symbolic link, and never over an existing
    /// file unless --force is given.
    pub output: Option<PathBuf>,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub image: ImageArgs,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub selection: SelectionArgs,

    /// What becomes of the run when a page cannot be read
    #[arg(long, value_enum, default_value = "list")]
    pub on_error: OnError,

    /// Give up a page that is not read within this time; 0 waits for ever
    ///
    /// It is zero in the image and listed as ETIMEDOUT. The reading thread stays
    /// behind: a read that the kernel does not return from cannot be called back.
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub page_timeout: u64,

    /// What is read first
    #[arg(long, value_enum, default_value = "address")]
    pub order: Order,

    /// Read the memory once more, and record which pages changed meanwhile
    ///
    /// When the image is written; it is compared from the disk and stays as it is. The
    /// manifest then lists the changed pages by range: how far the image is of one
    /// moment. What this program itself changed is among them.
    #[arg(long)]
    pub second_pass: bool,

    /// Load the linpmem module for this run: its path, auto or never
    ///
    /// It is unloaded at the end, however the run ends; only a second signal or
    /// SIGKILL leaves it loaded. auto takes linpmem.ko beside this program, if it
    /// is there and can be loaded. A module that is loaded already is used and
    /// stays.
    #[arg(long, value_name = "PATH", default_value = "never")]
    pub driver: DriverSpec,

    /// Make a symbol file for Volatility 3 beside OUTPUT: OUTPUT.isf.json.xz
    ///
    /// After the memory has been read; see `linpmem-dump symbols --help`.
    #[arg(long)]
    pub symbols: bool,

    #[command(flatten)]
    #[allow(missing_docs, reason = "a doc comment would become help text")]
    pub run: RunArgs,
}
