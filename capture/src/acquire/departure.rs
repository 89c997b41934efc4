// SPDX-License-Identifier: MIT OR Apache-2.0
//! How an image that goes somewhere else is announced there, before memory is read.

use super::Prepared;
use super::disk_space::most_bytes;
use crate::away::Away;
use crate::image_format::host_in_name;
use crate::meter::Meter;
use crate::remote::{self, Remote, RemoteError, RemoteSpec};
use crate::stop::Stop;
use crate::stored::{NewImage, StoreSpec, Storing, StoringError};
use linpmem_encryption::encrypted_len;
use linpmem_formats::ImagePlan;
use linpmem_manifest::paths::encrypted_of;
use std::path::PathBuf;
use std::sync::Arc;

/// More than the header of an encrypted file has, with 256 recipients.
const MOST_HEADER_BYTES: u64 = 64 << 10;

/// An image that goes somewhere else, before it does.
pub(super) struct Departure<'a> {
    pub(super) prepared: &'a Prepared<'a>,
    pub(super) plan: &'a ImagePlan,
    pub(super) stop: &'a Stop,
    pub(super) meter: &'a Arc<Meter>,
}

impl Departure<'_> {
    const fn is_encrypted(&self) -> bool {
        self.prepared.plan.encryption.is_some()
    }

    /// The ending of the image's name.
    fn extension(&self) -> String {
        let extension = PathBuf::from(self.prepared.shape.extension());
        let extension = match self.is_encrypted() {
            true => encrypted_of(&extension),
            false => extension,
        };
        extension.to_string_lossy().into_owned()
    }
}

impl Away for Departure<'_> {
    fn receiver(&self, spec: &RemoteSpec) -> Result<Remote, RemoteError> {
        let image = remote::Image {
            host: &self.prepared.host.hostname,
            utc: &self.prepared.started.compact(),
            extension: self.extension(),
            planned_bytes: self.plan.total().get(),
        };
        Remote::connect(spec, &image, self.stop, self.meter)
    }

    fn store(&self, spec: &StoreSpec) -> Result<Storing, StoringError> {
        let Prepared {
            host,
            started,
            shape,
            ..
        } = self.prepared;
        // Machines that were made of one template have one name.
        let boot = host.boot_id.as_deref().and_then(|boot| boot.get(..8));
        let name = format!(
            "{}{}-{}.{}",
            host_in_name(&host.hostname),
            boot.map(|boot| format!("-{boot}")).unwrap_or_default(),
            started.compact(),
            self.extension()
        );
        let content = most_bytes(*shape, self.plan);
        let image = NewImage {
            name: &name,
            bound: match self.is_encrypted() {
                true => encrypted_len(content).saturating_add(MOST_HEADER_BYTES),
                false => content,
            },
            is_encrypted: self.is_encrypted(),
        };
        Storing::begin(spec, &image, self.stop, self.meter)
    }
}
