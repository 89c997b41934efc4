// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump extract`: the bytes of some addresses, or a file that lies beside
//! them.

use crate::args::ExtractArgs;
use linpmem_capture::artifacts::{Artifacts, ArtifactsError};
use linpmem_capture::source::{ImageSourceError, open_reader_at};
use linpmem_formats::ImageReader;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{PhysLen, PhysRange, SourceError, Unreadables};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Bytes that could not be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The image does not open.
    #[error("{path}: {source}")]
    Image {
        /// The image.
        path: PathBuf,
        /// Why.
        source: ImageSourceError,
    },
    /// The image fails as a whole.
    #[error(transparent)]
    Read(#[from] SourceError),
    /// The artifacts cannot be read.
    #[error(transparent)]
    Artifacts(#[from] ArtifactsError),
    /// Nothing was named.
    #[error("give the addresses (--range) or an artifact (--file) to copy")]
    Nothing,
    /// There is none.
    #[error("{0} has no artifacts, neither inside it nor in a file beside it")]
    NoArtifacts(PathBuf),
    /// The new file cannot be created or written.
    #[error("{path}: {source}")]
    Output {
        /// The new file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// stdout is where someone looks.
    #[error("stdout is a terminal: send the bytes to a pipe or a file")]
    Terminal,
}

/// Bytes copied at a time.
const STEP: PhysLen = PhysLen::new(1 << 20);

/// Copies what `args` name; tells `warn` what the image does not have of it. The
/// result is the exit code.
///
/// # Errors
/// If the image does not open, or the new file exists or cannot be written.
pub fn extract(
    args: &ExtractArgs,
    stdout: &mut dyn Write,
    mut warn: impl FnMut(&str),
) -> Result<u8, ExtractError> {
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
    match wanted {
        Wanted::Range(image, range) => copy_range(args, &*image, range, out, &mut warn),
        Wanted::File(artifacts, name) => copy_file(args, &artifacts, &name, out),
    }
}

/// What is to be copied.
enum Wanted {
    Range(Box<dyn ImageReader>, PhysRange),
    File(Artifacts, String),
}

impl Wanted {
    fn open(args: &ExtractArgs) -> Result<Self, ExtractError> {
        if let (None, Some(name)) = (&args.range, &args.file) {
            let name = name.trim_start_matches('/');
            let artifacts = Artifacts::of_image(&args.image)?;
            let artifacts =
                artifacts.ok_or_else(|| ExtractError::NoArtifacts(args.image.clone()))?;
            artifacts.open(name)?;
            return Ok(Self::File(artifacts, name.to_owned()));
        }
        let image = open_reader_at(&args.image, None).map_err(|source| ExtractError::Image {
            path: args.image.clone(),
            source,
        })?;
        // The parser asks for one of the two.
        let range = args.range.ok_or(ExtractError::Nothing)?;
        Ok(Self::Range(image, range))
    }
}

/// Copies a file of the artifacts.
fn copy_file(
    args: &ExtractArgs,
    artifacts: &Artifacts,
    name: &str,
    out: &mut dyn Write,
) -> Result<u8, ExtractError> {
    let mut content = artifacts.open(name)?;
    let mut step = vec![0; u64_as_usize(STEP.get())];
    loop {
        let size = content
            .read(&mut step)
            .map_err(|source| ArtifactsError::Read {
                name: name.to_owned(),
                source,
            })?;
        let bytes = step.get(..size).unwrap_or_default();
        if bytes.is_empty() {
            out.flush().map_err(|source| output(args, source))?;
            return Ok(0);
        }
        out.write_all(bytes)
            .map_err(|source| output(args, source))?;
    }
}

fn output(args: &ExtractArgs, source: io::Error) -> ExtractError {
    ExtractError::Output {
        path: args.output.clone(),
        source,
    }
}

/// Copies addresses.
fn copy_range(
    args: &ExtractArgs,
    image: &dyn ImageReader,
    range: PhysRange,
    out: &mut dyn Write,
    warn: &mut dyn FnMut(&str),
) -> Result<u8, ExtractError> {
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
    for item in missing.as_slice() {
        let (range, errno) = (item.range, item.errno);
        warn(&format!("{range} is not in the image ({errno}): zero"));
    }
    Ok(if missing.is_empty() { 0 } else { 3 })
}
