// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the manifest goes while a run goes on: a file, or the receiver of the image.

use crate::encryption::{Encrypted, EncryptedWriter};
use crate::hash::sha256_of;
use crate::parts::remote::{Sender, Stream};
use crate::pipeline::CHUNK_BYTES;
use crate::remote::{ManifestSum, Remote};
use crate::sink::PartialFile;
use crate::spool::Scratch;
use bytes::Bytes;
use linpmem_formats::ImagePlan;
use linpmem_manifest::{Footer, ManifestWriter};
use linpmem_phys::num::{len_bytes, u64_as_usize, usize_as_u64};
use rustix::fs::FallocateFlags;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::sync::Arc;

/// Room for the header with /proc/iomem, VMCOREINFO and the like, for some unreadable
/// pages, and for the footer.
const HEADER_BYTES: u64 = 256 << 10;
/// Room for a chunk's line: 95 bytes in an uncompressed image, 120 with its frame in a
/// compressed one, more only if offsets or times have more digits than those of 10 TiB.
/// Zero chunks take less.
const CHUNK_LINE_BYTES: u64 = 128;
/// Room for a range's first and last line.
const RANGE_LINES_BYTES: u64 = 320;

/// Roughly the size of the manifest of `plan`, without unreadable pages.
pub(crate) fn manifest_bytes(plan: &ImagePlan) -> u64 {
    let ranges = usize_as_u64(plan.ranges().len());
    let chunks = plan.total().get() / usize_as_u64(CHUNK_BYTES) + 2 * ranges;
    CHUNK_LINE_BYTES * chunks + RANGE_LINES_BYTES * ranges + HEADER_BYTES
}

/// The manifest of a run.
pub(crate) enum ManifestOutput {
    /// A file under its working name.
    Disk(PartialFile),
    /// In memory, until all of it is stored.
    Memory(File),
    /// A file under its working name, encrypted.
    Encrypted {
        partial: PartialFile,
        to: Arc<Encrypted>,
        /// In memory, if the image has a copy of the manifest in it.
        copy: Option<File>,
    },
    /// Each line goes to the receiver as it is written.
    Remote {
        sender: Arc<Sender>,
        /// Whom they are encrypted to on this side, if they are.
        to: Option<Arc<Encrypted>>,
        /// In memory, if the image has a copy of the manifest in it.
        copy: Option<File>,
    },
}

/// Takes the manifest's lines.
pub(crate) struct ManifestLines {
    file: Option<File>,
    elsewhere: Elsewhere,
    /// Whether the first line is where it will be found if the run is killed.
    is_begun: bool,
    length: u64,
}

/// Where lines go besides a file that has them as they are.
enum Elsewhere {
    Nowhere,
    Encrypted(EncryptedWriter<File>, Arc<Encrypted>),
    Sent(SentLines),
    SentEncrypted(EncryptedWriter<SentLines>, Arc<Encrypted>),
}

/// The manifest on its way to a receiver, as it arrives there.
struct SentLines {
    sender: Arc<Sender>,
    hasher: Sha256,
    length: u64,
}

impl ManifestOutput {
    /// A manifest in a file, encrypted if the others are.
    ///
    /// # Errors
    /// If there is no memory for a copy, where the image needs one.
    pub(crate) fn file_in(
        partial: PartialFile,
        encrypted: Option<&Arc<Encrypted>>,
        is_embedded: bool,
    ) -> io::Result<Self> {
        Ok(match encrypted {
            None => Self::Disk(partial),
            Some(to) => Self::Encrypted {
                partial,
                to: Arc::clone(to),
                copy: copy(is_embedded)?,
            },
        })
    }

    /// A manifest that goes to the receiver of the image.
    ///
    /// # Errors
    /// If there is no memory for a copy, where the image needs one.
    pub(crate) fn remote(
        remote: &Remote,
        encrypted: Option<&Arc<Encrypted>>,
        is_embedded: bool,
    ) -> io::Result<Self> {
        Ok(Self::Remote {
            sender: Arc::clone(remote.sender()),
            to: encrypted.cloned(),
            copy: copy(is_embedded)?,
        })
    }

    /// Its file under its working name; `None` if it has none here.
    pub(crate) fn partial(&self) -> Option<&PartialFile> {
        match self {
            Self::Disk(partial) | Self::Encrypted { partial, .. } => Some(partial),
            Self::Memory(_) | Self::Remote { .. } => None,
        }
    }

    /// The same, for good.
    pub(crate) fn into_partial(self) -> Option<PartialFile> {
        match self {
            Self::Disk(partial) | Self::Encrypted { partial, .. } => Some(partial),
            Self::Memory(_) | Self::Remote { .. } => None,
        }
    }

    /// The manifest's file; `None` if there is none to be read.
    fn file(&self) -> Option<&File> {
        match self {
            Self::Disk(partial) => Some(partial.file()),
            Self::Memory(file) => Some(file),
            Self::Encrypted { copy, .. } | Self::Remote { copy, .. } => copy.as_ref(),
        }
    }

    /// The file again, to be read.
    pub(crate) fn reading(&self) -> io::Result<Option<File>> {
        self.file().map(File::try_clone).transpose()
    }

    /// Begins what goes elsewhere.
    fn elsewhere(&self) -> io::Result<Elsewhere> {
        Ok(match self {
            Self::Disk(_) | Self::Memory(_) => Elsewhere::Nowhere,
            Self::Encrypted { partial, to, .. } => {
                let file = partial.file().try_clone()?;
                let out = EncryptedWriter::new(file, &to.recipients)?;
                Elsewhere::Encrypted(out, Arc::clone(to))
            }
            Self::Remote { sender, to, .. } => {
                let sent = SentLines::new(sender);
                match to {
                    None => Elsewhere::Sent(sent),
                    Some(to) => Elsewhere::SentEncrypted(
                        EncryptedWriter::new(sent, &to.recipients)?,
                        Arc::clone(to),
                    ),
                }
            }
        })
    }

    /// Begins the lines of the manifest of `plan`.
    pub(crate) fn lines(&self, plan: &ImagePlan) -> io::Result<ManifestLines> {
        if let Some(partial) = self.partial() {
            reserve(partial.file(), plan);
        }
        Ok(ManifestLines {
            file: self.reading()?,
            elsewhere: self.elsewhere()?,
            is_begun: false,
            length: 0,
        })
    }

    /// Brings what was written so far to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Disk(partial) | Self::Encrypted { partial, .. } => partial.file().sync_data(),
            // The receiver says what it has.
            Self::Memory(_) | Self::Remote { .. } => Ok(()),
        }
    }
}

/// A file in memory for a copy, if there is to be one.
fn copy(is_embedded: bool) -> io::Result<Option<File>> {
    is_embedded.then(|| Scratch::Memory.file()).transpose()
}

/// Reserves disk space for the manifest, so that it can still be finished when the image
/// has filled the disk. Goes on without if the file system cannot reserve space.
fn reserve(manifest: &File, plan: &ImagePlan) {
    let bytes = manifest_bytes(plan);
    let _ = rustix::fs::fallocate(manifest, FallocateFlags::KEEP_SIZE, 0, bytes);
}

/// Ends the manifest with `footer`. Its sum is known if it was sent away.
pub(crate) fn end(
    manifest: ManifestWriter<BufWriter<ManifestLines>>,
    footer: &Footer,
) -> io::Result<Option<ManifestSum>> {
    let out = manifest.finish(footer)?;
    let lines = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    if let Some(file) = &lines.file {
        // Releases what was reserved and not used.
        file.set_len(lines.length)?;
        file.sync_all()?;
    }
    lines.elsewhere.end()
}

impl Elsewhere {
    /// Ends what went there.
    fn end(self) -> io::Result<Option<ManifestSum>> {
        match self {
            Self::Nowhere => Ok(None),
            Self::Encrypted(out, to) => {
                // Nobody else sets it.
                let _ = to.manifest.set(out.finish_file()?);
                Ok(None)
            }
            Self::Sent(sent) => Ok(Some(sent.sum())),
            Self::SentEncrypted(out, to) => {
                let (sent, sum) = out.finish()?;
                let _ = to.manifest.set(sum);
                Ok(Some(sent.sum()))
            }
        }
    }

    /// Whether what is written waits here until a chunk of encryption is full.
    const fn is_encrypted(&self) -> bool {
        matches!(self, Self::Encrypted(..) | Self::SentEncrypted(..))
    }
}

impl Write for Elsewhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Nowhere => Ok(bytes.len()),
            Self::Encrypted(out, _) => out.write(bytes),
            Self::Sent(out) => out.write(bytes),
            Self::SentEncrypted(out, _) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SentLines {
    fn new(sender: &Arc<Sender>) -> Self {
        Self {
            sender: Arc::clone(sender),
            hasher: Sha256::new(),
            length: 0,
        }
    }

    fn sum(self) -> ManifestSum {
        ManifestSum {
            length: self.length,
            sha256: sha256_of(self.hasher),
        }
    }
}

impl Write for SentLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sender
            .bytes(Stream::Manifest, &Bytes::copy_from_slice(bytes))
            .map_err(io::Error::other)?;
        self.hasher.update(bytes);
        self.length += len_bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for ManifestLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
        }
        self.elsewhere.write_all(bytes)?;
        self.length += len_bytes(bytes);
        Ok(bytes.len())
    }

    /// The first line has what was planned, without which nobody knows the addresses of a raw
    /// image. Blanks before the second one fill the chunk of encryption that it ends in, and one
    /// more makes that chunk leave.
    fn flush(&mut self) -> io::Result<()> {
        if self.is_begun || !self.elsewhere.is_encrypted() {
            return Ok(());
        }
        self.is_begun = true;
        let chunk = linpmem_encryption::CHUNK_BYTES;
        let used = u64_as_usize(self.length % usize_as_u64(chunk));
        self.elsewhere.write_all(&vec![b' '; chunk - used + 1])
    }
}

/// Encrypts a manifest that is complete, in memory.
///
/// # Errors
/// If there is no memory for it.
pub(crate) fn encrypted(manifest: &File, to: &Encrypted) -> io::Result<File> {
    let file = Scratch::Memory.file()?;
    let mut out = EncryptedWriter::new(file.try_clone()?, &to.recipients)?;
    let mut manifest = manifest.try_clone()?;
    manifest.rewind()?;
    io::copy(&mut manifest, &mut out)?;
    // Nobody else sets it.
    let _ = to.manifest.set(out.finish_file()?);
    Ok(file)
}
