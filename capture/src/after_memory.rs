// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done when memory has been read: suspended programs run again, artifacts are
//! collected, and the hashes that are behind are completed.

use crate::artifacts::{CollectedArtifacts, LateArtifacts};
use crate::freeze::Frozen;
use crate::pipeline::{AfterMemory, End, Outcome, ReadBack, ReadBackError};
use crate::sink::Limits;
use crate::warnings::Warnings;
use linpmem_manifest::{ArtifactsRecord, ReadBackRecord};
use std::path::Path;

/// What follows the reading of memory.
pub(crate) struct After<'a, 'w, 'e> {
    /// Whether memory is read a second time.
    pub(crate) is_read_again: bool,
    /// What is suspended until then.
    pub(crate) frozen: Option<Frozen>,
    /// The artifacts, until they have been collected.
    pub(crate) late: Option<LateArtifacts<'a>>,
    /// The artifacts, once they have been.
    pub(crate) collected: Option<CollectedArtifacts>,
    /// The image's final name, if it is a file of this machine.
    pub(crate) image: Option<&'a Path>,
    /// How far it may grow.
    pub(crate) limits: Limits,
    /// What the user should know.
    pub(crate) warnings: &'w mut Warnings<'e>,
}

impl AfterMemory for After<'_, '_, '_> {
    fn memory_is_read(&mut self, file_bytes: u64) -> (Option<ArtifactsRecord>, Vec<String>) {
        let known = self.warnings.all().len();
        if !self.is_read_again {
            // Files may be served by programs that are suspended.
            self.warnings
                .extend(self.frozen.take().and_then(Frozen::thaw));
        }
        if let Some(mut late) = self.late.take() {
            let mut warn = |warning| self.warnings.add(warning);
            self.collected = late.collect(self.image, file_bytes, self.limits, &mut warn);
        }
        let record = self.collected.as_ref().map(|kept| kept.record.clone());
        (
            record,
            self.warnings.all().iter().skip(known).cloned().collect(),
        )
    }
}

/// Computes the hashes that `outcome` still lacks, if its image is whole. Without them it is
/// whole as well, unless the disk has lost something of it.
pub(crate) fn hash_rest(
    read_back: ReadBack<'_>,
    outcome: &mut Outcome,
    warnings: &mut Warnings<'_>,
) -> Option<ReadBackRecord> {
    if !matches!(outcome.end, End::Whole) {
        return None;
    }
    match read_back.complete(&mut outcome.file) {
        Ok(read_back) => read_back,
        Err(ReadBackError::Stopped(reason)) => {
            warnings.add(format!(
                "{reason} while the file was read back from the disk to be hashed: the image is \
                 whole, but not every hash of its file was made, and it was not compared with \
                 what was in memory to its end; `verify` does that"
            ));
            None
        }
        Err(error) => {
            outcome.end = End::Failed(error.into());
            None
        }
    }
}
