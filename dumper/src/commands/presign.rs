// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump presign`: a bundle with which another machine stores one image.

use crate::args::{PresignArgs, UsageError};
use crate::text::presign::{Expiry, PresignDocument};
use linpmem_capture::{StoreError, presign as sign};
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A bundle that was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresignError {
    /// The arguments contradict each other, or the address is none of an image in S3.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The store refuses.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The new file cannot be created.
    #[error("{path}: {source}")]
    #[expect(missing_docs, reason = "the message names them")]
    Create { path: PathBuf, source: io::Error },
    /// It cannot be written, and the store has begun an upload.
    #[error("{path}: {source}; to remove the upload that was begun: {removal}")]
    #[expect(missing_docs, reason = "the message names them")]
    Write {
        path: PathBuf,
        source: io::Error,
        removal: String,
    },
    /// The bundle would go to the terminal.
    #[error("stdout is a terminal, and a bundle is a secret: send it to a pipe or a file")]
    Terminal,
}

/// Where the bundle goes.
enum Out<'a> {
    Stdout(&'a mut dyn Write),
    File(File),
}

/// Makes the bundle that `args` ask for.
///
/// # Errors
/// If the store refuses, the image exists, or the file does.
pub fn presign(
    args: &PresignArgs,
    stdout: &mut dyn Write,
) -> Result<PresignDocument, PresignError> {
    let spec = args.spec()?;
    let place = spec.location.to_string();
    let path = args.output.clone().unwrap_or_else(|| {
        let name = place.rsplit('/').next().unwrap_or_default();
        PathBuf::from(format!("{name}.bundle.json"))
    });
    // Before anything is begun in the store.
    let mut out = match path.as_os_str() == "-" {
        true if io::stdout().is_terminal() => return Err(PresignError::Terminal),
        true => Out::Stdout(stdout),
        false => Out::File(create(&path)?),
    };
    let made = sign(&spec).map_err(|error| {
        out.remove(&path);
        PresignError::Store(Box::new(error))
    })?;
    out.write(&made.text).map_err(|source| {
        out.remove(&path);
        PresignError::Write {
            path: path.clone(),
            source,
            removal: made.removal.clone(),
        }
    })?;
    Ok(PresignDocument {
        place,
        bundle: path.to_string_lossy().into_owned(),
        expires: made.expires,
        until: Expiry::of(made.until),
        size_bytes: made.part_bytes.saturating_mul(made.parts.into()),
        part_bytes: made.part_bytes,
        parts: made.parts,
        removal: made.removal,
    })
}

fn create(path: &Path) -> Result<File, PresignError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| PresignError::Create {
            path: path.to_path_buf(),
            source,
        })
}

impl Out<'_> {
    fn write(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Stdout(out) => {
                out.write_all(text.as_bytes())?;
                out.write_all(b"\n")?;
                out.flush()
            }
            Self::File(file) => {
                file.write_all(text.as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()
            }
        }
    }

    /// Removes the file that was created here.
    fn remove(&self, path: &Path) {
        if let Self::File(_) = self {
            let _ = fs::remove_file(path);
        }
    }
}
