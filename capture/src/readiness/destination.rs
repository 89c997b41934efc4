// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where an image would go: whether it can, whether it fits, and how fast it would be.

use super::speed;
use crate::manifest_output::manifest_bytes;
use crate::parts::objects::{Objects, Patience, StoreError};
use crate::parts::remote::{Address, probe};
use crate::rate::Rate;
use crate::sink::{check_length, exposed_folder, free_space};
use crate::spool::unnamed_file;
use crate::stored::StoreSpec;
use linpmem_formats::ImagePlan;
use linpmem_phys::PhysLen;
use std::path::PathBuf;
use std::time::Duration;

/// What kernel artifacts and an image's headers take, and more than either of them ever took.
const BESIDES_BYTES: u64 = 64 << 20;

/// For how long a store is tried.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// Where an image would go.
#[derive(Clone, Debug)]
pub enum Place {
    /// To this folder.
    Folder(PathBuf),
    /// To the receiver at this address.
    Receiver(Address),
    /// To this store.
    Store(Box<StoreSpec>),
}

/// What is known of the place.
#[derive(Debug)]
pub enum Destination {
    /// A folder of this machine.
    Folder(Folder),
    /// A receiver.
    Receiver {
        /// Its address, without the secret.
        address: String,
        /// How fast the line is, `None` if that was not measured; or why there is none.
        line: Result<Option<Rate>, String>,
    },
    /// A store.
    Store {
        /// Its host.
        host: String,
        /// Whether it answers; if not, the reason.
        answer: Result<(), String>,
    },
}

/// A folder for an image.
#[derive(Debug)]
pub struct Folder {
    /// The folder.
    pub path: PathBuf,
    /// Its free space, if its file system tells.
    pub free: Option<PhysLen>,
    /// What an image takes that is not compressed, with all that belongs to it.
    pub needed: PhysLen,
    /// Why no file can be made in it, or none that is long enough.
    pub unusable: Option<String>,
    /// Who else could replace an image in it.
    pub exposed: Option<String>,
    /// How fast it takes an image; `None` if that was not measured.
    pub rate: Option<Result<Rate, String>>,
}

impl Place {
    /// Looks at the place of the image that `plan` describes, and measures it for as long as
    /// `during`.
    pub(super) fn examine(&self, plan: &ImagePlan, during: Option<Duration>) -> Destination {
        match self {
            Self::Folder(path) => Destination::Folder(Folder::examine(path.clone(), plan, during)),
            Self::Receiver(address) => Destination::Receiver {
                address: address.to_string(),
                line: match during {
                    None => Ok(None),
                    Some(during) => probe(address, during)
                        .map(|probed| {
                            Some(Rate {
                                bytes: probed.bytes,
                                elapsed: probed.elapsed,
                            })
                        })
                        .map_err(|error| error.to_string()),
                },
            },
            Self::Store(spec) => Destination::Store {
                host: spec.location.host(),
                answer: answer(spec).map_err(|error| error.to_string()),
            },
        }
    }
}

impl Folder {
    fn examine(path: PathBuf, plan: &ImagePlan, during: Option<Duration>) -> Self {
        let needed = [plan.total().get(), manifest_bytes(plan), BESIDES_BYTES]
            .into_iter()
            .fold(0, u64::saturating_add);
        let needed = PhysLen::new(needed);
        let free = free_space(&path).ok().flatten();
        let unusable = match unnamed_file(&path) {
            Err(error) => Some(error.to_string()),
            Ok(file) => check_length(&file, &path.join("image"), needed)
                .err()
                .map(|error| error.to_string()),
        };
        let rate = match (during, &unusable) {
            (Some(during), None) => {
                let free = free.map(PhysLen::get);
                let rate = speed::writing(&path, free, during);
                Some(rate.map_err(|error| error.to_string()))
            }
            _ => None,
        };
        Self {
            free,
            needed,
            unusable,
            exposed: exposed_folder(&path),
            rate,
            path,
        }
    }
}

/// Whether the store of `spec` answers at all. Who may write need not be allowed to look.
fn answer(spec: &StoreSpec) -> Result<(), StoreError> {
    let patience = Patience::quiet(STORE_PATIENCE);
    let objects = Objects::open(spec.location.clone(), spec.ca.as_deref(), patience)?;
    match objects.head(&spec.location.key("linpmem-doctor")) {
        Err(error @ StoreError::GaveUp { .. }) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}
