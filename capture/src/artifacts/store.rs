// SPDX-License-Identifier: MIT OR Apache-2.0
//! Artifacts that can be read, wherever they are.

use super::live::Live;
use super::{MACHINE, Machine, PROCESSES, Processes};
use linpmem_formats::{ReadAt, aff4};
use linpmem_manifest::MachineRecord;
use linpmem_phys::PhysLen;
use linpmem_phys::num::len_bytes;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// The artifacts of a machine: files with names, each read from its beginning.
///
/// They are not trusted: what comes from an image may be anything, and endless.
/// [`Self::bytes`] and what is built on it keep no more in memory than a limit.
#[derive(Debug)]
pub struct Artifacts {
    store: Box<dyn Store>,
}

/// An artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Such as `proc/kallsyms`.
    pub name: String,
    /// Bytes, if that is known before it is read.
    pub length: Option<u64>,
}

/// Where artifacts are.
pub(super) trait Store: fmt::Debug {
    /// The files.
    fn entries(&self) -> &[Entry];

    /// Opens the file of this name.
    fn open(&self, name: &str) -> Result<Box<dyn Read + '_>, ArtifactsError>;

    /// The file of this name, to be read at any offset; `None` if it is not stored so.
    fn at(&self, name: &str) -> Result<Option<Arc<dyn ReadAt>>, ArtifactsError> {
        let _ = name;
        Ok(None)
    }

    /// Calls `take` for each file in turn.
    fn each(
        &self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), ArtifactsError>,
    ) -> Result<(), ArtifactsError> {
        self.entries()
            .iter()
            .try_for_each(|entry| take(entry, &mut *self.open(&entry.name)?))
    }

    /// Calls `take` with the content of each file for which `limit` gives the most bytes
    /// that it may have. Larger files are left out, and so are those that cannot be read.
    fn pick(
        &self,
        limit: &dyn Fn(&str) -> Option<u64>,
        take: &mut dyn FnMut(&str, Vec<u8>),
    ) -> Result<(), ArtifactsError> {
        for entry in self.entries() {
            let Some(limit) = limit(&entry.name) else {
                continue;
            };
            if let Ok(bytes) = self
                .open(&entry.name)
                .and_then(|file| bounded(file, &entry.name, limit))
            {
                take(&entry.name, bytes);
            }
        }
        Ok(())
    }

    /// What is wrong, if only a part of the files could be listed.
    fn damage(&self) -> Option<&str> {
        None
    }
}

/// Artifacts that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactsError {
    /// There is no such file.
    #[error("{name} is not among the artifacts: {reason}")]
    Missing {
        /// The file's name.
        name: String,
        /// Why it is missing.
        reason: String,
    },
    /// A file cannot be read.
    #[error("{name}: {source}")]
    Read {
        /// The file's name.
        name: String,
        /// The system's reason, or what is wrong with the file.
        source: io::Error,
    },
    /// A file is too large for memory.
    #[error("{name} is larger than the limit of {limit}")]
    TooLarge {
        /// The file's name.
        name: String,
        /// The most that is read.
        limit: PhysLen,
    },
    /// A file is not the JSON that it should be.
    #[error("{name}: {source}")]
    Json {
        /// The file's name.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The file with the artifacts, or the image, cannot be opened.
    #[error("{path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The AFF4 volume or one of its files cannot be opened.
    #[error("{path}: {source}")]
    Aff4 {
        /// The volume or the file.
        path: PathBuf,
        /// The reason.
        source: aff4::Error,
    },
}

/// Limits of the facts, and of the types of the kernel or one module.
const MAX_MACHINE_BYTES: u64 = 16 << 20;
/// 2^17 processes take less, even if JSON writes each of the 64 letters of their names as six bytes.
const MAX_PROCESSES_BYTES: u64 = 64 << 20;
const MAX_BTF_BYTES: u64 = 64 << 20;
const MAX_BANNER_BYTES: u64 = 4096;
/// Where the types of the kernel and its modules are.
const BTF_FOLDER: &str = "sys/kernel/btf/";

impl Artifacts {
    /// The artifacts of this machine. `memory` is what the source of its memory knows, if
    /// one was opened.
    #[must_use]
    pub fn live(memory: Option<&MachineRecord>) -> Self {
        Self::of(Live::new(memory.cloned().unwrap_or_default()))
    }

    /// The artifacts of the kernel that runs now, which stand for those of a kernel that
    /// crashed wherever only the build matters. `crashed` is what is known of that one.
    ///
    /// # Errors
    /// If they are not the same build.
    pub fn of_same_build(crashed: &MachineRecord) -> Result<Self, ArtifactsError> {
        Live::of_same_build(crashed).map(Self::of)
    }

    pub(super) fn of(store: impl Store + 'static) -> Self {
        Self {
            store: Box::new(store),
        }
    }

    /// The files.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        self.store.entries()
    }

    /// Whether there is a file of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries().iter().any(|entry| entry.name == name)
    }

    /// What is wrong, if only a part of the files could be listed.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.store.damage()
    }

    /// Calls `take` for each file, from its beginning.
    pub(super) fn each(
        &self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), ArtifactsError>,
    ) -> Result<(), ArtifactsError> {
        self.store.each(take)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// If there is no file of this name, or it cannot be opened.
    pub fn open(&self, name: &str) -> Result<Box<dyn Read + '_>, ArtifactsError> {
        self.store.open(name)
    }

    /// A file, to be read at any offset; `None` if it is stored so that it can only be read from
    /// its beginning.
    ///
    /// # Errors
    /// If there is no file of this name, or it cannot be opened.
    pub fn at(&self, name: &str) -> Result<Option<Arc<dyn ReadAt>>, ArtifactsError> {
        self.store.at(name)
    }

    /// The content of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// If the file is larger, is missing, or cannot be read.
    pub fn bytes(&self, name: &str, limit: u64) -> Result<Vec<u8>, ArtifactsError> {
        bounded(self.open(name)?, name, limit)
    }

    /// The types of all modules, read in one pass: for each of them calls `take` with its
    /// name.
    ///
    /// # Errors
    /// If the artifacts cannot be read.
    pub fn each_module(&self, take: &mut dyn FnMut(&str, Vec<u8>)) -> Result<(), ArtifactsError> {
        let is_module = |name: &str| {
            let module = name.strip_prefix(BTF_FOLDER);
            module.filter(|module| *module != "vmlinux").is_some()
        };
        let limit = |name: &str| is_module(name).then_some(MAX_BTF_BYTES);
        self.store.pick(&limit, &mut |name, bytes| {
            take(name.strip_prefix(BTF_FOLDER).unwrap_or(name), bytes);
        })
    }

    /// The kernel's banner as it is in memory (`linux_banner`), with the line feed:
    /// Volatility 3 searches for these bytes.
    ///
    /// # Errors
    /// If /proc/version is not among the artifacts.
    pub fn banner(&self) -> Result<Vec<u8>, ArtifactsError> {
        self.bytes("proc/version", MAX_BANNER_BYTES)
    }

    /// The types (BTF) of `vmlinux` or of a module.
    ///
    /// # Errors
    /// If they are not among the artifacts.
    pub fn btf(&self, module: &str) -> Result<Vec<u8>, ArtifactsError> {
        self.bytes(&format!("{BTF_FOLDER}{module}"), MAX_BTF_BYTES)
    }

    /// The facts.
    ///
    /// # Errors
    /// If they are not among the artifacts, or are malformed.
    pub fn machine(&self) -> Result<Machine, ArtifactsError> {
        let json = self.bytes(MACHINE, MAX_MACHINE_BYTES)?;
        serde_json::from_slice(&json).map_err(|source| ArtifactsError::Json {
            name: MACHINE.to_owned(),
            source,
        })
    }

    /// The processes that /proc listed.
    ///
    /// # Errors
    /// If they are not among the artifacts, or are malformed.
    pub fn processes(&self) -> Result<Processes, ArtifactsError> {
        let json = self.bytes(PROCESSES, MAX_PROCESSES_BYTES)?;
        serde_json::from_slice(&json).map_err(|source| ArtifactsError::Json {
            name: PROCESSES.to_owned(),
            source,
        })
    }
}

/// The content of `file`, which must have at most `limit` bytes.
fn bounded(mut file: impl Read, name: &str, limit: u64) -> Result<Vec<u8>, ArtifactsError> {
    let mut bytes = Vec::new();
    let read = (&mut file).take(limit).read_to_end(&mut bytes);
    read.map_err(read_error(name))?;
    if len_bytes(&bytes) == limit && file.read(&mut [0]).map_err(read_error(name))? > 0 {
        return Err(ArtifactsError::TooLarge {
            name: name.to_owned(),
            limit: PhysLen::new(limit),
        });
    }
    Ok(bytes)
}

/// The error for a file that is missing.
pub(super) fn missing(name: &str, reason: &str) -> ArtifactsError {
    ArtifactsError::Missing {
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}

/// The error for `name` when a read of it fails.
pub(super) fn read_error(name: &str) -> impl Fn(io::Error) -> ArtifactsError + '_ {
    move |source| ArtifactsError::Read {
        name: name.to_owned(),
        source,
    }
}
