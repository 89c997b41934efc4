// SPDX-License-Identifier: MIT OR Apache-2.0
//! The artifacts of one run, as its plan wants them.

use super::gather::{GatherError, Gathering, Origin};
use super::placement::{Destination, Kept, PlacementError, place};
use crate::image_format::{ImageFormat, Target};
use crate::plan::ArtifactsSpec;
use crate::source::{Source, SourceSpec};
use crate::stop::Stop;
use linpmem_manifest::paths::{artifacts_of, artifacts_of_manifest, partial_of};
use std::time::Duration;

/// The run that artifacts are collected for.
pub(crate) struct Run<'a> {
    pub(crate) wanted: &'a ArtifactsSpec,
    pub(crate) format: ImageFormat,
    pub(crate) target: &'a Target,
    pub(crate) force: bool,
    pub(crate) source: &'a Source,
    pub(crate) spec: &'a SourceSpec,
    /// How long one file is waited for.
    pub(crate) timeout: Option<Duration>,
    pub(crate) stop: &'a Stop,
}

impl Run<'_> {
    /// Collects what is wanted, and tells `warn` what the user should know. `None` if
    /// nothing is wanted, or there is nothing.
    ///
    /// # Errors
    /// If a file that was named cannot be read, or a file of the artifacts' own name
    /// exists. A disk that does not take artifacts nobody asked for by name costs the
    /// artifacts and not the memory.
    pub(crate) fn collect(
        &self,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<Kept>, PlacementError> {
        if !self.wanted.is_wanted() {
            return Ok(None);
        }
        let gathering = Gathering {
            origin: match self.spec {
                _ if !self.wanted.kernel => Origin::Nothing,
                SourceSpec::Image(path) => Origin::Image(path),
                _ => Origin::Live(self.source),
            },
            added: &self.wanted.add,
            timeout: self.timeout,
            stop: self.stop,
        };
        match place(gathering, &self.destination()) {
            Ok(kept) => {
                let warnings = kept.iter().flat_map(|kept| kept.warnings.iter().cloned());
                warnings.for_each(warn);
                Ok(kept)
            }
            Err(PlacementError::Gather(GatherError::Write(error)))
                if !self.wanted.is_demanded() =>
            {
                warn(format!("kernel artifacts were not collected: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn destination(&self) -> Destination {
        let (path, partial) = match self.target {
            Target::File { image, .. } => (artifacts_of(image), artifacts_of(&partial_of(image))),
            Target::Stdout { manifest } => {
                let path = artifacts_of_manifest(manifest);
                let partial = partial_of(&path);
                (path, partial)
            }
        };
        Destination {
            path,
            partial,
            format: self.format,
            force: self.force,
            within: self.wanted.inside_image,
        }
    }
}
