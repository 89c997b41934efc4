// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of `index`.

use clap::Args;
use std::path::PathBuf;

/// Which store to look into.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// The store and the folder: s3://…, gs://…, an Azure container with its SAS, or @FILE with the address
    ///
    /// A server for HTTP PUT has no list.
    pub address: String,

    /// Trust the certificates in FILE (PEM), instead of Mozilla's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Print one JSON document; errors on stderr are JSON Lines
    #[arg(long)]
    pub json: bool,
}
