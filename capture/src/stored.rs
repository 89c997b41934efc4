// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image that goes to an object store, and leaves no file on this machine.
//!
//! The manifest is the last object: a name with a manifest is an image that is complete. What
//! belongs to an image that is not has `.partial` in its name, as on a disk.

use crate::meter::Meter;
use crate::parts::objects::{
    Location, Objects, Patience, StoreError, StoredObject, Upload, numbered_key,
};
use crate::stop::Stop;
use linpmem_manifest::paths::{
    artifacts_of, checksum_of, encrypted_of, encryption_of, manifest_of, partial_of,
};
use linpmem_manifest::{ObjectRecord, Sha256Sum};
use linpmem_phys::PhysLen;
use linpmem_phys::num::{len_bytes, usize_as_u64};
use std::fs::File;
use std::io::{self, Seek};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// For how long a store is tried before anything was read.
const BEGINNING: Duration = Duration::from_secs(30);

/// Where an image is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSpec {
    /// The store, and the folder in it.
    pub location: Location,
    /// Certificates to trust instead of Mozilla's roots.
    pub ca: Option<PathBuf>,
    /// For how long a request that fails is tried again.
    pub give_up: Duration,
    /// The size of parts; by default one that fits.
    pub part_bytes: Option<PhysLen>,
}

/// Where an image was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The store and the folder, without secrets.
    pub place: String,
    /// The objects that have the image.
    pub objects: u64,
    /// The parts of them.
    pub parts: u64,
    /// Whether everything is there under its name.
    pub is_complete: bool,
    /// What the user has to know of what was left.
    pub leftovers: Vec<String>,
}

/// An image that cannot be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoringError {
    /// The store does not take it.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// There is one.
    #[error("{0} exists, and nothing in a store is ever replaced: give another name")]
    Exists(String),
    /// There is one, which was stored with this bundle, or by somebody else.
    #[error(
        "{0} exists: the bundle was used already, or something else has its name; make a new one"
    )]
    Used(String),
    /// It has all parts, and does not make an object of them.
    #[error("{error}; {leftovers}")]
    NotCompleted {
        /// The store's reason.
        error: Box<StoreError>,
        /// What is left there, in words.
        leftovers: String,
    },
    /// What belongs to the image cannot be read again.
    #[error("reading the {what}: {source}")]
    Read {
        /// What.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

impl From<StoreError> for StoringError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// An image on its way.
pub(crate) struct Storing {
    objects: Objects,
    upload: Arc<Mutex<Upload>>,
    key: PathBuf,
}

/// An image that is to be stored.
pub(crate) struct NewImage<'a> {
    /// What it is called if the user did not name it.
    pub(crate) name: &'a str,
    /// The most bytes that it can have.
    pub(crate) bound: u64,
    pub(crate) is_encrypted: bool,
}

/// What belongs to an image besides its bytes.
pub(crate) struct Belongings<'a> {
    pub(crate) manifest: &'a File,
    pub(crate) artifacts: Option<&'a File>,
    pub(crate) sha256: Option<Sha256Sum>,
    /// Of an encrypted image, what is known without a key.
    pub(crate) encryption: Option<Vec<u8>>,
}

impl Storing {
    /// Begins to store `image`.
    pub(crate) fn begin(
        spec: &StoreSpec,
        image: &NewImage<'_>,
        stop: &Stop,
        meter: &Arc<Meter>,
    ) -> Result<Self, StoringError> {
        let (stop, meter) = (stop.clone(), Arc::clone(meter));
        let patience = Patience {
            give_up: spec.give_up,
            is_hurried: Arc::new(move || stop.is_raised()),
            watch: Arc::new(move |is_failing| meter.set_cut_off(is_failing)),
        };
        // Nothing was read yet: a name that is mistyped is found soon.
        let hasty = Patience {
            give_up: spec.give_up.min(BEGINNING),
            ..patience.clone()
        };
        let asking = Objects::open(spec.location.clone(), spec.ca.as_deref(), hasty)?;
        let objects = Objects::open(spec.location.clone(), spec.ca.as_deref(), patience)?;
        let key = PathBuf::from(spec.location.key(image.name));
        let key = match image.is_encrypted {
            true => encrypted_of(&key),
            false => key,
        };
        let manifest = manifest_of(&key);
        let key = key.to_string_lossy().into_owned();
        for taken in [
            key.clone(),
            manifest.to_string_lossy().into_owned(),
            numbered_key(&key, 0),
        ] {
            match asking.head(&taken) {
                Ok(Some(_)) if spec.location.is_bundle() => return Err(StoringError::Used(taken)),
                Ok(Some(_)) => return Err(StoringError::Exists(taken)),
                Err(error @ StoreError::GaveUp { .. }) => return Err(error.into()),
                // Who may write need not be allowed to look; the store refuses in the end then.
                Ok(None) | Err(_) => {}
            }
        }
        let upload = objects.upload(&key, image.bound, spec.part_bytes.map(PhysLen::get))?;
        Ok(Self {
            objects,
            upload: Arc::new(Mutex::new(upload)),
            key: PathBuf::from(key),
        })
    }

    /// The image's name, with its folder.
    pub(crate) fn image(&self) -> &Path {
        &self.key
    }

    /// Why others can read the image, if they can.
    pub(crate) fn exposure(&self) -> Option<String> {
        self.objects.is_readable_on_the_way().then(|| {
            "the image goes over HTTP, without encryption: whoever is on the way can read and \
             change it (https:// is safe)"
                .to_owned()
        })
    }

    pub(crate) const fn upload(&self) -> &Arc<Mutex<Upload>> {
        &self.upload
    }

    fn lock(&self) -> MutexGuard<'_, Upload> {
        self.upload.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store has of the image, after the last byte was given to it. Also of an image
    /// that failed.
    pub(crate) fn records(&self) -> Vec<ObjectRecord> {
        let mut upload = self.lock();
        // That it failed is known.
        let _ = upload.drain();
        upload.objects().iter().map(record).collect()
    }

    /// Gives everything its name, the manifest last.
    pub(crate) fn complete(&self, belongings: &Belongings<'_>) -> Result<Stored, StoringError> {
        if let Some(artifacts) = belongings.artifacts {
            self.store(&artifacts_of(&self.key), artifacts, "artifacts")?;
        }
        let completed = self.lock().complete();
        completed.map_err(|error| StoringError::NotCompleted {
            error: Box::new(error),
            leftovers: self.lock().leftovers().join("; "),
        })?;
        if let Some(sum) = belongings.sha256 {
            let name = self.key.file_name().unwrap_or_default().to_string_lossy();
            let line = format!("{sum}  {name}\n");
            self.store_text(&checksum_of(&self.key), line.as_bytes())?;
        }
        if let Some(text) = &belongings.encryption {
            self.store_text(&encryption_of(&self.key), text)?;
        }
        self.store(&manifest_of(&self.key), belongings.manifest, "manifest")?;
        Ok(self.stored(true, Vec::new()))
    }

    /// Keeps what there is of an image that is not complete. Whatever fails here: why the run
    /// ended is known already.
    pub(crate) fn keep(&self, manifest: &File, encryption: Option<&[u8]>) -> Stored {
        let has_parts = self.lock().objects().iter().any(|object| object.length > 0);
        if !has_parts {
            let leftovers = self.lock().abort();
            return self.stored(false, leftovers);
        }
        let completed = self.lock().complete();
        let partial = partial_of(&self.key);
        let kept = completed.map_err(StoringError::from).and_then(|()| {
            if let Some(text) = encryption {
                self.store_text(&encryption_of(&partial), text)?;
            }
            self.store(&manifest_of(&partial), manifest, "manifest")
        });
        let mut leftovers = Vec::new();
        if let Err(error) = kept {
            leftovers.push(format!("what was stored is not readable yet: {error}"));
            leftovers.extend(self.lock().leftovers());
        }
        self.stored(false, leftovers)
    }

    fn store(&self, key: &Path, file: &File, what: &'static str) -> Result<(), StoringError> {
        let failed = |source| StoringError::Read { what, source };
        let length = file.metadata().map_err(failed)?.len();
        let mut file = file.try_clone().map_err(failed)?;
        file.rewind().map_err(failed)?;
        Ok(self
            .objects
            .store(&key.to_string_lossy(), &mut file, length)?)
    }

    fn store_text(&self, key: &Path, mut text: &[u8]) -> Result<(), StoringError> {
        let length = len_bytes(text);
        Ok(self
            .objects
            .store(&key.to_string_lossy(), &mut text, length)?)
    }

    fn stored(&self, is_complete: bool, leftovers: Vec<String>) -> Stored {
        let objects = self.lock().objects();
        let parts = objects.iter().map(|object| object.sha256.len()).sum();
        Stored {
            place: self.objects.location().host(),
            objects: usize_as_u64(objects.len()),
            parts: usize_as_u64(parts),
            is_complete,
            leftovers,
        }
    }
}

fn record(object: &StoredObject) -> ObjectRecord {
    let name = Path::new(&object.key).file_name();
    ObjectRecord {
        name: name.unwrap_or_default().to_string_lossy().into_owned(),
        length: object.length,
        part_bytes: object.part_bytes,
        parts_are_objects: object.are_parts_objects,
        sha256: object.sha256.iter().copied().map(Sha256Sum::from).collect(),
    }
}
