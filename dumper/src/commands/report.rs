// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump report`: a page about an acquisition.

use super::vouching::{Trusted, TrustedError, events};
use crate::args::ReportArgs;
use crate::text::report::{Comparison, ReportDocument};
use crate::text::shell::{quoted, word};
use crate::text::vouching::{EventsCheck, SignatureCheck, TimestampCheck, Vouched};
use linpmem_capture::Reading;
use linpmem_capture::clock::Moment;
use linpmem_capture::meter::Meter;
use linpmem_capture::pipeline::default_readers;
use linpmem_capture::sink::{PartialError, PartialFile};
use linpmem_capture::verify::{Thoroughness, Verification, VerifyError};
use linpmem_custody::chain::Chain;
use linpmem_custody::digest::sha256_of_file;
use linpmem_formats::Codec;
use linpmem_manifest::paths::{
    custody_of, decrypted_of, is_encrypted_name, manifest_beside, with_suffix,
};
use linpmem_manifest::{ReadError, Sha256Sum};
use linpmem_report::{Command, Context, Event, Gathered, Standing, Voucher, page};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A page that was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There is nothing to write about.
    #[error(
        "{image} has no manifest next to it, and that is what a page is made of: {path} does not exist \
         (--manifest names another)"
    )]
    Missing {
        /// The image.
        image: PathBuf,
        /// Where the manifest should be.
        path: PathBuf,
    },
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ReadError),
    /// The manifest cannot be read again.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What should be trusted cannot be read.
    #[error(transparent)]
    Trusted(#[from] TrustedError),
    /// The image cannot be compared.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The page cannot be written.
    #[error(transparent)]
    File(#[from] PartialError),
    /// stdout does not take the page.
    #[error("writing the page to stdout: {0}")]
    Stdout(io::Error),
}

/// Writes the page of `args`, to `stdout` if that is asked for.
///
/// # Errors
/// If there is no manifest, or the page cannot be written.
pub fn report(args: &ReportArgs, stdout: &mut dyn Write) -> Result<ReportDocument, ReportError> {
    let trusted = Trusted::of(&args.trust)?;
    let path = match &args.manifest {
        Some(path) => path.clone(),
        None => manifest_beside(&args.image),
    };
    if !path.exists() {
        let image = args.image.clone();
        return Err(ReportError::Missing { image, path });
    }
    let reading = args.reading.reading();
    let gathered = Gathered::read(reading.manifest_lines(&path)?)?;
    let verified = match args.verify {
        true => Some(compare(args, &path, &reading)?),
        false => None,
    };
    let open = || {
        File::open(&path).map_err(|source| ReportError::Io {
            path: path.clone(),
            source,
        })
    };
    let checks = [
        trusted.signature(&path, open()?).map(Voucher::from),
        trusted.timestamp(&path, open()?).map(Voucher::from),
        events(&path, open()?).map(Voucher::from),
    ];
    let comparison = verified.as_ref().and_then(|found| match found.standing {
        Standing::Good => Some(Comparison::Good),
        Standing::Bad => Some(Comparison::Bad),
        Standing::NotChecked => None,
    });
    let context = Context {
        image: args.image.to_string_lossy().into_owned(),
        program: format!("linpmem-dump {}", env!("CARGO_PKG_VERSION")),
        made: Moment::now().stamp().utc,
        verified,
        vouchers: checks.into_iter().flatten().collect(),
        events: since(&path),
        commands: commands(&args.image, &gathered),
        command: line(gathered.command()),
    };
    let text = page(&gathered, &context);
    let page = args.page();
    if args.writes_to_stdout() {
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(ReportError::Stdout)?;
    } else {
        PartialFile::write(&page, text.as_bytes(), args.force)?;
    }
    Ok(ReportDocument {
        image: context.image,
        page: page.to_string_lossy().into_owned(),
        verified: comparison,
    })
}

/// Compares the image of `args` with the manifest at `path`.
fn compare(args: &ReportArgs, path: &Path, reading: &Reading) -> Result<Voucher, ReportError> {
    let image = Verification::open(&args.image, Some(path), reading)?;
    let thoroughness = Thoroughness {
        full: false,
        workers: default_readers(),
    };
    let found = image.compare(thoroughness, &Meter::default())?;
    let (standing, text) = match found {
        None => (
            Standing::NotChecked,
            "there is nothing to compare it with".to_owned(),
        ),
        Some(found) => match (found.damages.first(), &found.unverified) {
            (Some(damage), _) => (Standing::Bad, damage.to_string()),
            (None, Some(unverified)) => (Standing::NotChecked, unverified.to_string()),
            (None, None) => (
                Standing::Good,
                "every byte of it is what the manifest describes".to_owned(),
            ),
        },
    };
    Ok(Voucher {
        what: "The image".to_owned(),
        standing,
        text,
    })
}

impl Vouched {
    const fn standing(self) -> Standing {
        match self {
            Self::Good => Standing::Good,
            Self::NotChecked => Standing::NotChecked,
            Self::Bad | Self::Missing => Standing::Bad,
        }
    }
}

impl From<SignatureCheck> for Voucher {
    fn from(check: SignatureCheck) -> Self {
        let key = check.key_id.unwrap_or_else(|| "unknown".to_owned());
        let more = check.trusted_comment.or(check.reason);
        Self {
            what: "Signature".to_owned(),
            standing: check.verdict.standing(),
            text: format!("by the key {key}: {}", more.unwrap_or_default()),
        }
    }
}

impl From<TimestampCheck> for Voucher {
    fn from(check: TimestampCheck) -> Self {
        let stamped = check.stamped;
        let stamped = stamped.map(|by| format!("stamped at {} by {}", by.when(), by.by()));
        let texts = [stamped, check.reason];
        Self {
            what: "Timestamp".to_owned(),
            standing: check.verdict.standing(),
            text: texts.into_iter().flatten().collect::<Vec<_>>().join("; "),
        }
    }
}

impl From<EventsCheck> for Voucher {
    fn from(check: EventsCheck) -> Self {
        let (standing, text) = match check.reason {
            None => (
                Standing::Good,
                "the events since then follow each other from the manifest on".to_owned(),
            ),
            Some(reason) => (Standing::Bad, reason),
        };
        Self {
            what: "Custody".to_owned(),
            standing,
            text,
        }
    }
}

/// What was recorded since the manifest at `path` was written. What is wrong with it is told as one
/// of the vouchers.
fn since(path: &Path) -> Vec<Event> {
    let sum: Option<Sha256Sum> = sha256_of_file(path).ok();
    let read = sum.and_then(|sum| Chain::read(&custody_of(path), sum).ok().flatten());
    let entries = read.map(|(chain, _)| chain.entries).unwrap_or_default();
    let event = |entry: linpmem_custody::chain::Entry| Event {
        utc: entry.time,
        event: entry.event,
        operator: format!("{} at {}", entry.operator.name, entry.host),
    };
    entries.into_iter().map(event).collect()
}

/// `command` as a shell takes it.
fn line(command: &[String]) -> String {
    let words: Vec<_> = command.iter().map(|text| word(OsStr::new(text))).collect();
    words.join(" ")
}

/// Commands that open the image at `path`, of which `gathered` tells.
fn commands(path: &Path, gathered: &Gathered) -> Vec<Command> {
    let (opened, format) = opened(path, gathered);
    let is_other = opened != path;
    let (image, opened) = (quoted(path), quoted(&opened));
    let key = match is_encrypted_name(path) {
        true => " --identity KEY",
        false => "",
    };
    let has_dump = matches!(format, "elf" | "kdump");
    let all = [
        (
            "What it contains",
            format!("linpmem-dump info {image}{key}"),
            true,
        ),
        (
            "Whether it is unchanged",
            format!("linpmem-dump verify {image}{key}"),
            true,
        ),
        (
            "For other programs, first",
            format!("linpmem-dump convert {image} {opened} --format {format}{key}"),
            is_other,
        ),
        ("drgn", format!("drgn -c {opened}"), has_dump),
        ("crash", format!("crash vmlinux {opened}"), has_dump),
        (
            "Volatility 3",
            format!("linpmem-dump symbols {image}{key}; vol -s . -f {opened} linux.pslist"),
            format != "kdump",
        ),
    ];
    let fitting = all.into_iter().filter(|(_, _, fits)| *fits);
    fitting
        .map(|(tool, line, _)| Command {
            tool: tool.to_owned(),
            line,
        })
        .collect()
}

/// What other programs open (docs/consumers.md): the image at `path` itself, or what it is to be
/// converted to; and its format.
fn opened<'a>(path: &Path, gathered: &'a Gathered) -> (PathBuf, &'a str) {
    let decrypted = decrypted_of(path);
    let codec = decrypted.extension().and_then(OsStr::to_str);
    let plain = match (gathered.is_framed(), codec.and_then(Codec::from_extension)) {
        (false, _) => decrypted,
        (true, Some(_)) => decrypted.with_extension(""),
        (true, None) => with_suffix(&decrypted, ".plain"),
    };
    match gathered.format() {
        format @ ("elf" | "kdump" | "lime") => (plain, format),
        _ => (with_suffix(&plain, ".core"), "elf"),
    }
}
