// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of `doctor`.

use super::UsageError;
use super::remote::RemoteArgs;
use clap::{Args, builder::NonEmptyStringValueParser};
use linpmem_capture::readiness::{Examination, Place};
use linpmem_capture::selection::Selection;
use linpmem_capture::{DriverSpec, Output};
use std::num::NonZeroU32;
use std::path::PathBuf;

/// For how long a receiver or a store is tried.
const GIVE_UP: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// What to look at before the day.
#[derive(Args)]
pub struct DoctorArgs {
    /// The folder that the image would go to [default: the current one]
    #[arg(conflicts_with = "to")]
    pub folder: Option<PathBuf>,

    /// The receiver or the store that the image would go to instead
    ///
    /// As for an acquisition, @FILE and the variable LINPMEM_TO included. The line to a receiver is
    /// measured with random bytes, which it does not keep. Of a store it is only asked whether it
    /// answers.
    #[arg(long, value_name = "ADDRESS|@FILE", value_parser = NonEmptyStringValueParser::new())]
    pub to: Option<String>,

    /// Trust the certificates in FILE (PEM) for stores, instead of Mozilla's
    #[arg(long, value_name = "FILE", requires = "to")]
    pub ca: Option<PathBuf>,

    /// Count reserved memory as memory that has to be read
    #[arg(long)]
    pub include_reserved: bool,

    /// Load the linpmem module while the machine is examined: fit, its path, auto or never
    ///
    /// Without this, the module is made in memory and not loaded: that shows whether it fits, and
    /// that the kernel has no rule against it.
    #[arg(long, value_name = "fit|PATH|auto|never", default_value = "never")]
    pub driver: DriverSpec,

    /// Measure nothing: neither how fast memory is read, nor how fast the disk or the line is
    ///
    /// Otherwise memory is read for a second, as in an acquisition, and let go of; and random bytes
    /// are written to a file without a name for a second, 256 MiB and a quarter of the free space
    /// at most.
    #[arg(long)]
    pub no_measure: bool,

    /// Print one JSON document; errors are JSON as well
    #[arg(long)]
    pub json: bool,
}

// The address has a secret in it.
impl std::fmt::Debug for DoctorArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoctorArgs")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl DoctorArgs {
    /// What is to be examined.
    ///
    /// # Errors
    /// If there is no address where one should be.
    pub fn examination(&self) -> Result<Examination, UsageError> {
        let remote = RemoteArgs {
            to: self.to.clone(),
            give_up: GIVE_UP,
            ca: self.ca.clone(),
            part_size: None,
            jitter: None,
        };
        // A folder that is named goes before the variable.
        let away = match self.folder {
            Some(_) => None,
            None => remote.output(false)?,
        };
        let place = match away {
            Some(Output::Remote(spec)) => Place::Receiver(spec.address),
            Some(Output::Store(spec)) => Place::Store(Box::new(spec)),
            _ => Place::Folder(self.folder.clone().unwrap_or_else(|| ".".into())),
        };
        Ok(Examination {
            selection: Selection {
                include_reserved: self.include_reserved,
                ..Selection::default()
            },
            driver: self.driver.clone(),
            place,
            measures: !self.no_measure,
        })
    }
}
