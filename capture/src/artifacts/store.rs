// SPDX-License-Identifier: MIT OR Apache-2.0
//! Artifacts that can be read, wherever it is.

use super::kallsyms::Kallsyms;
use super::live::Live;
use super::{ArtifactsError, MACHINE, Machine};
use linpmem_manifest::MachineRecord;
use linpmem_phys::PhysLen;
use std::fmt;
use std::io::{self, BufReader, Read};

/// Artifacts of a machine: files with names, each read from its beginning.
///
/// Nothing of it is trusted: what comes from an image may be anything, and may be
/// without end. [`Self::bytes`] and what is built on it hold no more than a limit.
#[derive(Debug)]
pub struct Artifacts {
    store: Box<dyn Store>,
}

/// An artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As in `proc/kallsyms`.
    pub name: String,
    /// Bytes, if that is known before it is read.
    pub length: Option<u64>,
}

/// Where artifacts are.
pub(super) trait Store: fmt::Debug {
    /// What there is.
    fn entries(&self) -> &[Entry];

    /// The file of this name.
    fn open(&self, name: &str) -> Result<Box<dyn Read + '_>, ArtifactsError>;

    /// Hands all of them over, one after another.
    fn each(
        &self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), ArtifactsError>,
    ) -> Result<(), ArtifactsError> {
        self.entries()
            .iter()
            .try_for_each(|entry| take(entry, &mut *self.open(&entry.name)?))
    }

    /// Why it breaks off, if it is damaged.
    fn damage(&self) -> Option<&str> {
        None
    }
}

/// The facts, and the types of the kernel or one module.
const MAX_MACHINE_BYTES: u64 = 16 << 20;
const MAX_BTF_BYTES: u64 = 64 << 20;
const MAX_BANNER_BYTES: u64 = 4096;

impl Artifacts {
    /// What this machine tells of itself. `memory` is what the source of its
    /// memory told, if one was opened.
    #[must_use]
    pub fn live(memory: Option<&MachineRecord>) -> Self {
        Self::of(Live::new(memory.cloned().unwrap_or_default()))
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

    /// Why it is not all there, if it is damaged.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.store.damage()
    }

    /// Hands over all files, each from its beginning.
    pub(super) fn each(
        &self,
        take: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), ArtifactsError>,
    ) -> Result<(), ArtifactsError> {
        self.store.each(take)
    }

    /// A file, from its beginning.
    ///
    /// # Errors
    /// If there is none of this name, or it cannot be opened.
    pub fn open(&self, name: &str) -> Result<Box<dyn Read + '_>, ArtifactsError> {
        self.store.open(name)
    }

    /// All of a file, if it has no more than `limit` bytes.
    ///
    /// # Errors
    /// If it has more, is not there, or cannot be read.
    pub fn bytes(&self, name: &str, limit: u64) -> Result<Vec<u8>, ArtifactsError> {
        let mut bytes = Vec::new();
        self.open(name)?
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| ArtifactsError::Read {
                name: name.to_owned(),
                source,
            })?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
            return Err(ArtifactsError::TooLarge {
                name: name.to_owned(),
                limit: PhysLen::new(limit),
            });
        }
        Ok(bytes)
    }

    /// The kernel's banner as it stands in memory (`linux_banner`), with its
    /// line's end: Volatility 3 looks for these bytes.
    ///
    /// # Errors
    /// If /proc/version is not among the artifacts.
    pub fn banner(&self) -> Result<Vec<u8>, ArtifactsError> {
        self.bytes("proc/version", MAX_BANNER_BYTES)
    }

    /// The kernel's symbols. Their addresses are those of that boot, and are all 0
    /// where the kernel hid them ([`Machine::remarks`] says so).
    ///
    /// # Errors
    /// If /proc/kallsyms is not among the artifacts.
    pub fn kallsyms(&self) -> Result<Kallsyms<BufReader<Box<dyn Read + '_>>>, ArtifactsError> {
        self.symbols("proc/kallsyms")
    }

    /// The symbols in a file like /proc/kallsyms or System.map.
    ///
    /// # Errors
    /// If it is not there, or does not open.
    pub fn symbols(
        &self,
        name: &str,
    ) -> Result<Kallsyms<BufReader<Box<dyn Read + '_>>>, ArtifactsError> {
        Ok(Kallsyms::new(BufReader::with_capacity(
            64 << 10,
            self.open(name)?,
        )))
    }

    /// The types (BTF) of `vmlinux` or of a module.
    ///
    /// # Errors
    /// If they are not among the artifacts.
    pub fn btf(&self, module: &str) -> Result<Vec<u8>, ArtifactsError> {
        self.bytes(&format!("sys/kernel/btf/{module}"), MAX_BTF_BYTES)
    }

    /// The facts.
    ///
    /// # Errors
    /// If they are not among the artifacts, or are no JSON of that form.
    pub fn machine(&self) -> Result<Machine, ArtifactsError> {
        let json = self.bytes(MACHINE, MAX_MACHINE_BYTES)?;
        serde_json::from_slice(&json).map_err(|source| ArtifactsError::Json {
            name: MACHINE.to_owned(),
            source,
        })
    }
}

/// The error for a name that there is not.
pub(super) fn no_such(name: &str, reason: &str) -> ArtifactsError {
    ArtifactsError::Missing {
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}

/// What a failed read of `name` is.
pub(super) fn failed(name: &str) -> impl Fn(io::Error) -> ArtifactsError + '_ {
    move |source| ArtifactsError::Read {
        name: name.to_owned(),
        source,
    }
}
