// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the output of a run will fit on the disk.

use super::Run;
use crate::artifacts::{
    CollectedArtifacts, MAX_SWAP_BYTES, SwapError, listed_swap_areas, total_swap_bytes,
};
use crate::image_format::{ImageFormat, Shape, Target};
use crate::manifest_output::manifest_bytes;
use crate::sink::{PartialFile, SpaceError, check_length, check_space};
use crate::warnings::Warnings;
use linpmem_encryption::encrypted_len;
use linpmem_formats::{ImagePlan, raw};
use linpmem_phys::PhysLen;

/// Headers take less than this, with any number of ranges.
const HEADERS_BYTES: u64 = 1 << 20;

/// The most bytes of swap areas that are kept in memory, where nothing may be left on this
/// machine's disks.
const MAX_SWAP_IN_MEMORY: u64 = 256 << 20;

/// The length that an image can have, but for artifacts in it and memory that does not compress.
pub(super) fn most_bytes(shape: Shape, plan: &ImagePlan) -> u64 {
    match shape.format {
        // Its offsets are addresses.
        ImageFormat::Raw(raw::Layout::Padded) => plan.end().get(),
        _ => plan.total().get().saturating_add(HEADERS_BYTES),
    }
}

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

    /// Checks that the image will fit with the swap areas, if they are wanted.
    pub(super) fn check_swap(
        &self,
        plan: &ImagePlan,
        warnings: &mut Warnings<'_>,
    ) -> Result<(), SwapError> {
        if !self.plan.artifacts.swap {
            return Ok(());
        }
        // What keeps them from being listed is said when they are to be kept.
        let Ok(listed) = listed_swap_areas(self.plan.page_timeout) else {
            return Ok(());
        };
        if listed.is_empty() {
            warnings.add("--add-swap: this machine has no swap areas".to_owned());
        }
        let bytes = total_swap_bytes(&listed);
        let areas = PhysLen::new(bytes);
        if bytes > MAX_SWAP_BYTES {
            let limit = PhysLen::new(MAX_SWAP_BYTES);
            return Err(SwapError::TooLarge { areas, limit });
        }
        let is_away = matches!(self.target, Target::Remote(_) | Target::Store(_));
        if (is_away || self.encrypted.is_some()) && bytes > MAX_SWAP_IN_MEMORY {
            let limit = PhysLen::new(MAX_SWAP_IN_MEMORY);
            return Err(SwapError::InMemory { areas, limit });
        }
        let needed = match self.shape.format {
            // In a file without a name until the image takes them.
            ImageFormat::Elf | ImageFormat::Aff4(_) => bytes.saturating_mul(2),
            _ => bytes,
        };
        let failed = |source| SwapError::Space { areas, source };
        if let Target::Stream { manifest, .. } = &self.target {
            return check_space(manifest, needed, self.plan.impact.limits).map_err(failed);
        }
        warnings.extend(self.space_for(plan, needed).map_err(failed)?);
        Ok(())
    }

    /// Checks that the image's file can become as long as the image can. That it cannot
    /// is a warning if the image is compressed.
    ///
    /// # Errors
    /// If it cannot.
    pub(super) fn check_length(
        &self,
        image: Option<&PartialFile>,
        plan: &ImagePlan,
        warnings: &mut Warnings<'_>,
    ) -> Result<(), SpaceError> {
        let Some(image) = image else {
            return Ok(());
        };
        let needed = self.stored_bytes(most_bytes(self.shape, plan));
        match check_length(image.file(), image.path(), PhysLen::new(needed)) {
            Err(error) if self.shape.is_compressed() => {
                warnings.add(format!(
                    "the run fails in the end if the memory does not compress well: {error}"
                ));
                Ok(())
            }
            checked => checked,
        }
    }

    /// The artifacts, if the image still fits with them, as it did without them. Otherwise
    /// they are dropped with a warning, unless the user asked for some in particular.
    ///
    /// # Errors
    /// If artifacts that the user asked for do not fit.
    pub(super) fn drop_artifacts_if_full(
        &self,
        kept: CollectedArtifacts,
        plan: &ImagePlan,
        warnings: &mut Warnings<'_>,
    ) -> Result<Option<CollectedArtifacts>, SpaceError> {
        // Artifacts in a file of their own are on the disk already.
        match self.space_for(plan, kept.bytes_inside()) {
            Ok(warning) => {
                warnings.extend(warning);
                Ok(Some(kept))
            }
            Err(error) if self.plan.artifacts.is_demanded() => Err(error),
            Err(error) => {
                warnings.add(format!(
                    "kernel artifacts were dropped, because the image would not fit with them: \
                     {error}"
                ));
                Ok(None)
            }
        }
    }

    /// The bytes that `content` takes on the disk, without headers.
    fn stored_bytes(&self, content: u64) -> u64 {
        match self.encrypted {
            Some(_) => encrypted_len(content),
            None => content,
        }
    }

    /// Checks that an image with this many bytes of artifacts will fit. Returns a warning
    /// if it fits only when compressed.
    fn space_for(
        &self,
        plan: &ImagePlan,
        artifacts_bytes: u64,
    ) -> Result<Option<String>, SpaceError> {
        let Target::File { image, .. } = &self.target else {
            return Ok(None);
        };
        // No disk has 2^64 bytes: the largest number is as good as any beyond it.
        let is_padded = self.shape.format == ImageFormat::Raw(raw::Layout::Padded);
        let memory = match is_padded && self.encrypted.is_some() {
            // What is encrypted has no holes.
            true => plan.end().get(),
            false => plan.total().get(),
        };
        let needed = [memory, artifacts_bytes, HEADERS_BYTES, manifest_bytes(plan)]
            .into_iter()
            .fold(0, u64::saturating_add);
        let needed = self.stored_bytes(needed);
        match check_space(image, needed, self.plan.impact.limits) {
            Err(error @ (SpaceError::TooLittle { .. } | SpaceError::TooLarge { .. }))
                if self.shape.is_compressed() =>
            {
                Ok(Some(format!(
                    "the disk may fill up if the memory does not compress well: {error}"
                )))
            }
            other => other.map(|()| None),
        }
    }
}
