// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump recover`: a complete volume from what an interrupted acquisition left.

use crate::args::RecoverArgs;
use crate::text::recover::RecoverDocument;
use linpmem_formats::{Chunk, FileSource, ImageOutput, OutputError, aff4};
use linpmem_phys::num::{len_bytes, u64_as_usize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A volume that was not recovered.
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
}

/// Recovers the volume of `args` to a new file; the old one is unchanged.
///
/// # Errors
/// If there is nothing to recover, or a file fails. The new file is then removed.
pub fn recover(args: &RecoverArgs) -> Result<RecoverDocument, RecoverCommandError> {
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
    let recovery =
        aff4::recover_within(&source, &mut output, &args.memory.budget()).map_err(|source| {
            // An empty or half-written file would only mislead.
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
    Ok(RecoverDocument {
        image: args.image.to_string_lossy().into_owned(),
        output: target.to_string_lossy().into_owned(),
        members: recovery.members,
        lost_bytes: recovery.lost_bytes,
        mapped_bytes: recovery.mapped_bytes,
    })
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
        self.position += len_bytes(bytes);
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        const ZEROS: [u8; 4096] = [0; 4096];
        let step = len_bytes(&ZEROS);
        for _ in 0..len / step {
            self.bytes(&ZEROS)?;
        }
        let (rest, _) = ZEROS.split_at(u64_as_usize(len % step));
        self.bytes(rest)
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.bytes(&chunk.data)
    }
}
