// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a store still has what was sent to it: by its own sums, without reading the image,
//! where it keeps them.

use crate::meter::Meter;
use crate::parts::objects::{Objects, Patience, StoreError, numbered_key};
use crate::stored::StoreSpec;
use linpmem_manifest::paths::{encryption_of, is_encrypted_name, manifest_of};
use linpmem_manifest::{
    EncryptedFileRecord, EncryptionRecord, Manifest, ObjectRecord, ReadError, State, parse,
};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use sha2::{Digest, Sha256};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What is read at a time.
const STEP_BYTES: usize = 256 << 10;

/// An image in a store that could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InStoreError {
    /// The store does not answer, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address ends in a folder.
    #[error("{0} names a folder: add the image's name")]
    Folder(String),
    /// There is no manifest, which is stored last.
    #[error("{0} has no manifest: its run has not ended, or did not complete it")]
    NoManifest(String),
    /// The manifest is damaged.
    #[error(transparent)]
    Manifest(#[from] ReadError),
    /// What is known of an encrypted image is damaged.
    #[error("{name} is not what is known of an encrypted image: {source}")]
    Record {
        /// Its key.
        name: String,
        /// The reason.
        source: io::Error,
    },
    /// Its manifest is that of a file.
    #[error(
        "the manifest of {0} names no objects: it was not stored by --to; get it, and verify it there"
    )]
    NoObjects(String),
}

/// What a store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InStore {
    /// The manifest's name.
    pub manifest: String,
    /// The objects of the image.
    pub objects: u64,
    /// Their parts.
    pub parts: u64,
    /// Bytes of the image.
    pub length: u64,
    /// Bytes of it that were read; the others were compared by the store's own sums.
    pub read_bytes: u64,
    /// What differs, in words.
    pub damages: Vec<String>,
    /// Whether the run had read every planned page range.
    pub is_whole: bool,
    /// Whether it is encrypted: then its bytes are those that were stored, and what is in them was
    /// not looked at.
    pub is_encrypted: bool,
}

/// What was stored of an image, as its run has recorded it.
struct Recorded {
    length: Option<u64>,
    state: State,
    objects: Vec<ObjectRecord>,
    /// Other objects, with the sums of all their bytes: those of an encrypted image.
    beside: Vec<EncryptedFileRecord>,
}

/// Compares the image at `spec` with its manifest; `full` reads it even if the store has sums.
///
/// # Errors
/// If it could not be compared.
pub fn verify_in_store(
    spec: &StoreSpec,
    full: bool,
    meter: &Meter,
) -> Result<InStore, InStoreError> {
    let key = spec.location.key("");
    if key.is_empty() || key.ends_with('/') {
        return Err(InStoreError::Folder(spec.location.to_string()));
    }
    let patience = Patience::quiet(spec.give_up);
    let objects = Objects::open(spec.location.clone(), spec.ca.as_deref(), patience)?;
    let key = PathBuf::from(key);
    let manifest_key = manifest_of(&key);
    let name = manifest_key.to_string_lossy().into_owned();
    let is_encrypted = is_encrypted_name(&key);
    let named = match is_encrypted {
        // The manifest, which is encrypted too, is compared as the others are.
        true => encryption_of(&key).to_string_lossy().into_owned(),
        false => name.clone(),
    };
    let text = match objects.read(&named, 0) {
        Err(StoreError::Refused { status, .. }) if status.starts_with("404") => {
            return Err(InStoreError::NoManifest(spec.location.to_string()));
        }
        other => other?,
    };
    let recorded = match is_encrypted {
        true => encrypted(text).map_err(|source| InStoreError::Record {
            name: named,
            source,
        })?,
        false => plain(parse(text, &manifest_key)?),
    };
    if recorded.objects.is_empty() {
        return Err(InStoreError::NoObjects(spec.location.to_string()));
    }
    let mut check = Check {
        objects: &objects,
        folder: key.parent().unwrap_or(Path::new("")),
        meter,
        found: InStore {
            manifest: name,
            objects: usize_as_u64(recorded.objects.len()),
            parts: recorded
                .objects
                .iter()
                .map(|object| usize_as_u64(object.sha256.len()))
                .sum(),
            length: recorded.length.unwrap_or_default(),
            read_bytes: 0,
            damages: Vec::new(),
            is_whole: recorded.state.is_whole(),
            is_encrypted,
        },
    };
    let sent = recorded
        .objects
        .iter()
        .try_fold(0_u64, |sum, object| sum.checked_add(object.length));
    if sent.is_none() || sent != recorded.length {
        let count = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), |it| it.to_string());
        check.found.damages.push(format!(
            "the image has {} bytes, and {} were stored",
            count(recorded.length),
            count(sent)
        ));
    }
    if !recorded.state.is_whole() {
        let state = recorded.state.name();
        let damage = format!("the run has not completed it: {state}");
        check.found.damages.push(damage);
    }
    for object in &recorded.objects {
        check.object(object, full)?;
    }
    for file in &recorded.beside {
        check.file(file)?;
    }
    Ok(check.found)
}

/// What the manifest says.
fn plain(manifest: Manifest) -> Recorded {
    Recorded {
        length: Some(manifest.footer.file.length),
        state: manifest.footer.state,
        objects: manifest.objects,
        beside: Vec::new(),
    }
}

/// What is known without a key.
fn encrypted(text: impl Read) -> io::Result<Recorded> {
    let mut bytes = Vec::new();
    text.take(EncryptionRecord::MAX_BYTES)
        .read_to_end(&mut bytes)?;
    let record = EncryptionRecord::parse(&bytes)?;
    let beside = [Some(record.manifest), record.artifacts];
    Ok(Recorded {
        length: record.image.length,
        state: record.state,
        objects: record.objects,
        beside: beside.into_iter().flatten().collect(),
    })
}

struct Check<'a> {
    objects: &'a Objects,
    folder: &'a Path,
    meter: &'a Meter,
    found: InStore,
}

impl Check<'_> {
    /// The key of an object that a record names. Nobody vouches for the record: the key stays in
    /// the folder.
    fn key(&mut self, named: &str) -> Option<String> {
        let name = Path::new(named);
        let Some(name) = name.file_name().filter(|only| *only == name.as_os_str()) else {
            self.damage(named, "this is no name of an object");
            return None;
        };
        Some(self.folder.join(name).to_string_lossy().into_owned())
    }

    /// Reads an object that belongs to an encrypted image, and compares its sum.
    fn file(&mut self, file: &EncryptedFileRecord) -> Result<(), StoreError> {
        let EncryptedFileRecord {
            name: Some(name),
            length: Some(length),
            sha256: Some(sum),
        } = file
        else {
            let name = file.name.clone().unwrap_or_default();
            self.damage(&name, "it has no sum, because a write failed");
            return Ok(());
        };
        match self.key(name) {
            Some(key) => self.read(&key, *length, (*length).max(1), &[*sum]),
            None => Ok(()),
        }
    }

    fn object(&mut self, object: &ObjectRecord, full: bool) -> Result<(), StoreError> {
        let Some(key) = self.key(&object.name) else {
            return Ok(());
        };
        if object.parts_are_objects {
            for (number, sum) in (0..).zip(&object.sha256) {
                let key = numbered_key(&key, number);
                let from = u64::from(number).saturating_mul(object.part_bytes);
                let length = object.part_bytes.min(object.length.saturating_sub(from));
                self.read(&key, length, length.max(1), std::slice::from_ref(sum))?;
            }
            return Ok(());
        }
        let Some(stored) = self.objects.head(&key)? else {
            self.damage(&key, "it is not there");
            return Ok(());
        };
        if stored.length != object.length {
            let reason = format!("it has {} bytes of {}", stored.length, object.length);
            self.damage(&key, &reason);
            return Ok(());
        }
        let sums: Vec<[u8; 32]> = object.sha256.iter().map(|sum| *sum.as_bytes()).collect();
        match stored.has_parts(&sums) {
            Some(true) if !full => Ok(()),
            Some(false) if !full => {
                self.damage(&key, "the store's sum of it is another");
                Ok(())
            }
            _ => self.read(&key, object.length, object.part_bytes, &object.sha256),
        }
    }

    /// Reads an object, and compares the sum of each part.
    fn read(
        &mut self,
        key: &str,
        length: u64,
        part_bytes: u64,
        sums: &[linpmem_manifest::Sha256Sum],
    ) -> Result<(), StoreError> {
        let mut input = match self.objects.read(key, 0) {
            Err(StoreError::Refused { status, .. }) if status.starts_with("404") => {
                self.damage(key, "it is not there");
                return Ok(());
            }
            other => other?,
        };
        let mut buffer = vec![0; STEP_BYTES];
        let mut left = length;
        for (number, sum) in (1_u64..).zip(sums) {
            let part = left.min(part_bytes);
            left -= part;
            let mut hasher = Sha256::new();
            let mut missing = part;
            while missing > 0 {
                let want = u64_as_usize(missing.min(usize_as_u64(STEP_BYTES)));
                let piece = buffer.get_mut(..want).unwrap_or_default();
                match input.read(piece) {
                    Ok(0) => break,
                    Ok(count) => {
                        hasher.update(piece.get(..count).unwrap_or_default());
                        missing = missing.saturating_sub(usize_as_u64(count));
                        self.found.read_bytes += usize_as_u64(count);
                        self.meter.add_read(usize_as_u64(count), 0);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        let reason = format!("it cannot be read: {error}");
                        self.damage(key, &reason);
                        return Ok(());
                    }
                }
            }
            if missing > 0 {
                self.damage(key, &format!("it ends in its part {number}"));
                return Ok(());
            }
            let found: [u8; 32] = hasher.finalize().into();
            if found != *sum.as_bytes() {
                self.damage(key, &format!("its part {number} is another"));
            }
        }
        if matches!(input.read(&mut [0]), Ok(1)) {
            self.damage(key, &format!("it has more than {length} bytes"));
        }
        Ok(())
    }

    fn damage(&mut self, key: &str, reason: &str) {
        self.found.damages.push(format!("{key}: {reason}"));
    }
}
