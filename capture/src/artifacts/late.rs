// SPDX-License-Identifier: MIT OR Apache-2.0
//! Artifacts that are collected when memory has been read: making them replaces free pages,
//! each of which may be evidence.

use super::own_file::{OwnFile, scratch};
use super::placement::{ArtifactsRequest, CollectedArtifacts, PlacementError, in_own_file};
use super::processes::ListedPids;
use super::{GatherError, gather::Gathered};
use crate::image_format::ImageFormat;
use crate::sink::{Limits, SpaceError, check_space};
use crate::stop::Stop;
use linpmem_formats::{aff4, elf};
use linpmem_manifest::ArtifactsPlace;
use linpmem_phys::PhysLen;
use std::path::Path;

/// What an image needs besides its artifacts at its end.
const ENDING_BYTES: u64 = 1 << 20;

/// Why swap areas are not kept.
const NO_ROOM: &str = "the image would not fit with the swap areas";
const INTERRUPTED: &str = "the run was interrupted before it was read";

/// Artifacts to be collected, and where they go.
pub(crate) struct LateArtifacts<'a> {
    request: ArtifactsRequest<'a>,
    place: Place,
    /// The processes before memory is read.
    begin: Option<ListedPids>,
}

enum Place {
    /// Behind the memory of an ELF core.
    Tail(elf::Tail),
    /// In an AFF4 volume.
    Members(aff4::LateFiles),
    /// In a file next to the image, which has its working name already.
    File(Option<OwnFile>),
}

impl<'a> LateArtifacts<'a> {
    /// Prepares a place for the artifacts of `request`.
    ///
    /// # Errors
    /// If the file for the artifacts exists already, or cannot be created.
    pub(crate) fn prepare(request: ArtifactsRequest<'a>) -> Result<Self, PlacementError> {
        let place = match request.format {
            ImageFormat::Elf => Place::Tail(elf::Tail::default()),
            ImageFormat::Aff4(_) => Place::Members(aff4::LateFiles::default()),
            _ => {
                let file = OwnFile::create(request.target, request.encrypted, request.force)?;
                Place::File(Some(file))
            }
        };
        Ok(Self {
            begin: request.list_processes(),
            request,
            place,
        })
    }

    /// The file next to the image, if the image does not hold them.
    pub(crate) fn file_name(&self) -> Option<String> {
        match &self.place {
            Place::File(Some(file)) => file.name().ok(),
            _ => None,
        }
    }

    /// What follows the memory of an ELF core.
    pub(crate) fn tail(&self) -> Option<elf::Tail> {
        match &self.place {
            Place::Tail(tail) => Some(tail.clone()),
            _ => None,
        }
    }

    /// The files of an AFF4 volume.
    pub(crate) fn members(&self) -> Option<aff4::LateFiles> {
        match &self.place {
            Place::Members(files) => Some(files.clone()),
            _ => None,
        }
    }

    /// Collects them now, for an image at `image`, if it is on this machine, with `file_bytes` so
    /// far that may grow within `limits`. What the user should know is passed on to `warn`. The image is as
    /// good without them: whatever goes wrong is a warning.
    pub(crate) fn collect(
        &mut self,
        image: Option<&Path>,
        file_bytes: u64,
        limits: Limits,
        warn: &mut dyn FnMut(String),
    ) -> Option<CollectedArtifacts> {
        let fitting = |collected: Option<CollectedArtifacts>| {
            if let Some(kept) = &collected {
                fits(image, file_bytes, kept.bytes_inside(), limits)?;
            }
            Ok(collected)
        };
        let swap = self.request.swap();
        let mut collected = self.place(swap).and_then(fitting);
        if let (Err(LateError::Space(error)), Ok(())) = (&collected, swap) {
            // The kernel's artifacts are small, and without them nothing is found in memory.
            warn(format!(
                "swap areas were dropped, because the image would not fit with them: {error}"
            ));
            collected = self.place(Err(NO_ROOM)).and_then(fitting);
        }
        match collected {
            Ok(Some(kept)) => {
                kept.warnings.iter().cloned().for_each(warn);
                match &self.place {
                    Place::Tail(tail) => tail.set(kept.archive()),
                    Place::Members(files) => files.set(kept.members().collect()),
                    Place::File(_) => {}
                }
                Some(kept)
            }
            Ok(None) => None,
            Err(LateError::Space(error)) => {
                warn(format!(
                    "kernel artifacts were dropped, because the image would not fit with them: \
                     {error}"
                ));
                None
            }
            Err(LateError::Placement(error)) => {
                warn(format!("kernel artifacts were not collected: {error}"));
                None
            }
        }
    }

    fn place(
        &mut self,
        swap: Result<(), &'static str>,
    ) -> Result<Option<CollectedArtifacts>, LateError> {
        let write = |source| PlacementError::Gather(GatherError::Write(source));
        let archive = match &self.place {
            Place::File(Some(file)) => file.file().try_clone().map_err(write)?,
            _ => {
                let scratch = scratch(self.request.target, self.request.encrypted);
                scratch.file().map_err(write)?
            }
        };
        // After a stop, an image is worth little without them, and they take a moment; swap areas
        // do not.
        let (given, fresh) = (self.request.stop, Stop::default());
        let (stop, swap) = match given.is_raised() {
            true => (&fresh, swap.and(Err(INTERRUPTED))),
            false => (given, swap),
        };
        let gathered = self
            .request
            .gather(archive, stop, self.begin.as_ref(), swap);
        let Some(gathered) = gathered.map_err(PlacementError::from)? else {
            return Ok(None);
        };
        Ok(Some(self.collected(gathered)?))
    }

    fn collected(&mut self, gathered: Gathered) -> Result<CollectedArtifacts, PlacementError> {
        let place = match &mut self.place {
            Place::File(file) => match file.take() {
                Some(file) => return in_own_file(gathered, file),
                None => ArtifactsPlace::File,
            },
            Place::Tail(_) => ArtifactsPlace::Tail,
            Place::Members(_) => ArtifactsPlace::Members,
        };
        Ok(CollectedArtifacts::new(gathered, place, None)?)
    }
}

/// Why there are no artifacts.
#[derive(Debug, thiserror::Error)]
enum LateError {
    #[error(transparent)]
    Placement(#[from] PlacementError),
    #[error(transparent)]
    Space(#[from] SpaceError),
}

/// Checks that an image of `file_bytes` can hold `more` bytes of artifacts.
fn fits(
    image: Option<&Path>,
    file_bytes: u64,
    more: u64,
    limits: Limits,
) -> Result<(), SpaceError> {
    if more == 0 {
        return Ok(());
    }
    // No disk has 2^64 bytes: the largest number is as good as any beyond it.
    let still = more.saturating_add(ENDING_BYTES);
    let needed = PhysLen::new(file_bytes.saturating_add(still));
    if let Some(limit) = limits.max_size.filter(|&limit| needed > limit) {
        return Err(SpaceError::TooLarge { needed, limit });
    }
    let rest = Limits {
        max_size: None,
        ..limits
    };
    image.map_or(Ok(()), |image| check_space(image, still, rest))
}
