// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump recover`: a complete image from what an interrupted run left.

use super::custody_record::with_custody;
use super::file_output::FileOutput;
use super::recovered_name::recovered_of;
use super::verify::image_hashes;
use crate::args::{Cli, Command, RecoverArgs, UsageError};
use crate::text::recover::{Action, RecoverDocument};
use crate::text::shell::own_command;
use clap::Parser;
use linpmem_capture::finish::{final_name, is_whole, name_whole};
use linpmem_capture::sink::PartialError;
use linpmem_capture::source::{ImageSourceError, read_aff4, read_image};
use linpmem_capture::verify::VerifyError;
use linpmem_capture::{AcquireError, Events, Plan, Reading, acquire};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_formats::{Format, ImageReader, OverBudget, StoredRange, Truncation, aff4, raw};
use linpmem_manifest::paths::manifest_of;
use linpmem_phys::{Content, PAGE_SIZE};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// An image that was not recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum RecoverCommandError {
    /// A file cannot be opened, created or written.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// The volume holds nothing that can be recovered, or recovering it failed.
    #[error("{path}: {source}")]
    Recover {
        path: PathBuf,
        source: aff4::RecoverError,
    },
    /// What is left of the image cannot be opened.
    #[error("{path}: {source}")]
    Image {
        path: PathBuf,
        source: ImageSourceError,
    },
    /// The hashes inside the image are too much work.
    #[error(transparent)]
    Budget(#[from] OverBudget),
    /// The image cannot be compared with its manifest.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The image is complete.
    #[error("{0}: this image is complete: there is nothing to recover")]
    Whole(PathBuf),
    /// All of the image seems to be there, and some of it is not what it was.
    #[error(
        "{path}: this image is complete, but damaged, and does not get its final name; `{command}` \
         says where",
        path = .0.display(),
        command = own_command("verify", .0)
    )]
    Damaged(PathBuf),
    /// A whole image cannot get its name.
    #[error(transparent)]
    Name(#[from] PartialError),
    /// The new image cannot be named.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The new image could not be written.
    #[error(transparent)]
    Write(#[from] AcquireError),
    /// The command line of the conversion makes no sense.
    #[error("{path}: cannot write what is left of it to {output}: {reason}")]
    Conversion {
        path: PathBuf,
        output: PathBuf,
        reason: String,
    },
}

/// Recovers the image of `args`. One that turns out to be whole gets its final name. From
/// others a new file is made, and the old one is unchanged.
///
/// # Errors
/// If there is nothing to recover, or a file fails. The new file is then removed.
pub fn recover(args: &RecoverArgs, stderr: Stderr) -> Result<RecoverDocument, RecoverCommandError> {
    let volume = read_aff4(&args.image, &reading(args));
    let is_volume = !matches!(volume, Ok(None) | Err(aff4::Error::Io(_)));
    match volume {
        Ok(Some(volume)) if volume.truncation().is_none() => {
            let hashes = image_hashes(&volume)?;
            let missing_bytes = not_reached(args, volume.ranges());
            Ok(RecoverDocument {
                missing_bytes,
                ..named(args, Some(hashes.is_good()))?
            })
        }
        _ if is_volume => complete(args),
        _ => {
            let verified = is_whole(&args.image, &reading(args))?;
            if verified == Some(true) {
                return named(args, verified);
            }
            rewrite(args, stderr)
        }
    }
}

impl RecoverDocument {
    /// What the exit code says: whether memory is missing.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self.missing_bytes {
            0 => ExitStatus::Complete,
            _ => ExitStatus::Unreadable,
        }
    }
}

/// Each time an image is opened, it has the whole limit.
fn reading(args: &RecoverArgs) -> Reading {
    args.raw.with(Reading {
        budget: args.memory.budget(),
        identities: args.identity.identities(),
        ..Reading::default()
    })
}

/// Gives a whole image its name.
fn named(
    args: &RecoverArgs,
    is_good: Option<bool>,
) -> Result<RecoverDocument, RecoverCommandError> {
    let Some(own) = final_name(&args.image) else {
        return Err(RecoverCommandError::Whole(args.image.clone()));
    };
    if is_good == Some(false) {
        return Err(RecoverCommandError::Damaged(args.image.clone()));
    }
    let target = args.output.clone().unwrap_or(own);
    name_whole(&args.image, &target, &reading(args))?;
    Ok(document(args, &target, Action::Named))
}

fn document(args: &RecoverArgs, target: &Path, action: Action) -> RecoverDocument {
    RecoverDocument {
        image: args.image.to_string_lossy().into_owned(),
        output: target.to_string_lossy().into_owned(),
        action,
        missing_bytes: 0,
        members: None,
        lost_bytes: None,
        mapped_bytes: None,
    }
}

/// Bytes that were planned and are not in a volume with these ranges, although it has its
/// directory: an interrupted run writes that as well. Its manifest says how it ended.
fn not_reached(args: &RecoverArgs, ranges: &[StoredRange]) -> u64 {
    let image: &Path = &args.image;
    let lost = missing(ranges);
    let named = final_name(image).unwrap_or_else(|| image.to_path_buf());
    let found = [image, &named].map(|path| reading(args).manifest(&manifest_of(path)).ok());
    let Some(manifest) = found.into_iter().flatten().next() else {
        return lost;
    };
    if manifest.footer.state.is_whole() {
        return lost;
    }
    let stored: u64 = ranges.iter().map(|stored| stored.range.len().get()).sum();
    let planned = manifest.header.image.planned_bytes;
    lost.saturating_add(planned.saturating_sub(stored)).max(1)
}

/// Bytes of `ranges` that the run did not reach, or that were lost since.
fn missing(ranges: &[StoredRange]) -> u64 {
    let cut_off = Content::Unreadable {
        errno: Truncation::ERRNO,
    };
    let is_missing = |stored: &&StoredRange| {
        matches!(stored.content, Content::Skipped { .. }) || stored.content == cut_off
    };
    let lost = ranges.iter().filter(is_missing);
    // Ranges do not overlap: the sum fits.
    lost.map(|stored| stored.range.len().get()).sum()
}

/// Completes an AFF4 volume.
fn complete(args: &RecoverArgs) -> Result<RecoverDocument, RecoverCommandError> {
    let target = match &args.output {
        Some(path) => path.clone(),
        None => recovered_of(&args.image),
    };
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| RecoverCommandError::File { path, source }
    };
    let source = reading(args)
        .content(&args.image)
        .map_err(failed(&args.image))?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&target)
        .map_err(failed(&target))?;
    let mut output = FileOutput::new(file);
    let recovery =
        aff4::recover_within(&*source, &mut output, &args.memory.budget()).map_err(|source| {
            // An empty or half-written file would only mislead.
            let _ = std::fs::remove_file(&target);
            RecoverCommandError::Recover {
                path: args.image.clone(),
                source,
            }
        })?;
    output.finish().map_err(failed(&target))?;
    // Without a description of memory, only its files are there.
    let image = read_aff4(&target, &reading(args)).ok().flatten();
    Ok(RecoverDocument {
        missing_bytes: image.map_or(0, |image| missing(image.ranges())),
        members: Some(recovery.members),
        lost_bytes: Some(recovery.lost_bytes),
        mapped_bytes: recovery.mapped_bytes,
        ..document(args, &target, Action::Completed)
    })
}

/// Writes what is left of an image of another format to a new one.
fn rewrite(args: &RecoverArgs, stderr: Stderr) -> Result<RecoverDocument, RecoverCommandError> {
    let failed = |source| RecoverCommandError::Image {
        path: args.image.clone(),
        source,
    };
    let image = read_image(&args.image, None, &reading(args)).map_err(failed)?;
    let is_partial = final_name(&args.image).is_some();
    if !is_partial && image.truncation().is_none() {
        return Err(RecoverCommandError::Whole(args.image.clone()));
    }
    let target = match &args.output {
        Some(path) => path.clone(),
        None => recovered_of(&args.image),
    };
    let words: Vec<OsString> = [
        "linpmem-dump".into(),
        "convert".into(),
        "--progress=none".into(),
        "--format".into(),
        format_name(image.format()).into(),
    ]
    .into_iter()
    .chain(match image.format() {
        Format::Raw(raw::Layout::Padded) => vec!["--raw-layout".into(), "padded".into()],
        Format::Raw(_) => vec!["--raw-layout".into(), "concatenated".into()],
        _ => Vec::new(),
    })
    .chain([args.image.clone().into(), target.clone().into()])
    .collect();
    let cannot = |reason: String| RecoverCommandError::Conversion {
        path: args.image.clone(),
        output: target.clone(),
        reason,
    };
    let cli = Cli::try_parse_from(words).map_err(|error| cannot(error.to_string()))?;
    let Some(Command::Convert(convert)) = &cli.command else {
        return Err(cannot("its name cannot be an argument".to_owned()));
    };
    let command = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let plan = Plan {
        reading: reading(args),
        ..convert.plan(command.collect())?
    };
    let plan = with_custody(plan, &convert.run.custody, |warning| stderr.warn(warning));
    let acquired = acquire(&plan, &mut Warn(stderr))?;
    if !acquired.state.is_whole() {
        return Err(cannot(format!(
            "it was not completed; {} is what there is of it",
            acquired.image.display()
        )));
    }
    Ok(RecoverDocument {
        missing_bytes: match image.truncation() {
            Some(cut) => cut.missing.get(),
            // A run that was stopped has its planned form.
            None => acquired.outcome.unreadable_pages * PAGE_SIZE.get(),
        },
        ..document(args, &target, Action::Rewritten)
    })
}

/// As `--format` calls it.
const fn format_name(format: Format) -> &'static str {
    match format {
        Format::Lime => "lime",
        Format::Avml => "avml",
        Format::Kdump | Format::Flattened => "kdump",
        Format::Raw(_) => "raw",
        Format::Aff4 => "aff4",
        _ => "elf",
    }
}

/// Shows the warnings of a conversion.
struct Warn(Stderr);

impl Events for Warn {
    fn warning(&mut self, warning: &str) {
        self.0.warn(warning);
    }
}
