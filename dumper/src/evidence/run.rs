// SPDX-License-Identifier: MIT OR Apache-2.0
//! The evidence of one run, as its command line wants it.

use super::gather::{GatherError, Gathering, Origin};
use super::keep::{Destination, KeepError, Kept, keep};
use crate::args::AcquireArgs;
use crate::naming::{Shape, Target, evidence_of, evidence_of_manifest, manifest_of, partial_of};
use crate::notation::SourceSpec;
use crate::source::Source;
use crate::stop::Stop;
use std::path::PathBuf;
use std::time::Duration;

/// The run that evidence is gathered for.
pub(crate) struct Run<'a> {
    pub(crate) args: &'a AcquireArgs,
    pub(crate) shape: Shape,
    pub(crate) target: &'a Target,
    pub(crate) source: &'a Source,
    pub(crate) stop: &'a Stop,
}

impl Run<'_> {
    /// Gathers what is wanted. Adds to `warnings` what the user should know. None:
    /// nothing is wanted, or there is nothing.
    ///
    /// # Errors
    /// If a file that was named cannot be read, or one of the evidence's own name
    /// is there already. A disk that does not take evidence nobody asked for by
    /// name costs the evidence and not the memory.
    pub(crate) fn evidence(&self, warnings: &mut Vec<String>) -> Result<Option<Kept>, KeepError> {
        let wanted = &self.args.image.evidence;
        if wanted.no_evidence && wanted.add.is_empty() {
            return Ok(None);
        }
        let timeout = match self.args.page_timeout {
            0 => None,
            seconds => Some(Duration::from_secs(seconds)),
        };
        let gathering = Gathering {
            origin: match &self.args.selection.source {
                _ if wanted.no_evidence => Origin::Nothing,
                SourceSpec::Image(path) => Origin::Image(path),
                _ => Origin::Live(self.source),
            },
            added: &wanted.add,
            timeout,
            stop: self.stop,
        };
        match keep(gathering, &self.destination()) {
            Ok(kept) => {
                warnings.extend(kept.iter().flat_map(|kept| kept.warnings.clone()));
                Ok(kept)
            }
            Err(KeepError::Gather(GatherError::Write(error))) if !wanted.is_demanded() => {
                warnings.push(format!("there is no evidence beside the memory: {error}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn destination(&self) -> Destination {
        let (path, partial) = match (self.target, &self.args.run.manifest) {
            (Target::File(image), _) => (evidence_of(image), evidence_of(&partial_of(image))),
            (Target::Stdout, manifest) => {
                // Without a manifest there is no run.
                let manifest = manifest
                    .clone()
                    .unwrap_or_else(|| manifest_of(&PathBuf::new()));
                let path = evidence_of_manifest(&manifest);
                let partial = partial_of(&path);
                (path, partial)
            }
        };
        Destination {
            path,
            partial,
            format: self.shape.format,
            force: self.args.run.force,
            within: self.args.image.evidence.bundle,
        }
    }
}
