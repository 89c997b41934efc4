// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a received image.

use super::growing::Growing;
use super::name::Names;
use super::standing::Standing;
use super::{MOST_PLANNED, refused};
use crate::sink::{Limits, PartialError, PartialFile, check_space, free_space};
use linpmem_manifest::paths::{
    artifacts_of, checksum_of, decrypted_of, encryption_of, manifest_of, partial_of, receipt_of,
    standing_of,
};
use linpmem_phys::PhysLen;
use linpmem_phys::num::len_bytes;
use linpmem_remote::{Hello, Refusal, RunId, SignedReceipt, Stream};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes that are written between two looks at the free space.
const LOOK_BYTES: u64 = 8 << 20;

/// More than a receipt ever has.
const MOST_RECEIPT_BYTES: u64 = 64 << 10;

/// The files of a run under their working names.
pub(super) struct Files {
    pub(super) image: Growing,
    pub(super) manifest: Growing,
    pub(super) artifacts: Option<Growing>,
    /// Where [`Standing`] is kept.
    pub(super) standing: File,
    standing_path: PathBuf,
    run: RunId,
    next: u64,
    limits: Limits,
    since_look: u64,
}

/// What there is of a run.
pub(super) enum Found {
    /// It is complete.
    Done(Box<SignedReceipt>),
    /// It begins, or goes on.
    Running(Box<Files>),
}

impl Files {
    /// The files of the run that `hello` announces, in `folder`.
    pub(super) fn open(
        folder: &Path,
        names: &Names,
        hello: &Hello,
        limits: Limits,
    ) -> Result<Found, Refusal> {
        for name in names.all() {
            let image = folder.join(name);
            if let Some(receipt) = receipt(&receipt_of(&image), hello.run) {
                return Ok(Found::Done(Box::new(receipt)));
            }
            let standing_path = standing_of(&image);
            if let Ok(file) = open_own(&standing_path) {
                match Standing::read(&file).filter(|standing| standing.run == hello.run) {
                    Some(standing) => {
                        return Self::resume(&image, file, standing, limits)
                            .map(|files| Found::Running(Box::new(files)))
                            .map_err(|error| refused("what arrived before cannot be used", error));
                    }
                    // Another run has this name.
                    None => continue,
                }
            }
            let beside = [manifest_of, checksum_of, encryption_of].map(|of| of(&image));
            if beside.iter().any(|path| path.symlink_metadata().is_ok()) {
                continue;
            }
            match Self::create(&image, hello, limits) {
                Err(Creating::Taken) => {}
                Err(Creating::Refused(refusal)) => return Err(refusal),
                Ok(files) => return Ok(Found::Running(Box::new(files))),
            }
        }
        Err(Refusal::new("all names for the image are taken"))
    }

    fn create(image: &Path, hello: &Hello, limits: Limits) -> Result<Self, Creating> {
        let is_compressed = |path: &Path| {
            let path = decrypted_of(path);
            let ending = path.extension().and_then(|ending| ending.to_str());
            !matches!(ending, Some("core" | "raw" | "padded" | "lime"))
        };
        if hello.planned_bytes > MOST_PLANNED.get() {
            return Err(Creating::Refused(Refusal::new(format!(
                "no machine has {} of memory",
                PhysLen::new(hello.planned_bytes)
            ))));
        }
        match check_space(image, hello.planned_bytes, limits) {
            // How much it will be is not known.
            Err(_) if is_compressed(image) => {}
            checked => checked.map_err(|error| Creating::Refused(refused("the image", error)))?,
        }
        let partial = partial_of(image);
        let create = |path: &Path, partial: PathBuf| {
            PartialFile::create(path, partial, false).map_err(|error| match error {
                PartialError::Exists { .. } | PartialError::Leftover { .. } => Creating::Taken,
                error => Creating::Refused(refused("the image", error)),
            })
        };
        let file = create(image, partial.clone())?;
        let manifest = create(&manifest_of(image), manifest_of(&partial))?;
        let standing_path = standing_of(image);
        // Under its final name: it is needed as long as the others are not complete.
        let standing = create(&partial_of(&standing_path), standing_path.clone())?;
        let failed = |error: io::Error| Creating::Refused(refused("the image", error));
        let kept = standing.file().try_clone().map_err(failed)?;
        let new = |partial| Growing::new(partial, 0).map_err(failed);
        let files = Self {
            image: new(file)?,
            manifest: new(manifest)?,
            artifacts: None,
            standing: kept,
            standing_path,
            run: hello.run,
            next: 0,
            limits,
            since_look: LOOK_BYTES,
        };
        // From now on a receiver that is started anew knows whose files these are.
        files.now().write(standing.file(), 0).map_err(failed)?;
        standing.leave();
        Ok(files)
    }

    fn resume(
        image: &Path,
        standing: File,
        at: Standing,
        limits: Limits,
    ) -> Result<Self, ResumeError> {
        let partial = partial_of(image);
        let open = |path: PathBuf, working: PathBuf, length| {
            let file = PartialFile::resume(&path, working)?;
            Growing::new(file, length).map_err(|source| ResumeError::Io { path, source })
        };
        Ok(Self {
            image: open(image.to_path_buf(), partial.clone(), at.image_bytes)?,
            manifest: open(manifest_of(image), manifest_of(&partial), at.manifest_bytes)?,
            artifacts: at
                .artifacts_bytes
                .map(|length| open(artifacts_of(image), artifacts_of(&partial), length))
                .transpose()?,
            standing,
            standing_path: standing_of(image),
            run: at.run,
            next: at.next,
            limits,
            since_look: LOOK_BYTES,
        })
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn image_path(&self) -> &Path {
        self.image.partial.path()
    }

    pub(super) fn image_name(&self) -> String {
        let name = self.image_path().file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    pub(super) const fn image_bytes(&self) -> u64 {
        self.image.length()
    }

    /// What is there now.
    pub(super) fn now(&self) -> Standing {
        Standing {
            run: self.run,
            next: self.next,
            image_bytes: self.image.length(),
            manifest_bytes: self.manifest.length(),
            artifacts_bytes: self.artifacts.as_ref().map(Growing::length),
        }
    }

    pub(super) fn data(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Refusal> {
        self.check(stream, len_bytes(bytes), len_bytes(bytes))?;
        self.of(stream)?
            .data(bytes)
            .map_err(|error| refused("writing what was received", error))?;
        self.next += 1;
        Ok(())
    }

    pub(super) fn zeros(&mut self, stream: Stream, len: u64) -> Result<(), Refusal> {
        // A hole takes nothing, and could make a file that takes for ever to be read.
        if stream != Stream::Image {
            return Err(Refusal::new("only an image has holes"));
        }
        self.check(stream, len, 0)?;
        self.of(stream)?
            .zeros(len)
            .map_err(|error| refused("writing what was received", error))?;
        self.next += 1;
        Ok(())
    }

    fn of(&mut self, stream: Stream) -> Result<&mut Growing, Refusal> {
        match stream {
            Stream::Image => Ok(&mut self.image),
            Stream::Manifest => Ok(&mut self.manifest),
            Stream::Artifacts => {
                if self.artifacts.is_none() {
                    let image = self.image.partial.path();
                    let path = artifacts_of(image);
                    let working = artifacts_of(self.image.partial.partial());
                    let file = PartialFile::create(&path, working, false)
                        .map_err(|error| refused("the artifacts", error))?;
                    let growing = Growing::new(file, 0);
                    self.artifacts =
                        Some(growing.map_err(|error| refused("the artifacts", error))?);
                }
                let none = || Refusal::new("the artifacts have no file");
                self.artifacts.as_mut().ok_or_else(none)
            }
        }
    }

    /// Whether `stream` may grow by `len` bytes, which take `space` on the disk.
    fn check(&mut self, stream: Stream, len: u64, space: u64) -> Result<(), Refusal> {
        if let (Stream::Image, Some(limit)) = (stream, self.limits.max_size) {
            if self.image.length().saturating_add(len) > limit.get() {
                return Err(Refusal::new(format!(
                    "the image is longer than {limit}, the --max-size of the receiver"
                )));
            }
        }
        self.since_look = self.since_look.saturating_add(space);
        if self.since_look < LOOK_BYTES {
            return Ok(());
        }
        self.since_look = 0;
        let free = free_space(crate::sink::folder_of(self.image.partial.path()))
            .map_err(|error| refused("looking at the free space", error))?;
        match free {
            Some(free) if free.get() < self.limits.min_free.get().saturating_add(space) => {
                Err(Refusal::new(format!(
                    "the receiver's disk is full: {free} are free, and {} must stay so (its \
                     --min-free); what arrived is kept there",
                    self.limits.min_free
                )))
            }
            _ => Ok(()),
        }
    }

    /// Leaves everything as it is, to be resumed; a run that has brought nothing leaves nothing.
    pub(super) fn leave(self, is_begun: bool) {
        if is_begun {
            self.image.partial.leave();
            self.manifest.partial.leave();
            self.artifacts.map(|artifacts| artifacts.partial.leave());
        } else {
            // If it cannot be removed, the next run gets another name.
            let _ = fs::remove_file(&self.standing_path);
        }
    }

    /// Gives the files their names, the image last, with the sum of its file, and the receipt.
    pub(super) fn commit(self, confirmed: &super::confirm::Confirmed) -> Result<(), PartialError> {
        let image = self.image.partial.path().to_path_buf();
        self.artifacts
            .map_or(Ok(()), |artifacts| artifacts.partial.commit())?;
        self.manifest.partial.commit()?;
        if let Some(text) = &confirmed.encryption {
            PartialFile::write(&encryption_of(&image), text, false)?;
        }
        crate::sidecar::write_checksum(&image, confirmed.image_sha256, false)?;
        PartialFile::write(&receipt_of(&image), &confirmed.signed, false)?;
        self.image.partial.commit()?;
        // The receipt says the same from now on.
        let _ = fs::remove_file(&self.standing_path);
        Ok(())
    }

    /// Leaves an image that is not whole under its working name, for good.
    pub(super) fn keep_incomplete(self, confirmed: &super::confirm::Confirmed) -> PathBuf {
        let path = self.image.partial.partial().to_path_buf();
        if let Some(text) = &confirmed.encryption {
            // The image is of use without it.
            let _ = PartialFile::write(&encryption_of(&path), text, true);
        }
        let _ = fs::remove_file(&self.standing_path);
        self.leave(true);
        path
    }
}

/// Why an image did not get a name.
enum Creating {
    /// There is another file.
    Taken,
    Refused(Refusal),
}

/// A run that cannot go on.
#[derive(Debug, thiserror::Error)]
enum ResumeError {
    #[error(transparent)]
    File(#[from] PartialError),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// A file of this program's, opened for what it was made for.
fn open_own(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(open(path, flags, Mode::empty())?);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// The receipt at `path`, if it is for `run`.
fn receipt(path: &Path, run: RunId) -> Option<SignedReceipt> {
    let mut bytes = Vec::new();
    let file = open_own(path).ok()?;
    file.take(MOST_RECEIPT_BYTES).read_to_end(&mut bytes).ok()?;
    let signed: SignedReceipt = serde_json::from_slice(&bytes).ok()?;
    // Written by this program: its own signature is for others.
    (signed.claims()?.run == run).then_some(signed)
}
