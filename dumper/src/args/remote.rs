// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sending an image to another machine, and receiving it there.

use super::plan::UsageError;
use clap::{Args, builder::NonEmptyStringValueParser};
use linpmem_capture::sink::Limits;
use linpmem_capture::{Address, RemoteSpec};
use linpmem_phys::PhysLen;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// Where `--to` comes from if it is not given.
pub const TO_VARIABLE: &str = "LINPMEM_TO";

/// More than an address ever has.
const MOST_ADDRESS_BYTES: u64 = 4096;

/// Sending the image.
#[derive(Clone, Args)]
pub struct RemoteArgs {
    /// Send the image and all that belongs to it to another machine, and write nothing here
    ///
    /// `linpmem-dump receive` prints the address there. @FILE reads it from a file, and
    /// without --to and OUTPUT it comes from the variable LINPMEM_TO: other users can see
    /// the command line of a program. See docs/remote.md.
    #[arg(
        long,
        value_name = "linpmem://…|@FILE",
        conflicts_with_all = ["output", "manifest", "force", "min_free", "second_pass", "read_back", "symbols"],
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = "Other machine"
    )]
    pub to: Option<String>,

    /// Try a connection that broke again for this many seconds
    ///
    /// No page is read twice: what the receiver does not have on its disk yet waits in memory,
    /// up to 8 MiB of it, and then reading waits as well.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "600",
        help_heading = "Other machine"
    )]
    pub give_up: NonZeroU32,
}

// The address has a secret in it.
impl std::fmt::Debug for RemoteArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteArgs")
            .field("give_up", &self.give_up)
            .finish_non_exhaustive()
    }
}

impl RemoteArgs {
    /// The receiver, if the image goes to one; `has_output` says that it has a file.
    ///
    /// # Errors
    /// If there is no address where one should be.
    pub fn spec(&self, has_output: bool) -> Result<Option<RemoteSpec>, UsageError> {
        let variable = std::env::var_os(TO_VARIABLE).filter(|text| !text.is_empty());
        let text = match (&self.to, variable) {
            (Some(to), _) => to.clone(),
            (None, Some(_)) if has_output => return Err(UsageError::OutputAndVariable),
            (None, Some(text)) => text.into_string().map_err(|_| UsageError::Variable)?,
            (None, None) => return Ok(None),
        };
        let text = match text.strip_prefix('@') {
            Some(path) => read(PathBuf::from(path))?,
            None => text,
        };
        Ok(Some(RemoteSpec {
            address: text.parse::<Address>()?,
            give_up: Duration::from_secs(self.give_up.get().into()),
        }))
    }
}

/// The first line of the file at `path` that says something.
fn read(path: PathBuf) -> Result<String, UsageError> {
    let mut text = String::new();
    File::open(&path)
        .and_then(|file| file.take(MOST_ADDRESS_BYTES).read_to_string(&mut text))
        .map_err(|error| UsageError::AddressFile(path, error.to_string()))?;
    let line = text.lines().find(|line| !line.trim().is_empty());
    Ok(line.unwrap_or_default().to_owned())
}

/// `word` of the command line as it may be recorded: without the secret of an address.
#[must_use]
pub fn without_secret(word: OsString) -> String {
    let word = word.to_string_lossy();
    match word.find("linpmem://").and_then(|at| {
        let secret = word.get(at..)?.find('#')?;
        word.get(..at + secret)
    }) {
        Some(open) => format!("{open}#…"),
        None => word.into_owned(),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_get_into_the_record() {
        for (word, recorded) in [
            ("linpmem://a:1#secret", "linpmem://a:1#…"),
            ("--to=linpmem://a:1#secret", "--to=linpmem://a:1#…"),
            ("linpmem://a:1", "linpmem://a:1"),
            ("a#b", "a#b"),
            ("é#linpmem://é#secret", "é#linpmem://é#…"),
        ] {
            assert_eq!(without_secret(OsString::from(word)), recorded);
        }
    }
}
