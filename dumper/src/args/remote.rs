// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sending an image to another machine.

use super::plan::UsageError;
use clap::{Args, builder::NonEmptyStringValueParser};
use linpmem_capture::{Address, Bundle, Location, Output, RemoteSpec, StoreSpec};
use linpmem_phys::PhysLen;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where `--to` comes from if it is not given.
pub const TO_VARIABLE: &str = "LINPMEM_TO";

/// More than an address ever has.
const MOST_ADDRESS_BYTES: usize = 4096;

/// Sending the image.
#[derive(Clone, Args)]
pub struct RemoteArgs {
    /// Send the image and all that belongs to it to another machine or a store, and write nothing here
    ///
    /// linpmem://… is what `linpmem-dump receive` prints on the other machine (docs/remote.md);
    /// s3://BUCKET/FOLDER/, gs://BUCKET/FOLDER/, the address of an Azure container with its SAS,
    /// and https://HOST/FOLDER/ for WebDAV are stores (docs/stores.md). @FILE reads the address
    /// from a file, or is the bundle that `linpmem-dump presign` has made. Without --to and
    /// OUTPUT, the address comes from the variable LINPMEM_TO: other users can see the command
    /// line of a program.
    #[arg(
        long,
        value_name = "ADDRESS|@FILE",
        conflicts_with_all = ["output", "manifest", "force", "min_free", "second_pass", "read_back", "symbols"],
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = "Other machine"
    )]
    pub to: Option<String>,

    /// Try a connection that broke again for this many seconds
    ///
    /// No page is read twice: what the other side does not have yet waits in memory, and when
    /// there is enough of it, reading waits as well.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "600",
        help_heading = "Other machine"
    )]
    pub give_up: NonZeroU32,

    /// Trust the certificates in FILE (PEM) for stores, instead of Mozilla's
    ///
    /// Where a proxy looks into all connections: /etc/ssl/certs/ca-certificates.crt, if the
    /// machine knows it.
    #[arg(long, value_name = "FILE", help_heading = "Other machine")]
    pub ca: Option<PathBuf>,

    /// Send parts of SIZE to a store [default: 8 MiB, 16 MiB for more than 70 GiB]
    ///
    /// Four of them are in memory. A store takes 10,000 parts for an object, so an image of more
    /// than 140 GiB becomes several objects, unless this is larger.
    #[arg(long, value_name = "SIZE", value_parser = part_size, help_heading = "Other machine")]
    pub part_size: Option<PhysLen>,

    /// Wait a random time before anything begins, SECONDS at most
    ///
    /// Where one command starts this on many machines: they do not all come to the same
    /// receiver, store or hypervisor at once. See also --rate.
    #[arg(long, value_name = "SECONDS", help_heading = "Other machine")]
    pub jitter: Option<NonZeroU32>,
}

/// S3 takes no smaller parts, and no larger ones.
pub(super) fn part_size(text: &str) -> Result<PhysLen, String> {
    let size: PhysLen = text.parse().map_err(|error| format!("{error}"))?;
    match size.get() {
        0x50_0000..=0x1_0000_0000 => Ok(size),
        _ => Err("parts have 5 MiB to 4 GiB".to_owned()),
    }
}

// The address has a secret in it.
impl std::fmt::Debug for RemoteArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteArgs")
            .field("give_up", &self.give_up)
            .field("jitter", &self.jitter)
            .finish_non_exhaustive()
    }
}

impl RemoteArgs {
    /// Where the image goes, if not to this machine; `has_output` says that it has a file.
    ///
    /// # Errors
    /// If there is no address where one should be.
    pub fn output(&self, has_output: bool) -> Result<Option<Output>, UsageError> {
        let variable = std::env::var_os(TO_VARIABLE).filter(|text| !text.is_empty());
        let text = match (&self.to, variable) {
            (Some(to), _) => to.clone(),
            (None, Some(_)) if has_output => return Err(UsageError::OutputAndVariable),
            (None, Some(text)) => text.into_string().map_err(|_| UsageError::Variable)?,
            (None, None) => return Ok(None),
        };
        let give_up = Duration::from_secs(self.give_up.get().into());
        let text = match text.strip_prefix('@').map(PathBuf::from) {
            Some(path) => match read(&path)? {
                Named::Address(address) => address,
                Named::Bundle(_) if self.part_size.is_some() => {
                    return Err(UsageError::PartSizeOfBundle);
                }
                Named::Bundle(location) => {
                    return Ok(Some(Output::Store(StoreSpec {
                        location,
                        ca: self.ca.clone(),
                        give_up,
                        part_bytes: None,
                    })));
                }
            },
            None => text,
        };
        if Location::is_one(&text) {
            return Ok(Some(Output::Store(StoreSpec {
                location: text.parse()?,
                ca: self.ca.clone(),
                give_up,
                part_bytes: self.part_size,
            })));
        }
        if self.ca.is_some() || self.part_size.is_some() {
            return Err(UsageError::OptionOfStores);
        }
        let address = text.parse::<Address>()?;
        Ok(Some(Output::Remote(RemoteSpec { address, give_up })))
    }
}

/// What a file that follows an `@` has.
enum Named {
    /// An address.
    Address(String),
    /// A bundle for this place.
    Bundle(Location),
}

/// The first line of the file at `path` that says something, or the bundle that it is.
fn read(path: &Path) -> Result<Named, UsageError> {
    let failed = |reason: String| UsageError::AddressFile(path.to_path_buf(), reason);
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(Bundle::most_bytes()).read_to_string(&mut text))
        .map_err(|error| failed(error.to_string()))?;
    if Bundle::is_one(&text) {
        let bundle = Location::of_bundle(&text);
        let wrong = |error| UsageError::Bundle(path.to_path_buf(), error);
        return bundle.map(Named::Bundle).map_err(wrong);
    }
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or_default();
    match line.len() <= MOST_ADDRESS_BYTES {
        true => Ok(Named::Address(line.to_owned())),
        false => Err(failed("no address is so long".to_owned())),
    }
}

/// The place in a store that `text` names, or the file whose name follows an `@`; `None` if it
/// names something else.
///
/// # Errors
/// If it is the address of a store and wrong.
pub fn stored_at(text: &OsStr) -> Result<Option<Location>, UsageError> {
    let Some(text) = text.to_str() else {
        return Ok(None);
    };
    let text = match text.strip_prefix('@') {
        Some(path) if !Path::new(text).exists() => match read(Path::new(path))? {
            Named::Address(address) => address,
            Named::Bundle(location) => {
                let address = location.to_string();
                return Err(UsageError::BundleReads(PathBuf::from(path), address));
            }
        },
        _ => text.to_owned(),
    };
    match Location::is_one(&text) {
        true => Ok(Some(text.parse()?)),
        false => Ok(None),
    }
}

/// `word` of the command line as it may be recorded: without the secret of an address.
#[must_use]
pub fn without_secret(word: OsString) -> String {
    let word = word.to_string_lossy();
    if let Some(at) = ["https://", "http://"]
        .iter()
        .find_map(|scheme| word.find(scheme))
    {
        let (before, url) = word.split_at(at);
        return format!("{before}{}", without_query(url));
    }
    match word.find("linpmem://").and_then(|at| {
        let secret = word.get(at..)?.find('#')?;
        word.get(..at + secret)
    }) {
        Some(open) => format!("{open}#…"),
        None => word.into_owned(),
    }
}

/// `url` without user, password and query.
fn without_query(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (place, query) = match rest.split_once(['?', '#']) {
        Some((place, _)) => (place, "?…"),
        None => (rest, ""),
    };
    let (host, path) = match place.find('/') {
        Some(at) => place.split_at(at),
        None => (place, ""),
    };
    let (user, host) = match host.rsplit_once('@') {
        Some((_, host)) => ("…@", host),
        None => ("", host),
    };
    format!("{scheme}://{user}{host}{path}{query}")
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
            ("--to=https://me:secret@h:1/a/", "--to=https://…@h:1/a/"),
            ("https://h/c/a@b?sig=secret", "https://h/c/a@b?…"),
            ("https://me:secr@et@h", "https://…@h"),
            ("s3://b/c", "s3://b/c"),
        ] {
            assert_eq!(without_secret(OsString::from(word)), recorded);
        }
    }
}
