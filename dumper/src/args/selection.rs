// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is read, and from where.

use super::{IdentityArgs, RawInputArgs, UsageError};
use clap::Args;
use linpmem_capture::Reading;
use linpmem_capture::selection::Selection;
use linpmem_capture::source::SourceSpec;
use linpmem_phys::PhysRange;

/// What is read, and from where.
#[derive(Clone, Debug, Args)]
pub struct SelectionArgs {
    /// Also read reserved memory
    ///
    /// In addition to System RAM: Reserved, ACPI Tables, ACPI Non-volatile Storage, Soft
    /// Reserved and ROMs. Device registers (reading them can hang the machine), memory
    /// the firmware calls unusable, and persistent memory are never read.
    #[arg(long)]
    pub include_reserved: bool,

    /// Also read addresses that /proc/iomem has no entry for
    ///
    /// Up to the end of RAM, or to the end of --range. Most of them are not backed by
    /// anything; what cannot be read is zero in the image and listed as unreadable.
    #[arg(long)]
    pub include_holes: bool,

    /// Read only this range: A-B or A+LENGTH. Repeatable
    ///
    /// B is the last byte, as in /proc/iomem. Numbers are decimal, or hexadecimal with
    /// 0x; K, M, G and T (or KiB, MiB, GiB, TiB) multiply by powers of 1024:
    /// 0x100000-0x1fffff and 1MiB+1MiB are the same. Widened to whole pages.
    #[arg(long = "range", value_name = "A-B")]
    pub ranges: Vec<PhysRange>,

    /// Source of memory: auto, linpmem, kcore, crash, devmem, vmcore, a device node, or
    /// file:IMAGE
    ///
    /// auto picks the best source that works, tested by reading pages with known
    /// content: the linpmem module (/dev/linpmem), otherwise System RAM from
    /// /proc/kcore, /dev/crash or /dev/mem, and reserved ranges from /dev/mem. In a crash
    /// (kdump) kernel it is vmcore: /proc/vmcore, the memory of the kernel that crashed.
    /// A path is the module's device node under another name. file: reads an image, which
    /// converts it.
    #[arg(long, value_name = "SOURCE", default_value = "auto")]
    pub source: SourceSpec,

    #[command(flatten)]
    pub identity: IdentityArgs,

    #[command(flatten)]
    pub raw: RawInputArgs,
}

impl SelectionArgs {
    /// How the image is read that the source may be.
    ///
    /// # Errors
    /// If the source is a machine, and options are for images.
    pub fn reading(&self) -> Result<Reading, UsageError> {
        let is_image = matches!(self.source, SourceSpec::Image(_));
        match self.raw.input() {
            Some(_) if !is_image => Err(UsageError::LayoutOfMachine),
            _ if !is_image && !self.identity.identity.is_empty() => Err(UsageError::KeyOfMachine),
            _ => Ok(self.raw.with(Reading {
                identities: self.identity.identities(),
                ..Reading::default()
            })),
        }
    }

    /// The addresses that these options select.
    #[must_use]
    pub fn selection(&self) -> Selection {
        Selection {
            include_reserved: self.include_reserved,
            include_holes: self.include_holes,
            windows: self.ranges.clone(),
            everything: false,
        }
    }
}
