// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file for artifacts that the image does not hold.

use crate::encryption::{Encrypted, EncryptedWriter};
use crate::image_format::Target;
use crate::section::Section;
use crate::sink::{PartialError, PartialFile, folder_of};
use crate::spool::Scratch;
use linpmem_formats::{FileSource, ReadAt};
use linpmem_manifest::paths::{artifacts_of, artifacts_of_manifest, decrypted_of, partial_of};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file for artifacts, until the run ends.
#[derive(Debug)]
pub(crate) enum OwnFile {
    /// Next to the image, or to its manifest.
    Disk(PartialFile),
    /// In memory until all of them are there, and then encrypted into a file next to the image,
    /// or to its manifest.
    Encrypted {
        /// What is encrypted.
        content: File,
        /// Where it goes.
        partial: PartialFile,
        /// To whom.
        to: Arc<Encrypted>,
    },
    /// In memory, to be sent after the image.
    Memory {
        /// What is sent, unless that is encrypted.
        file: File,
        /// What is sent instead, and to whom it is encrypted.
        encrypted: Option<(File, Arc<Encrypted>)>,
        /// The name that it gets at the receiver.
        name: PathBuf,
    },
}

impl OwnFile {
    /// The file that goes with `target`.
    ///
    /// # Errors
    /// If its name is taken, or it cannot be created.
    pub(super) fn create(
        target: &Target,
        encrypted: Option<&Arc<Encrypted>>,
        force: bool,
    ) -> Result<Self, PartialError> {
        let in_memory = |name: &Path| {
            let file = Scratch::Memory.file();
            file.map_err(|source| PartialError::Io {
                action: "keeping in memory",
                path: name.to_path_buf(),
                source,
            })
        };
        let away = |name: PathBuf| {
            let to = encrypted.map(|to| Ok((in_memory(&name)?, Arc::clone(to))));
            Ok(Self::Memory {
                file: in_memory(&name)?,
                encrypted: to.transpose()?,
                name,
            })
        };
        let (path, partial) = match target {
            Target::File { image, .. } => (artifacts_of(image), artifacts_of(&partial_of(image))),
            Target::Stream { manifest, .. } => {
                let path = artifacts_of_manifest(manifest);
                let partial = partial_of(&path);
                (path, partial)
            }
            Target::Remote(remote) => return away(artifacts_of(remote.image())),
            Target::Store(storing) => return away(artifacts_of(storing.image())),
        };
        let partial = PartialFile::create(&path, partial, force)?;
        Ok(match encrypted {
            None => Self::Disk(partial),
            Some(to) => Self::Encrypted {
                content: in_memory(&path)?,
                partial,
                to: Arc::clone(to),
            },
        })
    }

    /// Brings the artifacts, which are complete, to the disk.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Disk(partial) => partial.file().sync_all(),
            Self::Encrypted {
                content,
                partial,
                to,
            } => encrypt(content, partial.file(), to),
            Self::Memory {
                file,
                encrypted: Some((sent, to)),
                ..
            } => encrypt(file, sent, to),
            Self::Memory { .. } => Ok(()),
        }
    }

    /// What is sent to another machine.
    pub(crate) fn sent(&self) -> &File {
        match self {
            Self::Memory {
                encrypted: Some((sent, _)),
                ..
            } => sent,
            other => other.file(),
        }
    }

    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Disk(partial) => partial.file(),
            Self::Encrypted { content, .. } => content,
            Self::Memory { file, .. } => file,
        }
    }

    /// The name that it is to get.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Disk(partial) | Self::Encrypted { partial, .. } => partial.path(),
            Self::Memory { name, .. } => name,
        }
    }

    /// Its name until then.
    pub(crate) fn working_path(&self) -> &Path {
        match self {
            Self::Disk(partial) | Self::Encrypted { partial, .. } => partial.partial(),
            Self::Memory { name, .. } => name,
        }
    }

    /// The name without a folder, and as it is when everything is decrypted.
    pub(super) fn name(&self) -> io::Result<String> {
        let path = decrypted_of(self.path());
        let name = path.file_name();
        let name =
            name.ok_or_else(|| io::Error::other("the file for the artifacts has no name"))?;
        Ok(name.to_string_lossy().into_owned())
    }

    /// Leaves the file under its working name.
    pub(crate) fn leave(self) {
        match self {
            Self::Disk(partial) | Self::Encrypted { partial, .. } => {
                partial.leave();
            }
            Self::Memory { .. } => {}
        }
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// As [`PartialFile::commit`].
    pub(crate) fn commit(self) -> Result<(), PartialError> {
        match self {
            Self::Disk(partial) | Self::Encrypted { partial, .. } => partial.commit(),
            Self::Memory { .. } => Ok(()),
        }
    }
}

/// Encrypts `content` into `file`.
fn encrypt(content: &File, file: &File, to: &Encrypted) -> io::Result<()> {
    let mut out = EncryptedWriter::new(file.try_clone()?, &to.recipients)?;
    let content: Arc<dyn ReadAt> = Arc::new(FileSource::new(content.try_clone()?)?);
    io::copy(&mut Section::whole(content), &mut out)?;
    // Nobody else sets it.
    let _ = to.artifacts.set(out.finish_file()?);
    Ok(())
}

/// Where files without a name are, for a run that writes to `target`.
pub(super) fn scratch(target: &Target, encrypted: Option<&Arc<Encrypted>>) -> Scratch {
    let beside = |path: &Path| Scratch::Folder(folder_of(path).to_path_buf());
    match target {
        // What is not encrypted is on no disk.
        _ if encrypted.is_some() => Scratch::Memory,
        Target::File { image, .. } => beside(image),
        Target::Stream { manifest, .. } => beside(manifest),
        Target::Remote(_) | Target::Store(_) => Scratch::Memory,
    }
}
