// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who vouches for an image: signatures of its manifest, and the chain of custody.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The key that signs the manifest of a run.
#[derive(Clone, Debug, Default, Args)]
#[cfg(feature = "sign")]
pub struct SignRunArgs {
    /// Sign the manifest with this secret key of minisign: OUTPUT.manifest.jsonl.minisig
    ///
    /// The manifest has the hash of every part of OUTPUT. FILE is read before memory is, so a
    /// key that cannot be used ends the run at once. The key is in this machine's memory while
    /// that is read, and so in the image: use one that was made for this run, or sign
    /// afterwards on another machine (`linpmem-dump sign`).
    #[arg(long, value_name = "FILE", help_heading = "Custody")]
    pub sign_key: Option<PathBuf>,

    /// The first line of FILE is the password of the secret key
    ///
    /// By default the variable LINPMEM_SIGN_PASSWORD has it, or it is asked for at the
    /// terminal. Unlocking a key of minisign takes 1 GiB of memory.
    #[arg(
        long,
        value_name = "FILE",
        requires = "sign_key",
        help_heading = "Custody"
    )]
    pub sign_password_file: Option<PathBuf>,
}

/// What to sign.
#[derive(Debug, Args)]
#[cfg(feature = "sign")]
pub struct SignArgs {
    /// The image
    pub image: PathBuf,

    /// The secret key, a file that `minisign -G` makes
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,

    /// The first line of FILE is the password of the secret key
    ///
    /// By default the variable LINPMEM_SIGN_PASSWORD has it, or it is asked for at the
    /// terminal. Unlocking a key of minisign takes 1 GiB of memory.
    #[arg(long, value_name = "FILE")]
    pub sign_password_file: Option<PathBuf>,

    /// The image's manifest [default: IMAGE.manifest.jsonl]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// Replace an existing signature
    #[arg(long)]
    pub force: bool,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}

/// What the manifest of a run says about who made the image, and why.
#[derive(Clone, Debug, Default, Args)]
pub struct CustodyRunArgs {
    /// Who runs this, for the manifest [default: who logged in]
    #[arg(long, value_name = "NAME", help_heading = "Custody")]
    pub operator: Option<String>,

    /// The case that the image belongs to, for the manifest
    ///
    /// For every format; --case-name is what an AFF4 image says about itself.
    #[arg(long, value_name = "ID", help_heading = "Custody")]
    pub case: Option<String>,

    /// A remark, for the manifest
    #[arg(long, value_name = "TEXT", help_heading = "Custody")]
    pub note: Option<String>,
}

/// What happened to an image.
#[derive(Debug, Subcommand)]
pub enum CustodyCommand {
    /// Record an event: a copy, a hand-over, an examination
    ///
    /// It is added to IMAGE.manifest.jsonl.custody, which is made if there is none. What the
    /// file has so far is checked first.
    Add(CustodyAddArgs),
    /// Show who acquired an image, and every event since
    ///
    /// Exit code 1 if the events do not follow each other from this manifest on.
    Show(CustodyShowArgs),
}

/// The event to record.
#[derive(Debug, Args)]
pub struct CustodyAddArgs {
    /// The image
    pub image: PathBuf,

    /// What happened
    #[arg(long, value_name = "TEXT")]
    pub event: String,

    /// Who records it [default: who logged in]
    #[arg(long, value_name = "NAME")]
    pub operator: Option<String>,

    /// The image's manifest [default: IMAGE.manifest.jsonl]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}

/// What to show.
#[derive(Debug, Args)]
pub struct CustodyShowArgs {
    /// The image
    pub image: PathBuf,

    /// The image's manifest [default: IMAGE.manifest.jsonl]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}

/// What to stamp.
#[derive(Debug, Args)]
#[cfg(feature = "timestamp")]
#[command(group = clap::ArgGroup::new("way").required(true).multiple(true))]
pub struct TimestampArgs {
    /// The image
    pub image: PathBuf,

    /// Ask the authority at this address, over HTTP or HTTPS
    ///
    /// Proxies are those of the environment (https_proxy, http_proxy, no_proxy). What is sent
    /// is the SHA-256 of the manifest and a random number.
    #[arg(long, value_name = "URL", group = "way")]
    #[arg(conflicts_with_all = ["request", "reply"])]
    pub tsa: Option<String>,

    /// Write the request to FILE, for a machine that can reach an authority
    ///
    /// There: curl -H 'Content-Type: application/timestamp-query' --data-binary @FILE URL
    /// -o ANSWER. With --reply, FILE is the request that was answered, and the answer has to
    /// belong to it.
    #[arg(long, value_name = "FILE", group = "way")]
    pub request: Option<PathBuf>,

    /// Take the authority's answer from FILE
    #[arg(long, value_name = "FILE", group = "way")]
    pub reply: Option<PathBuf>,

    /// Trust the certificates in FILE (PEM) for HTTPS, instead of the system's
    #[arg(long, value_name = "FILE", requires = "tsa")]
    pub ca: Option<PathBuf>,

    /// Require a timestamp by an authority that the certificates in FILE (PEM) vouch for
    ///
    /// Without it, what the answer says is checked, but not who says it: `verify --tsa-ca` can
    /// do that later.
    #[arg(long, value_name = "FILE")]
    pub tsa_ca: Option<PathBuf>,

    /// The image's manifest [default: IMAGE.manifest.jsonl]
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,

    /// Replace an existing timestamp or request
    #[arg(long)]
    pub force: bool,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}
