// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump doctor`: what an acquisition of this machine would be like.

use super::diagnosis::{diagnose, estimate};
use crate::args::{DoctorArgs, UsageError};
use crate::text::doctor::{
    ArtifactsCheck, DestinationCheck, DoctorDocument, KindCheck, ModuleCheck, PlaceKind,
    SourceCheck, Verdict,
};
use crate::text::shell::{quoted, word};
use linpmem_capture::DriverSpec;
use linpmem_capture::readiness::{Destination, ExamineError, Readiness, Tried, examine};
use std::ffi::OsStr;

/// A machine that was not examined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DoctorError {
    /// The options contradict each other.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// It cannot be examined.
    #[error(transparent)]
    Examine(#[from] ExamineError),
}

/// Examines this machine.
///
/// # Errors
/// If the options are wrong, or there is nothing to examine.
pub fn doctor(args: &DoctorArgs) -> Result<DoctorDocument, DoctorError> {
    let found = examine(&args.examination()?)?;
    let findings = diagnose(&found);
    let ready = findings
        .iter()
        .all(|finding| finding.verdict != Verdict::Bad);
    Ok(DoctorDocument {
        ready,
        command: ready.then(|| command(args, &found)),
        estimate_s: estimate(&found),
        findings,
        host: found.host.hostname,
        kernel: found.host.kernel_release,
        architecture: found.host.machine,
        planned_bytes: found.planned.get(),
        source: found.source.as_ref().ok().map(ToString::to_string),
        sources: found.sources.into_iter().map(source).collect(),
        memory: found
            .kinds
            .into_iter()
            .map(|(kind, found)| KindCheck {
                kind: kind.name(),
                bytes: found.bytes,
                read_bytes: found.read_bytes,
                source: found.source,
            })
            .collect(),
        module: ModuleCheck {
            loaded: found.module.is_loaded,
            fits: found.module.fits.is_ok(),
            reason: found.module.fits.err(),
            headers: found.module.has_headers,
            rust_metadata: found.module.has_rust,
        },
        artifacts: ArtifactsCheck {
            present: found.described.present,
            missing: found.described.missing,
            remarks: found.described.remarks,
        },
        read_bytes_per_s: match &found.read {
            Some(Ok(read)) => Some(read.rate.bytes_per_s()),
            Some(Err(_)) | None => None,
        },
        destination: destination(&found.destination),
    })
}

fn source(tried: Tried) -> SourceCheck {
    let works = tried.outcome.is_ok();
    let (Ok(detail) | Err(detail)) = tried.outcome;
    SourceCheck {
        name: tried.name,
        works,
        detail,
    }
}

fn destination(found: &Destination) -> DestinationCheck {
    match found {
        Destination::Folder(folder) => DestinationCheck {
            kind: PlaceKind::Folder,
            name: folder.path.to_string_lossy().into_owned(),
            free_bytes: folder.free.map(|free| free.get()),
            needed_bytes: Some(folder.needed.get()),
            bytes_per_s: match &folder.rate {
                Some(Ok(rate)) => Some(rate.bytes_per_s()),
                Some(Err(_)) | None => None,
            },
        },
        Destination::Receiver { address, line } => DestinationCheck {
            kind: PlaceKind::Receiver,
            name: address.clone(),
            free_bytes: None,
            needed_bytes: None,
            bytes_per_s: match line {
                Ok(rate) => rate.map(|rate| rate.bytes_per_s()),
                Err(_) => None,
            },
        },
        Destination::Store { host, .. } => DestinationCheck {
            kind: PlaceKind::Store,
            name: host.clone(),
            free_bytes: None,
            needed_bytes: None,
            bytes_per_s: None,
        },
    }
}

/// The command that acquires the memory as it was examined, and with the module if it fits.
fn command(args: &DoctorArgs, found: &Readiness) -> String {
    let mut words = vec!["linpmem-dump".to_owned()];
    let has_module = found.module.is_loaded || found.is_crashed;
    match &args.driver {
        DriverSpec::Never if !has_module && found.module.fits.is_ok() => {
            words.push("--driver fit".to_owned());
        }
        DriverSpec::Never => {}
        DriverSpec::Auto => words.push("--driver auto".to_owned()),
        DriverSpec::Fit => words.push("--driver fit".to_owned()),
        DriverSpec::File(path) => words.push(format!("--driver {}", quoted(path))),
    }
    if args.include_reserved {
        words.push("--include-reserved".to_owned());
    }
    match (&found.destination, &args.to) {
        (Destination::Folder(folder), _) => {
            let name = format!("{}.core", found.host.hostname);
            words.push(quoted(&folder.path.join(name)));
        }
        // A file's name is no secret.
        (_, Some(to)) if to.starts_with('@') => {
            words.push(format!("--to {}", word(OsStr::new(to))));
        }
        (_, Some(_)) => words.push("--to ADDRESS".to_owned()),
        // The variable has it.
        (_, None) => {}
    }
    words.join(" ")
}
