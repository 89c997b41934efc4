// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether what a run writes will fit.

use super::Request;
use crate::evidence::Kept;
use crate::files::manifest_bytes;
use crate::naming::Target;
use crate::sink::{SpaceError, check_space};
use linpmem_formats::ImagePlan;

/// Headers take less than this, however many ranges there are.
const HEADERS_BYTES: u64 = 1 << 20;

impl Request<'_> {
    /// Whether an image with so many bytes of evidence in it will fit. If compression
    /// may make it fit, that is only worth a warning.
    pub(super) fn room(
        &self,
        plan: &ImagePlan,
        evidence_bytes: u64,
    ) -> Result<Option<String>, SpaceError> {
        let Target::File(path) = &self.target else {
            return Ok(None);
        };
        let needed = plan
            .total()
            .get()
            .saturating_add(evidence_bytes)
            .saturating_add(HEADERS_BYTES)
            .saturating_add(manifest_bytes(plan));
        match check_space(path, needed, self.args.run.care.limits()) {
            Err(error @ (SpaceError::TooLittle { .. } | SpaceError::TooLarge { .. }))
                if self.shape.is_compressed() =>
            {
                Ok(Some(format!("if the memory compresses badly: {error}")))
            }
            other => other.map(|()| None),
        }
    }

    /// The evidence, if the image still fits with it; it did without. What takes the
    /// memory's room is given up with a warning, unless somebody asked for it by name.
    ///
    /// # Errors
    /// If what was asked for does not fit.
    pub(super) fn fitting(
        &self,
        kept: Option<Kept>,
        plan: &ImagePlan,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Kept>, SpaceError> {
        let Some(kept) = kept else {
            return Ok(None);
        };
        // What lies beside the image has taken its room already.
        match self.room(plan, kept.bytes_within()) {
            Ok(warning) => {
                warnings.extend(warning);
                Ok(Some(kept))
            }
            Err(error) => {
                kept.discard();
                if self.args.image.evidence.is_demanded() {
                    return Err(error);
                }
                warnings.push(format!(
                    "there is no evidence beside the memory, which would not fit with it: {error}"
                ));
                Ok(None)
            }
        }
    }
}
