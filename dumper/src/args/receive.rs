// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of `receive`.

use clap::Args;
use linpmem_capture::sink::Limits;
use linpmem_phys::PhysLen;
use std::path::PathBuf;

/// How to receive.
#[derive(Debug, Args)]
pub struct ReceiveArgs {
    /// Listen at this address and port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:4444")]
    pub listen: String,

    /// Write the images into this folder
    ///
    /// HOST-TIME.core and so on, with a manifest, a .sha256 and a receipt each; nothing is
    /// ever replaced.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub out: PathBuf,

    /// Take one image, and end
    ///
    /// The token in the address is good for its sender alone.
    #[arg(long)]
    pub once: bool,

    /// Keep the receiver's key in FILE, which is created if it does not exist
    ///
    /// Without it, each receiver has a key of its own, and senders that were interrupted by its
    /// end cannot go on with another one. The key signs the receipts.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Keep the senders' token in FILE, which is created if it does not exist
    ///
    /// With --key and --token-file, the address stays the same when the receiver is started
    /// anew, and senders go on where they were.
    #[arg(long, value_name = "FILE", conflicts_with = "once")]
    pub token_file: Option<PathBuf>,

    /// The name or address by which senders reach this machine [default: its own address]
    #[arg(long = "as", value_name = "HOST")]
    pub host: Option<String>,

    /// Take no image larger than SIZE
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<PhysLen>,

    /// Leave SIZE free on the disk
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub min_free: PhysLen,

    /// Print JSON Lines: what arrives, from where, and how it ends
    #[arg(long)]
    pub json: bool,
}

impl ReceiveArgs {
    /// How large an image may become.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits {
            max_size: self.max_size,
            min_free: self.min_free,
        }
    }
}
