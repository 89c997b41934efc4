// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump mount`: an image as a folder.

mod archive;
mod kernel;
mod texts;

use super::info;
use crate::args::{InfoArgs, MountArgs};
use crate::commands::machine_in_image::{InspectError, Opened};
use crate::text::mount::MountDocument;
use crate::text::shell;
use archive::ArtifactArchive;
use kernel::{Documents, MachineInImage};
use linpmem_capture::artifacts::Artifacts;
use linpmem_capture::source::{DescribedImage, ImageSourceError, describe_image};
use linpmem_capture::stop::Stop;
use linpmem_cli::{Document, ExitStatus, Stderr, StdoutError};
use linpmem_formats::{ImagePlan, ImageReader, PlannedRange, WriteError};
use linpmem_mount::{ArtifactFile, Contents, Fixed, Live, MountError, Mounted, ReadArtifact, Text};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How soon a signal is noticed.
const STEP: Duration = Duration::from_millis(100);

/// An image that cannot be shown as a folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum MountCommandError {
    /// The image does not open.
    #[error("{path}: {source}")]
    Image {
        path: PathBuf,
        source: ImageSourceError,
    },
    /// The image would be out of sight.
    #[error("{image} is in {folder}, where nobody could read it: name an empty folder elsewhere")]
    Inside { image: PathBuf, folder: PathBuf },
    /// Nobody can look into it.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The core cannot be laid out.
    #[error("{path}: memory.elf: {source}")]
    Core { path: PathBuf, source: WriteError },
    /// Signals cannot be caught, so that nobody would unmount it.
    #[error("catching signals: {0}")]
    Signals(io::Error),
    /// Requests can no longer be received.
    #[error("receiving requests from the kernel: {0}; it is unmounted")]
    Requests(io::Error),
    /// Nobody learns that it is mounted.
    #[error(transparent)]
    Stdout(#[from] StdoutError),
}

/// Mounts the image of `args`, and answers until somebody unmounts it, or a signal asks for it.
///
/// # Errors
/// If the image does not open, or cannot be mounted there.
pub fn mount(
    args: &MountArgs,
    stdout: &mut dyn Write,
    stderr: Stderr,
) -> Result<ExitStatus, MountCommandError> {
    check(args)?;
    let path = &args.image;
    let reading = args.raw.with(args.reading.reading());
    let DescribedImage {
        image,
        map,
        machine,
        unreadable,
        ..
    } = describe_image(path, &reading).map_err(|source| MountCommandError::Image {
        path: path.clone(),
        source,
    })?;
    let image: Arc<dyn ImageReader> = Arc::from(image);
    for warning in image.warnings() {
        stderr.warn(warning);
    }
    let artifacts = Artifacts::read(path, &args.reading.reading());
    let (live, reason) = match find_kernel(path, &image, &artifacts) {
        Ok(live) => (Some(live), None),
        Err(reason) => (None, Some(reason)),
    };
    let mut named = vec![
        match info::info(&info_args(args)) {
            Ok(document) => texts::info(document),
            // A manifest that is damaged does not keep memory from being read.
            Err(error) => Err(format!("info.json is left out: {error}")),
        },
        texts::unreadable(image.ranges(), &unreadable),
    ];
    if let Some(reason) = &reason {
        stderr.warn(&format!("the kernel is not shown: {reason}"));
        named.push(Ok(Text {
            name: "kernel-not-found.txt",
            content: format!("{reason}\n").into_bytes(),
        }));
    }
    let mut kept = Vec::new();
    for text in named {
        match text {
            Ok(text) => kept.push(text),
            Err(too_long) => stderr.warn(&too_long),
        }
    }
    let is_cut_off = image.truncation().is_some();
    // An image without any memory has no core.
    let core = ImagePlan::new(PlannedRange::from_map(&map), machine).ok();
    let fixed = Fixed::new(Contents {
        image,
        map,
        core,
        texts: kept,
        artifacts: artifacts.ok().flatten().map(|artifacts| {
            let archive = ArtifactArchive::new(path.clone(), args.reading.clone());
            let archive: Box<dyn ReadArtifact> = Box::new(archive);
            (listed(&artifacts), archive)
        }),
        has_kernel: live.is_some(),
    })
    .map_err(|source| MountCommandError::Core {
        path: path.clone(),
        source,
    })?;
    // Until here, a signal ends the program, as there is nothing to unmount.
    let stop = Stop::on_signals().map_err(MountCommandError::Signals)?;
    let mounted = Mounted::new(fixed, live, &args.folder, &shown(path), time_of(path))?;
    let folder = std::path::absolute(&args.folder).unwrap_or_else(|_| args.folder.clone());
    let document = MountDocument {
        image: path.to_string_lossy().into_owned(),
        folder: args.folder.to_string_lossy().into_owned(),
        unmount_command: shell::command("umount", &folder),
        kernel_not_found: reason,
    };
    let said = document.print(args.json, stdout);
    let said = said.and_then(|()| Ok(stdout.flush()?));
    serve(&mounted, &stop, said)?;
    Ok(match is_cut_off {
        true => ExitStatus::Unreadable,
        false => ExitStatus::Complete,
    })
}

/// Waits for the end.
fn serve(
    mounted: &Mounted,
    stop: &Stop,
    said: Result<(), StdoutError>,
) -> Result<(), MountCommandError> {
    // Nobody would learn where it is.
    if let Err(error) = said {
        mounted.unmount()?;
        return Err(error.into());
    }
    loop {
        match mounted.wait(STEP) {
            Some(ended) => return ended.map_err(MountCommandError::Requests),
            None if stop.is_raised() => return Ok(mounted.unmount()?),
            None => {}
        }
    }
}

/// Checks the folder before anything is opened, which may take its time.
fn check(args: &MountArgs) -> Result<(), MountCommandError> {
    let paths = [&args.image, &args.folder].map(|path| path.canonicalize());
    if let [Ok(image), Ok(folder)] = paths {
        if folder.is_dir() && image.starts_with(&folder) {
            return Err(MountCommandError::Inside {
                image: args.image.clone(),
                folder: args.folder.clone(),
            });
        }
    }
    Ok(Mounted::check(&args.folder)?)
}

/// The thread that looks for things in the kernel, or why there is none.
fn find_kernel(
    path: &Path,
    image: &Arc<dyn ImageReader>,
    artifacts: &Result<Option<Artifacts>, linpmem_capture::artifacts::ArtifactsError>,
) -> Result<Live, String> {
    let opened = match artifacts {
        Ok(artifacts) => Opened::new(path, Arc::clone(image), artifacts.as_ref()),
        Err(error) => return Err(error.to_string()),
    };
    let opened = opened.map_err(|error: InspectError| error.to_string())?;
    Live::start(Box::new(MachineInImage(opened)), Box::new(Documents))
}

fn listed(artifacts: &Artifacts) -> Vec<ArtifactFile> {
    let entries = artifacts.entries().iter();
    entries
        .map(|entry| ArtifactFile {
            name: entry.name.clone(),
            size: entry.length,
        })
        .collect()
}

fn info_args(args: &MountArgs) -> InfoArgs {
    InfoArgs {
        image: args.image.clone(),
        manifest: None,
        reading: args.reading.clone(),
        raw: args.raw.clone(),
        json: true,
    }
}

/// What lists of mounts show.
fn shown(path: &Path) -> String {
    // Somebody else looks at it from another folder.
    let whole = path.canonicalize();
    let whole = whole.as_deref().unwrap_or(path);
    whole.to_string_lossy().into_owned()
}

/// The time that files have.
fn time_of(path: &Path) -> SystemTime {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.unwrap_or(SystemTime::UNIX_EPOCH)
}
