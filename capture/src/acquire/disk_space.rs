// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether what a run writes will fit on the disk.

use super::Run;
use crate::artifacts::CollectedArtifacts;
use crate::image_format::Target;
use crate::output_set::manifest_bytes;
use crate::sink::{SpaceError, check_space};
use crate::warnings::Warnings;
use linpmem_formats::ImagePlan;

/// Headers take less than this, however many ranges there are.
const HEADERS_BYTES: u64 = 1 << 20;

impl Run<'_> {
    /// Checks that the image will fit. Returns whether that depends on how well the
    /// memory compresses, which is only worth a warning.
    pub(super) fn check_space(
        &self,
        plan: &ImagePlan,
        warnings: &mut Warnings<'_>,
    ) -> Result<bool, SpaceError> {
        let warning = self.space_for(plan, 0)?;
        let is_tight = warning.is_some();
        warnings.extend(warning);
        Ok(is_tight)
    }

    /// The artifacts, if the image still fits with them; without them it did. They go
    /// with a warning, unless somebody asked for them by name.
    ///
    /// # Errors
    /// If what was asked for does not fit.
    pub(super) fn drop_artifacts_if_full(
        &self,
        kept: CollectedArtifacts,
        plan: &ImagePlan,
        warnings: &mut Warnings<'_>,
    ) -> Result<Option<CollectedArtifacts>, SpaceError> {
        // Artifacts beside the image have taken their room already.
        match self.space_for(plan, kept.bytes_inside()) {
            Ok(warning) => {
                warnings.extend(warning);
                Ok(Some(kept))
            }
            Err(error) if self.plan.artifacts.is_demanded() => Err(error),
            Err(error) => {
                warnings.add(format!(
                    "kernel artifacts were dropped because the image would not fit with them: \
                     {error}"
                ));
                Ok(None)
            }
        }
    }

    /// Whether an image that holds this many bytes of artifacts will fit; a warning
    /// if only compression can make it fit.
    fn space_for(
        &self,
        plan: &ImagePlan,
        artifacts_bytes: u64,
    ) -> Result<Option<String>, SpaceError> {
        let Target::File { image, .. } = &self.target else {
            return Ok(None);
        };
        let needed = [
            plan.total().get(),
            artifacts_bytes,
            HEADERS_BYTES,
            manifest_bytes(plan),
        ]
        .into_iter()
        .try_fold(0, u64::checked_add)
        .unwrap_or(u64::MAX);
        match check_space(image, needed, self.plan.impact.limits) {
            Err(error @ (SpaceError::TooLittle { .. } | SpaceError::TooLarge { .. }))
                if self.shape.is_compressed() =>
            {
                Ok(Some(format!(
                    "this may run out of space if the memory compresses badly: {error}"
                )))
            }
            other => other.map(|()| None),
        }
    }
}
