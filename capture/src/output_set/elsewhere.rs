// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of an image that goes to a receiver or a store.

use super::{Committed, Destination, OutputSet, Written};
use crate::artifacts::OwnFile;
use crate::error::AcquireError;
use crate::manifest_output;
use crate::remote::{Remote, Sent};
use crate::stored::{Belongings, Stored, Storing};
use linpmem_manifest::paths::{artifacts_of, encryption_of, manifest_of, partial_of};
use linpmem_manifest::{ImageId, ObjectRecord};
use std::fs::File;

impl OutputSet<'_> {
    /// What is known of an encrypted image without a key, as it is kept there.
    fn described_there(
        &self,
        written: &Written,
        (id, started): (ImageId, &str),
        objects: Vec<ObjectRecord>,
    ) -> Result<Option<Vec<u8>>, AcquireError> {
        let Some(encrypted) = &self.encrypted else {
            return Ok(None);
        };
        let image = match (&self.image, written.state.is_whole()) {
            (Destination::Remote(_), false) => partial_of(&self.image_path),
            _ => self.image_path.clone(),
        };
        let manifest = match written.state.is_whole() {
            true => manifest_of(&self.image_path),
            false => manifest_of(&partial_of(&self.image_path)),
        };
        // A store gets those of a whole image alone.
        let is_kept = matches!(self.image, Destination::Remote(_)) || written.state.is_whole();
        let artifacts = self.artifacts.as_ref().filter(|_| is_kept);
        let artifacts = artifacts.map(|_| artifacts_of(&image));
        let record = encrypted.record(
            id,
            started,
            written.state,
            [Some(&image), Some(&manifest), artifacts.as_deref()],
            objects,
        );
        let text = record.to_text();
        Ok(Some(text.map_err(AcquireError::io(
            "describing what was encrypted",
        ))?))
    }

    /// Ends an image that was stored.
    pub(super) fn store(
        &self,
        storing: &Storing,
        manifest: &File,
        written: &Written,
        begun: (ImageId, &str),
    ) -> Result<Stored, AcquireError> {
        let encrypted = self.encrypted.as_ref();
        let encrypted = encrypted.map(|to| manifest_output::encrypted(manifest, to));
        let encrypted = encrypted.transpose();
        let encrypted = encrypted.map_err(AcquireError::io("encrypting the manifest"))?;
        let manifest = encrypted.as_ref().unwrap_or(manifest);
        let encryption = self.described_there(written, begun, storing.records())?;
        if !written.state.is_whole() {
            return Ok(storing.keep(manifest, encryption.as_deref()));
        }
        Ok(storing.complete(&Belongings {
            manifest,
            artifacts: self.artifacts.as_ref().map(OwnFile::sent),
            sha256: self.image_sum(written),
            encryption,
        })?)
    }

    /// Ends an image that was sent. One that is not whole is worth a try: the receiver keeps what
    /// it has either way.
    pub(super) fn deliver(
        self,
        remote: &Remote,
        written: &Written,
        begun: (ImageId, &str),
    ) -> Result<Committed, AcquireError> {
        let is_whole = written.state.is_whole();
        let encryption = self.described_there(written, begun, Vec::new())?;
        let encrypted = self.encrypted.as_ref().map(|to| to.image.get());
        let image_bytes = match encrypted {
            None => Some(written.outcome.file.file_length),
            // Without a sum, how much of it was sent is not known.
            Some(sum) => sum.map(|sum| sum.length),
        };
        let delivered = match (written.sent_manifest, image_bytes) {
            (Some(manifest), Some(image_bytes)) => {
                let delivered = remote.finish(Sent {
                    image_bytes,
                    manifest,
                    artifacts: self.artifacts.as_ref().map(OwnFile::sent),
                    is_whole,
                    encryption: encryption.map(|text| String::from_utf8_lossy(&text).into_owned()),
                });
                match delivered {
                    Err(error) if is_whole => return Err(error.into()),
                    // Why the run ended is said already.
                    Err(_) => remote.delivered(None),
                    Ok(delivered) => delivered,
                }
            }
            _ => remote.delivered(None),
        };
        Ok(Committed {
            manifest: manifest_of(&self.image_path),
            encryption: self
                .encrypted
                .is_some()
                .then(|| encryption_of(&self.image_path)),
            image: self.image_path,
            delivered: Some(delivered),
            stored: None,
        })
    }
}
