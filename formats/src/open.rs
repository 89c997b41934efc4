// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening an image, whatever it is.

use crate::kdump::flattened;
use crate::{
    DETECT_BYTES, Detected, FileSource, Format, ImageReader, ReadAt, aff4, avml, detect, elf,
    frames, kdump, lime,
};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The bytes of an image, out of the compression around it.
#[derive(Clone)]
#[non_exhaustive]
pub struct ImageBytes {
    /// The bytes; offsets are those of the image before compression.
    pub bytes: Arc<dyn ReadAt>,
    /// Whether there is a compression around them.
    pub compressed: bool,
}

/// A file that is no image, or none that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The compression around it is damaged or of a kind that cannot be read
    /// from the middle.
    #[error(transparent)]
    Frames(#[from] frames::Error),
    /// A damaged ELF core.
    #[error(transparent)]
    Elf(#[from] elf::Error),
    /// A damaged LiME or AVML image.
    #[error(transparent)]
    Lime(#[from] lime::Error),
    /// A damaged kdump-compressed image.
    #[error(transparent)]
    Kdump(#[from] kdump::Error),
    /// A damaged flattened dump.
    #[error(transparent)]
    Flattened(#[from] flattened::Error),
    /// A damaged AFF4 volume.
    #[error(transparent)]
    Aff4(#[from] aff4::Error),
    /// A format that is known but not read.
    #[error("this is an image in the format {0}, which is not read here")]
    Unsupported(Format),
    /// Compressed with something else than zstd, LZ4 or Snappy.
    #[error("this is compressed with {0}: decompress it first")]
    Compressed(&'static str),
    /// A compressed file in a compressed file.
    #[error("this is compressed twice: decompress it once first (`zstd -d`, `lz4 -d`)")]
    CompressedTwice,
    /// No magic number: a raw image, or no image.
    #[error(
        "this has no magic number. If it is a raw image, its addresses must come from elsewhere: \
         from its manifest, or from saying that it is padded"
    )]
    Unknown,
}

/// Opens the file at `path` and sees through a compression around it.
///
/// # Errors
/// If the file cannot be read, or is compressed in a way that cannot be read
/// from the middle.
pub fn open_bytes(path: &Path) -> Result<ImageBytes, OpenError> {
    let file = FileSource::open(path)?;
    let compressed = matches!(magic(&file)?, Some(Detected::Frames));
    let bytes: Arc<dyn ReadAt> = if compressed {
        Arc::new(frames::Reader::new(file)?)
    } else {
        Arc::new(file)
    };
    Ok(ImageBytes { bytes, compressed })
}

/// Opens the image at `path`, which must be in a format that tells its
/// addresses. For raw images see [`open_bytes`] and [`crate::raw::Reader`].
///
/// # Errors
/// If the file cannot be read, is damaged, or is in no format that is read here.
pub fn open_image(path: &Path) -> Result<Box<dyn ImageReader>, OpenError> {
    open_reader(open_bytes(path)?.bytes)
}

/// Opens the image in `bytes`, like [`open_image`]. A compression around it is
/// not seen through.
///
/// # Errors
/// If they cannot be read, are damaged, or are in no format that is read here.
pub fn open_reader<S: ReadAt + 'static>(bytes: S) -> Result<Box<dyn ImageReader>, OpenError> {
    match magic(&bytes)? {
        Some(Detected::Image(Format::Elf)) => Ok(Box::new(elf::Reader::new(bytes)?)),
        Some(Detected::Image(Format::Lime)) => Ok(Box::new(lime::Reader::new(bytes)?)),
        Some(Detected::Image(Format::Avml)) => Ok(Box::new(avml::Reader::new(bytes)?)),
        Some(Detected::Image(Format::Kdump)) => Ok(Box::new(kdump::Reader::new(bytes)?)),
        Some(Detected::Image(Format::Flattened)) => {
            let bytes: Arc<dyn ReadAt> = Arc::new(flattened::Reader::new(bytes)?);
            match magic(&bytes)? {
                Some(Detected::Image(Format::Flattened)) => Err(flattened::Error::Twice.into()),
                _ => open_reader(bytes),
            }
        }
        Some(Detected::Image(Format::Aff4)) => {
            Ok(Box::new(aff4::Reader::open(vec![Arc::new(bytes)])?))
        }
        Some(Detected::Image(other)) => Err(OpenError::Unsupported(other)),
        Some(Detected::Frames) => Err(OpenError::CompressedTwice),
        Some(Detected::Compressed(program)) => Err(OpenError::Compressed(program)),
        None => Err(OpenError::Unknown),
    }
}

fn magic(bytes: &impl ReadAt) -> io::Result<Option<Detected>> {
    let mut head = [0; DETECT_BYTES];
    let len = usize::try_from(bytes.len()).unwrap_or(usize::MAX);
    let (head, _) = head.split_at_mut(len.min(DETECT_BYTES));
    bytes.read_exact_at(0, head)?;
    Ok(detect(head))
}
