// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file for artifacts that the image does not hold.

use crate::image_format::Target;
use crate::sink::{PartialError, PartialFile, folder_of};
use crate::spool::Scratch;
use linpmem_manifest::paths::{artifacts_of, artifacts_of_manifest, partial_of};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The file for artifacts, until the run ends.
#[derive(Debug)]
pub(crate) enum OwnFile {
    /// Next to the image, or to its manifest.
    Disk(PartialFile),
    /// In memory, to be sent after the image.
    Memory {
        /// What is sent.
        file: File,
        /// The name that it gets at the receiver.
        name: PathBuf,
    },
}

impl OwnFile {
    /// The file that goes with `target`.
    ///
    /// # Errors
    /// If its name is taken, or it cannot be created.
    pub(super) fn create(target: &Target, force: bool) -> Result<Self, PartialError> {
        let (path, partial) = match target {
            Target::File { image, .. } => (artifacts_of(image), artifacts_of(&partial_of(image))),
            Target::Stream { manifest, .. } => {
                let path = artifacts_of_manifest(manifest);
                let partial = partial_of(&path);
                (path, partial)
            }
            Target::Remote(remote) => return Self::in_memory(artifacts_of(remote.image())),
            Target::Store(storing) => return Self::in_memory(artifacts_of(storing.image())),
        };
        PartialFile::create(&path, partial, force).map(Self::Disk)
    }

    fn in_memory(name: PathBuf) -> Result<Self, PartialError> {
        let file = Scratch::Memory.file();
        let file = file.map_err(|source| PartialError::Io {
            action: "keeping in memory",
            path: name.clone(),
            source,
        })?;
        Ok(Self::Memory { file, name })
    }

    pub(crate) fn file(&self) -> &File {
        match self {
            Self::Disk(partial) => partial.file(),
            Self::Memory { file, .. } => file,
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Disk(partial) => partial.path(),
            Self::Memory { name, .. } => name,
        }
    }

    /// The name without a folder.
    pub(super) fn name(&self) -> io::Result<String> {
        let name = self.path().file_name();
        let name =
            name.ok_or_else(|| io::Error::other("the file for the artifacts has no name"))?;
        Ok(name.to_string_lossy().into_owned())
    }

    /// Leaves the file under its working name.
    pub(crate) fn leave(self) {
        if let Self::Disk(partial) = self {
            partial.leave();
        }
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// As [`PartialFile::commit`].
    pub(crate) fn commit(self) -> Result<(), PartialError> {
        match self {
            Self::Disk(partial) => partial.commit(),
            Self::Memory { .. } => Ok(()),
        }
    }
}

/// Where files without a name are, for a run that writes to `target`.
pub(super) fn scratch(target: &Target) -> Scratch {
    let beside = |path: &Path| Scratch::Folder(folder_of(path).to_path_buf());
    match target {
        Target::File { image, .. } => beside(image),
        Target::Stream { manifest, .. } => beside(manifest),
        Target::Remote(_) | Target::Store(_) => Scratch::Memory,
    }
}
