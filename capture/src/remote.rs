// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image that goes to another machine, and leaves no file on this one.

use crate::meter::Meter;
use crate::parts::remote::{
    Address, Finish, Hello, LineState, Patience, PublicKey, Receipt, RunId, SendError, Sender,
    Stream,
};
use crate::stop::Stop;
use bytes::Bytes;
use linpmem_manifest::Sha256Sum;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where an image is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSpec {
    /// The receiver.
    pub address: Address,
    /// For how long a connection that broke is tried again.
    pub give_up: Duration,
}

/// Where an image went, and what its receiver confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The receiver, without the secret.
    pub receiver: String,
    /// Its key, which signed the receipt.
    pub key: PublicKey,
    /// What it has; `None` if it has confirmed nothing. Its strings are the receiver's.
    pub receipt: Option<Receipt>,
}

/// An image on its way.
pub(crate) struct Remote {
    sender: Arc<Sender>,
    image: PathBuf,
    address: Address,
}

/// A manifest that is complete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ManifestSum {
    pub(crate) length: u64,
    pub(crate) sha256: Sha256Sum,
}

/// A remote image that was written so far.
pub(crate) struct Sent<'a> {
    pub(crate) image_bytes: u64,
    /// The manifest, once it has its end.
    pub(crate) manifest: ManifestSum,
    pub(crate) artifacts: Option<&'a File>,
    pub(crate) is_whole: bool,
    /// Of an encrypted image, what is known without a key.
    pub(crate) encryption: Option<String>,
}

/// An image that its receiver did not confirm.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// It could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The receiver's name for it is none.
    #[error("the receiver's name for the image is no file name")]
    Name,
    /// The receiver has something else.
    #[error(
        "the receiver has another manifest than was sent: nothing there can be trusted; acquire \
         again, to another receiver"
    )]
    Differs,
    /// The artifacts cannot be read again.
    #[error("reading the artifacts: {0}")]
    Artifacts(#[source] io::Error),
    /// The machine has no random numbers.
    #[error("naming the run: {0}")]
    Random(#[source] io::Error),
}

impl Remote {
    /// Announces `image` to the receiver.
    pub(crate) fn connect(
        spec: &RemoteSpec,
        image: &Image<'_>,
        stop: &Stop,
        meter: &Arc<Meter>,
    ) -> Result<Self, RemoteError> {
        let hello = Hello {
            run: RunId::generate().map_err(RemoteError::Random)?,
            host: image.host.to_owned(),
            started: image.utc.to_owned(),
            extension: image.extension.clone(),
            planned_bytes: image.planned_bytes,
        };
        let (stop, meter) = (stop.clone(), Arc::clone(meter));
        let patience = Patience {
            give_up: spec.give_up,
            is_hurried: Arc::new(move || stop.is_raised()),
            watch: Arc::new(move |state| meter.set_cut_off(state == LineState::Broken)),
        };
        let sender = Sender::connect(spec.address.clone(), hello, patience)?;
        // It is part of names that the manifest records, and is shown.
        let name = sender.image();
        let is_name = name.len() <= 255
            && !name.starts_with(['.', '-'])
            && name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
        if name.is_empty() || !is_name {
            return Err(RemoteError::Name);
        }
        Ok(Self {
            image: PathBuf::from(name),
            sender: Arc::new(sender),
            address: spec.address.clone(),
        })
    }

    /// The image's name at the receiver.
    pub(crate) fn image(&self) -> &Path {
        &self.image
    }

    pub(crate) fn sender(&self) -> &Arc<Sender> {
        &self.sender
    }

    /// Says that `sent` was all, and waits until the receiver has compared it.
    ///
    /// # Errors
    /// If it does not confirm that it has the same.
    pub(crate) fn finish(&self, sent: Sent<'_>) -> Result<Delivered, RemoteError> {
        let artifacts = sent
            .artifacts
            .map(|file| self.send_artifacts(file))
            .transpose()?;
        let (receipt, _) = self.sender.finish(&Finish {
            image_bytes: sent.image_bytes,
            manifest_bytes: sent.manifest.length,
            artifacts_bytes: artifacts,
            is_whole: sent.is_whole,
            encryption: sent.encryption,
        })?;
        if receipt.manifest_sha256 != sent.manifest.sha256.to_string() {
            return Err(RemoteError::Differs);
        }
        Ok(self.delivered(Some(receipt)))
    }

    /// Where the image went, with `receipt` for it.
    pub(crate) fn delivered(&self, receipt: Option<Receipt>) -> Delivered {
        Delivered {
            receiver: self.address.to_string(),
            key: self.address.key(),
            receipt,
        }
    }

    /// Returns how many bytes there were.
    fn send_artifacts(&self, file: &File) -> Result<u64, RemoteError> {
        const STEP_BYTES: u64 = 256 << 10;
        let length = file.metadata().map_err(RemoteError::Artifacts)?.len();
        let mut position = 0;
        while position < length {
            let mut piece = vec![0; u64_as_usize((length - position).min(STEP_BYTES))];
            file.read_exact_at(&mut piece, position)
                .map_err(RemoteError::Artifacts)?;
            position += len_bytes(&piece);
            self.sender.bytes(Stream::Artifacts, &Bytes::from(piece))?;
        }
        Ok(length)
    }
}

/// What the receiver is told of an image, and names it by.
pub(crate) struct Image<'a> {
    /// The name of its machine.
    pub(crate) host: &'a str,
    /// When the run began, as in names.
    pub(crate) utc: &'a str,
    pub(crate) extension: String,
    /// Memory that will be read.
    pub(crate) planned_bytes: u64,
}
