// SPDX-License-Identifier: MIT OR Apache-2.0
//! The runs that write an image: acquisitions and conversions.

use super::{ImageArgs, RawInputArgs, ReadingArgs, RemoteArgs, RunArgs, SelectionArgs};
use clap::{Args, ValueEnum};
use linpmem_capture::{DriverSpec, OnUnreadable, ReadOrder};
use linpmem_phys::PhysRange;
use std::path::PathBuf;

/// How to acquire.
#[derive(Debug, Args)]
pub struct AcquireArgs {
    /// The image: a file, a named pipe, or - for stdout [default: HOSTNAME-TIME.core in the current folder]
    ///
    /// It is created with mode 0600, never through a symbolic link, and replaces an
    /// existing file only with --force.
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub image: ImageArgs,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// What to do when a page cannot be read
    #[arg(long, value_enum, default_value = "list")]
    pub on_error: OnError,

    /// Give up on a page that takes longer than this to read; 0 waits forever
    ///
    /// The page is zero in the image and listed as ETIMEDOUT. The thread that reads it is
    /// abandoned: a read that hangs in the kernel cannot be cancelled.
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub page_timeout: u64,

    /// What to read first
    #[arg(long, value_enum, default_value = "address")]
    pub order: Order,

    /// Re-read memory afterwards and record which pages changed during acquisition (smear)
    ///
    /// Memory is compared with the finished image on disk, which is not modified. The
    /// manifest lists the pages that changed, by range; those that this program changed
    /// are among them.
    #[arg(long)]
    pub second_pass: bool,

    /// Load the linpmem module for this run: fit, its path, auto or never
    ///
    /// fit takes the module inside this program, fits it to the running kernel and loads
    /// it from memory: nothing is written to a disk (`linpmem-fit --explain` shows how).
    /// It is unloaded at the end, however the run ends; only a second signal or SIGKILL
    /// leaves it loaded. auto uses linpmem.ko from this program's folder, if it is there
    /// and can be loaded. A module that is already loaded is used and stays loaded.
    #[arg(long, value_name = "fit|PATH|auto|never", default_value = "never")]
    pub driver: DriverSpec,

    /// Keep the swap areas as well, zram included: what processes have in memory is shown from them
    ///
    /// They are read when memory has been read, past the page cache, and are among the artifacts
    /// as swap/0, swap/1 and so on; machine.json tells which is which. That takes as long as
    /// reading the disk, and the room that they need is checked before the run begins. What
    /// cannot be read of them is listed. Encrypted images and those that are sent to another
    /// machine can have 256 MiB of them.
    #[arg(long, conflicts_with = "no_artifacts", help_heading = "Artifacts")]
    pub add_swap: bool,

    /// Also write a symbol file for Volatility 3: OUTPUT.isf.json.xz
    ///
    /// After memory has been read; see `linpmem-dump symbols --help`.
    #[arg(long)]
    pub symbols: bool,

    /// Do not check at the end whether the image can be analysed
    ///
    /// Images on this machine are checked, unless they are encrypted: see `linpmem-dump check
    /// --help`.
    #[cfg(feature = "inspect")]
    #[arg(long)]
    pub no_check: bool,

    #[command(flatten)]
    pub remote: RemoteArgs,

    #[command(flatten)]
    pub run: RunArgs,
}

impl AcquireArgs {
    /// Whether the image is checked at the end.
    #[must_use]
    pub const fn is_checked(&self) -> bool {
        #[cfg(feature = "inspect")]
        return !self.no_check;
        #[cfg(not(feature = "inspect"))]
        return false;
    }
}

/// What to convert, and into what.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub source: PathBuf,

    /// The new image: a file, a named pipe, or - for stdout
    pub output: PathBuf,

    #[command(flatten)]
    pub image: ImageArgs,

    /// Convert only this range: A-B or A+LENGTH. Repeatable
    #[arg(long = "range", value_name = "A-B")]
    pub ranges: Vec<PhysRange>,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub raw: RawInputArgs,

    #[command(flatten)]
    pub run: RunArgs,
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
