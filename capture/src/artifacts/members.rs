// SPDX-License-Identifier: MIT OR Apache-2.0
//! Artifacts that lies in an AFF4 volume, as files beside the memory.

use super::archive::Section;
use super::store::{Entry, Store, no_such};
use super::{ArtifactsError, VMCOREINFO};
use linpmem_formats::aff4;
use std::io::Read;
use std::path::PathBuf;

/// What the writer of AFF4 images calls [`VMCOREINFO`].
const VMCOREINFO_MEMBER: &str = "vmcoreinfo";

/// The files of a volume.
#[derive(Debug)]
pub(super) struct Members {
    image: aff4::Reader,
    entries: Vec<Entry>,
    urns: Vec<String>,
}

impl Members {
    pub(super) fn new(image: aff4::Reader) -> Self {
        let (mut entries, mut urns) = (Vec::new(), Vec::new());
        for file in image.files() {
            entries.push(Entry {
                name: match file.path.trim_start_matches('/') {
                    VMCOREINFO_MEMBER => VMCOREINFO.to_owned(),
                    name => name.to_owned(),
                },
                length: file.bytes,
            });
            urns.push(file.urn);
        }
        Self {
            image,
            entries,
            urns,
        }
    }
}

impl Store for Members {
    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn open(&self, name: &str) -> Result<Box<dyn Read + '_>, ArtifactsError> {
        let mut found = self.entries.iter().zip(&self.urns);
        let (_, urn) = found
            .find(|(entry, _)| entry.name == name)
            .ok_or_else(|| no_such(name, "the volume has no such file"))?;
        let bytes = self.image.open_file(urn);
        let bytes = bytes.map_err(|source| ArtifactsError::Aff4 {
            path: PathBuf::from(name),
            source,
        })?;
        Ok(Box::new(Section::whole(bytes)))
    }
}
