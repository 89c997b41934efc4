// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump recover`: a volume of what an unfinished acquisition left.

use crate::args::RecoverArgs;
use linpmem_formats::{Chunk, FileSource, ImageOutput, OutputError, aff4};
use linpmem_phys::PhysLen;
use linpmem_phys::num::len_bytes;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A volume that was not recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverCommandError {
    /// A file cannot be opened, created or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is nothing to recover, or it failed.
    #[error("{path}: {source}")]
    Recover {
        /// The unfinished volume.
        path: PathBuf,
        /// Why.
        source: aff4::RecoverError,
    },
}

/// Recovers the volume of `args` to a new file; the old one stays as it is.
///
/// # Errors
/// If there is nothing to recover, or a file fails. The new file is then gone.
pub fn recover(args: &RecoverArgs, out: &mut dyn Write) -> Result<(), RecoverCommandError> {
    let target = match &args.output {
        Some(path) => path.clone(),
        None => recovered_of(&args.image),
    };
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| RecoverCommandError::File { path, source }
    };
    let source = FileSource::open(&args.image).map_err(failed(&args.image))?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&target)
        .map_err(failed(&target))?;
    let mut output = FileOutput {
        file: BufWriter::new(file),
        position: 0,
    };
    let recovery = aff4::recover(&source, &mut output).map_err(|source| {
        // An empty or half file would only mislead.
        let _ = std::fs::remove_file(&target);
        RecoverCommandError::Recover {
            path: args.image.clone(),
            source,
        }
    })?;
    let file = output
        .file
        .into_inner()
        .map_err(io::IntoInnerError::into_error);
    file.and_then(|file| file.sync_all())
        .map_err(failed(&target))?;
    tell(&recovery, &target, out).map_err(failed(Path::new("stdout")))
}

fn tell(recovery: &aff4::Recovery, target: &Path, out: &mut dyn Write) -> io::Result<()> {
    let lost = PhysLen::new(recovery.lost_bytes);
    let members = recovery.members;
    writeln!(out, "{}: {members} members, {lost} lost", target.display())?;
    match recovery.mapped_bytes {
        Some(bytes) => writeln!(out, "{} of addresses are mapped", PhysLen::new(bytes)),
        None => writeln!(
            out,
            "the volume was not begun by linpmem, or lacks its beginning: only its directory is new"
        ),
    }
}

/// `NAME.aff4.partial` becomes `NAME.recovered.aff4`.
fn recovered_of(image: &Path) -> PathBuf {
    let bare = match image.extension() {
        Some(ending) if ending == "partial" => image.with_extension(""),
        _ => image.to_path_buf(),
    };
    bare.with_extension("recovered.aff4")
}

struct FileOutput {
    file: BufWriter<File>,
    position: u64,
}

impl ImageOutput for FileOutput {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        let position = self.position;
        self.file
            .write_all(bytes)
            .map_err(|source| OutputError { position, source })?;
        self.position = position.saturating_add(len_bytes(bytes));
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let mut left = usize::try_from(len).unwrap_or(usize::MAX);
        while left > 0 {
            let size = left.min(ZEROS.len());
            self.bytes(ZEROS.get(..size).unwrap_or(&ZEROS))?;
            left = left.saturating_sub(size);
        }
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.bytes(&chunk.data)
    }
}
