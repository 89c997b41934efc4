// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump extract`: a range of addresses, or an artifact, out of an image.

use crate::args::ExtractArgs;
use crate::text::extract::{ExtractDocument, ExtractedRange};
use linpmem_capture::artifacts::{Artifacts, ArtifactsError};
use linpmem_capture::source::{ImageSourceError, read_image};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_formats::ImageReader;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use linpmem_phys::{PhysLen, PhysRange, SourceError, Unreadables};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Bytes that could not be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum ExtractError {
    /// The image does not open.
    #[error("{path}: {source}")]
    Image {
        path: PathBuf,
        source: ImageSourceError,
    },
    /// The image fails as a whole.
    #[error(transparent)]
    Read(#[from] SourceError),
    /// The artifacts cannot be read.
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    /// Neither addresses nor an artifact were named.
    #[error("give the addresses (--range) or an artifact (--file) to copy")]
    Nothing,
    /// An artifact was named, and the image has none.
    #[error(
        "{0} has no artifacts, neither inside it nor in a file next to it; if its \
         .artifacts.tar.zst is elsewhere, name that file"
    )]
    NoArtifacts(PathBuf),
    /// The new file cannot be created or written.
    #[error("{path}: {source}")]
    Output { path: PathBuf, source: io::Error },
    /// The bytes would go to the terminal.
    #[error("stdout is a terminal: send the bytes to a pipe or a file")]
    Terminal,
}

/// Bytes copied at a time.
const STEP: PhysLen = PhysLen::new(1 << 20);

/// Copies what `args` name.
///
/// # Errors
/// If the image does not open, or the new file exists or cannot be written.
pub fn extract(
    args: &ExtractArgs,
    stdout: &mut dyn Write,
    stderr: Stderr,
) -> Result<ExtractDocument, ExtractError> {
    // First, so that no empty file is left where there is nothing to copy.
    let wanted = Wanted::open(args)?;
    let mut file;
    let out: &mut dyn Write = if args.output.as_os_str() == "-" {
        if io::stdout().is_terminal() {
            return Err(ExtractError::Terminal);
        }
        stdout
    } else {
        file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&args.output)
            .map_err(|source| output(args, source))?;
        &mut file
    };
    let mut document = ExtractDocument {
        image: args.image.to_string_lossy().into_owned(),
        output: args.output.to_string_lossy().into_owned(),
        size_bytes: 0,
        range: None,
        file: None,
        unreadable: Vec::new(),
    };
    match wanted {
        Wanted::Range(image, range) => {
            for warning in image.warnings() {
                stderr.warn(warning);
            }
            let unreadable = copy_range(args, &*image, range, out)?;
            let unreadable = unreadable.as_slice().iter();
            document.unreadable = unreadable.map(|&item| item.into()).collect();
            document.size_bytes = range.len().get();
            document.range = Some(ExtractedRange {
                start: range.start().into(),
                last: range.last().into(),
            });
        }
        Wanted::File(artifacts, name) => {
            document.size_bytes = copy_file(args, &artifacts, &name, out)?;
            document.file = Some(name);
        }
    }
    Ok(document)
}

impl ExtractDocument {
    /// What the exit code says of the copy.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        if self.unreadable.is_empty() {
            ExitStatus::Complete
        } else {
            ExitStatus::Unreadable
        }
    }
}

/// What to copy.
enum Wanted {
    Range(Box<dyn ImageReader>, PhysRange),
    File(Artifacts, String),
}

impl Wanted {
    fn open(args: &ExtractArgs) -> Result<Self, ExtractError> {
        if let (None, Some(name)) = (&args.range, &args.file) {
            let name = name.trim_start_matches('/');
            let artifacts = Artifacts::read(&args.image, &args.reading.reading())?;
            let artifacts =
                artifacts.ok_or_else(|| ExtractError::NoArtifacts(args.image.clone()))?;
            artifacts.open(name)?;
            return Ok(Self::File(artifacts, name.to_owned()));
        }
        let reading = args.raw.with(args.reading.reading());
        let image =
            read_image(&args.image, None, &reading).map_err(|source| ExtractError::Image {
                path: args.image.clone(),
                source,
            })?;
        // The parser requires one of the two.
        let range = args.range.ok_or(ExtractError::Nothing)?;
        Ok(Self::Range(image, range))
    }
}

/// Copies an artifact; returns its size.
fn copy_file(
    args: &ExtractArgs,
    artifacts: &Artifacts,
    name: &str,
    out: &mut dyn Write,
) -> Result<u64, ExtractError> {
    let mut content = artifacts.open(name)?;
    let mut bytes = Vec::new();
    let mut size = 0;
    loop {
        bytes.clear();
        let step = content.by_ref().take(STEP.get()).read_to_end(&mut bytes);
        step.map_err(|source| ArtifactsError::Read {
            name: name.to_owned(),
            source,
        })?;
        if bytes.is_empty() {
            out.flush().map_err(|source| output(args, source))?;
            return Ok(size);
        }
        out.write_all(&bytes)
            .map_err(|source| output(args, source))?;
        size += len_bytes(&bytes);
    }
}

fn output(args: &ExtractArgs, source: io::Error) -> ExtractError {
    ExtractError::Output {
        path: args.output.clone(),
        source,
    }
}

/// Copies addresses; returns those that the image does not have.
fn copy_range(
    args: &ExtractArgs,
    image: &dyn ImageReader,
    range: PhysRange,
    out: &mut dyn Write,
) -> Result<Unreadables, ExtractError> {
    let mut missing = Unreadables::new();
    let mut buf = vec![0; u64_as_usize(STEP.get())];
    for piece in range.pieces(STEP) {
        let (target, _) = buf.split_at_mut(u64_as_usize(piece.len().get()));
        let mut unreadable = Unreadables::new();
        image.read_phys(piece.start(), target, &mut unreadable)?;
        missing.append(&unreadable);
        out.write_all(target)
            .map_err(|source| output(args, source))?;
    }
    out.flush().map_err(|source| output(args, source))?;
    Ok(missing)
}
