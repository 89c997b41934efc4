// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening an image in whichever format it is.

#[cfg(feature = "aff4")]
use crate::aff4;
#[cfg(feature = "avml")]
use crate::avml;
#[cfg(any(feature = "elf", feature = "lime", feature = "avml"))]
use crate::charged::charged;
#[cfg(feature = "elf")]
use crate::elf;
#[cfg(feature = "frames")]
use crate::frames;
#[cfg(feature = "kdump")]
use crate::kdump;
#[cfg(feature = "kdump")]
use crate::kdump::flattened;
#[cfg(feature = "lime")]
use crate::lime;
use crate::{
    Budget, DETECT_BYTES, Detected, FileSource, Foreign, Format, ImageReader, OverBudget, ReadAt,
    detect,
};
use linpmem_phys::num::u64_as_usize;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The bytes of an image, without the compression around it.
#[derive(Clone)]
#[non_exhaustive]
pub struct ImageBytes {
    /// The bytes; offsets are those of the image before compression.
    pub bytes: Arc<dyn ReadAt>,
    /// Whether the file on disk is compressed.
    pub compressed: bool,
}

/// Why a file cannot be opened as an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The compression around the image is damaged or does not allow random access.
    #[cfg(feature = "frames")]
    #[error(transparent)]
    Frames(#[from] frames::Error),
    /// The ELF core is damaged.
    #[cfg(feature = "elf")]
    #[error(transparent)]
    Elf(#[from] elf::Error),
    /// The LiME or AVML image is damaged.
    #[cfg(any(feature = "lime", feature = "avml"))]
    #[error(transparent)]
    Records(#[from] crate::records::Error),
    /// The kdump-compressed image is damaged.
    #[cfg(feature = "kdump")]
    #[error(transparent)]
    Kdump(#[from] kdump::Error),
    /// The flattened dump is damaged.
    #[cfg(feature = "kdump")]
    #[error(transparent)]
    Flattened(#[from] flattened::Error),
    /// The AFF4 volume is damaged.
    #[cfg(feature = "aff4")]
    #[error(transparent)]
    Aff4(#[from] aff4::Error),
    /// The crate was built without the Cargo feature for this format.
    #[error(
        "this is an image in the {0} format, which this build does not support: build \
         linpmem-formats with its feature `{feature}`",
        feature = .0.feature()
    )]
    Unsupported(Format),
    /// The crate was built without the Cargo feature `frames`.
    #[error(
        "this is compressed with zstd, LZ4 or Snappy, which this build does not support: \
         decompress it first, or build linpmem-formats with its feature `frames`"
    )]
    UnsupportedFrames,
    /// Compressed with something other than zstd, LZ4 or Snappy.
    #[error("this is compressed with {0}: decompress it first")]
    Compressed(&'static str),
    /// A file of memory that is read by other programs.
    #[error("{0}")]
    Foreign(Foreign),
    /// A compressed file inside a compressed file.
    #[error("this is compressed twice: decompress it once first (`zstd -d`, `lz4 -d`)")]
    CompressedTwice,
    /// Not a single byte.
    #[error("the file is empty: nothing of an image is left")]
    Empty,
    /// The image makes the reader hold too much.
    #[error(transparent)]
    Budget(#[from] OverBudget),
    /// No known magic number: a raw image, or not an image.
    #[error(
        "this has no known magic number. If it is a raw image, its addresses have to come from \
         elsewhere: keep its manifest next to it, or say that it is padded"
    )]
    Unknown,
}

/// Opens the file at `path`, looking inside a compression around it.
///
/// # Errors
/// If the file cannot be read, or its compression does not allow random access.
pub fn open_bytes(path: &Path) -> Result<ImageBytes, OpenError> {
    open_bytes_within(path, &Budget::default())
}

/// As [`open_bytes`], within `budget`.
///
/// # Errors
/// As [`open_bytes`], or if the file needs more than the budget.
pub fn open_bytes_within(path: &Path, budget: &Budget) -> Result<ImageBytes, OpenError> {
    open_content_within(Arc::new(FileSource::open(path)?), budget)
}

/// As [`open_bytes_within`], for a file whose content is `file`.
///
/// # Errors
/// As [`open_bytes_within`].
pub fn open_content_within(
    file: Arc<dyn ReadAt>,
    budget: &Budget,
) -> Result<ImageBytes, OpenError> {
    let compressed = matches!(magic(&file)?, Some(Detected::Frames));
    let bytes = if compressed {
        frames(file, budget)?
    } else {
        file
    };
    Ok(ImageBytes { bytes, compressed })
}

#[cfg(feature = "frames")]
fn frames(file: Arc<dyn ReadAt>, budget: &Budget) -> Result<Arc<dyn ReadAt>, OpenError> {
    Ok(Arc::new(frames::Reader::within(file, budget)?))
}

#[cfg(not(feature = "frames"))]
fn frames(_: Arc<dyn ReadAt>, _: &Budget) -> Result<Arc<dyn ReadAt>, OpenError> {
    Err(OpenError::UnsupportedFrames)
}

/// Opens the image at `path`, in any format that stores its addresses; compression
/// around it is no obstacle. For raw images use [`open_bytes`] and
/// [`raw::Reader`](crate::raw).
///
/// # Errors
/// If the file cannot be read, is damaged, or is in a format that this build does
/// not read.
pub fn open_image(path: &Path) -> Result<Box<dyn ImageReader>, OpenError> {
    open_reader(open_bytes(path)?.bytes)
}

/// Opens the image in `bytes`, like [`open_image`], but does not look inside a
/// compression around it.
///
/// # Errors
/// If `bytes` cannot be read, are damaged, or are in a format that this build does
/// not read.
pub fn open_reader<S: ReadAt + 'static>(bytes: S) -> Result<Box<dyn ImageReader>, OpenError> {
    open_reader_within(bytes, &Budget::default())
}

/// As [`open_reader`], within `budget`.
///
/// # Errors
/// As [`open_reader`], or if the image needs more than the budget.
#[cfg_attr(
    not(any(
        feature = "elf",
        feature = "lime",
        feature = "avml",
        feature = "kdump",
        feature = "aff4"
    )),
    expect(unused_variables, reason = "without formats nothing costs anything")
)]
pub fn open_reader_within<S: ReadAt + 'static>(
    bytes: S,
    budget: &Budget,
) -> Result<Box<dyn ImageReader>, OpenError> {
    match magic(&bytes)? {
        #[cfg(feature = "elf")]
        Some(Detected::Image(Format::Elf)) => {
            let account = budget.open(&bytes);
            Ok(charged(elf::Reader::new(bytes)?, account)?)
        }
        #[cfg(feature = "lime")]
        Some(Detected::Image(Format::Lime)) => {
            let account = budget.open(&bytes);
            Ok(charged(lime::Reader::new(bytes)?, account)?)
        }
        #[cfg(feature = "avml")]
        Some(Detected::Image(Format::Avml)) => {
            let account = budget.open(&bytes);
            Ok(charged(avml::Reader::new(bytes)?, account)?)
        }
        #[cfg(feature = "kdump")]
        Some(Detected::Image(Format::Kdump)) => Ok(Box::new(kdump::Reader::within(bytes, budget)?)),
        #[cfg(feature = "kdump")]
        Some(Detected::Image(Format::Flattened)) => {
            let bytes: Arc<dyn ReadAt> = Arc::new(flattened::Reader::new(bytes)?);
            match magic(&bytes)? {
                Some(Detected::Image(Format::Flattened)) => Err(flattened::Error::Twice.into()),
                _ => open_reader_within(bytes, budget),
            }
        }
        #[cfg(feature = "aff4")]
        Some(Detected::Image(Format::Aff4)) => Ok(Box::new(aff4::Reader::open_within(
            vec![Arc::new(bytes)],
            budget,
        )?)),
        Some(Detected::Image(other)) => Err(OpenError::Unsupported(other)),
        Some(Detected::Frames) => Err(OpenError::CompressedTwice),
        Some(Detected::Compressed(program)) => Err(OpenError::Compressed(program)),
        Some(Detected::Foreign(foreign)) => Err(OpenError::Foreign(foreign)),
        None if bytes.is_empty() => Err(OpenError::Empty),
        None => Err(OpenError::Unknown),
    }
}

fn magic(bytes: &impl ReadAt) -> io::Result<Option<Detected>> {
    let mut head = [0; DETECT_BYTES];
    let len = u64_as_usize(bytes.len()).min(DETECT_BYTES);
    let (head, _) = head.split_at_mut(len);
    bytes.read_exact_at(0, head)?;
    Ok(detect(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With every feature on there is nothing to refuse; the check of the features
    /// one by one runs this with the others off.
    #[test]
    fn a_format_without_its_feature_is_named_with_it() {
        for (magic, format) in [
            (&b"\x7fELF"[..], Format::Elf),
            (b"EMiL", Format::Lime),
            (b"AVML", Format::Avml),
            (b"KDUMP   ", Format::Kdump),
            (b"makedumpfile", Format::Flattened),
            (b"PK\x03\x04", Format::Aff4),
        ] {
            let mut bytes = magic.to_vec();
            bytes.resize(64, 0);
            let error = open_reader(bytes).err().unwrap();
            assert_eq!(
                matches!(error, OpenError::Unsupported(found) if found == format),
                !format.is_supported(),
                "{error}"
            );
        }
        let error = OpenError::Unsupported(Format::Aff4).to_string();
        assert!(
            error.contains("AFF4") && error.contains("feature `aff4`"),
            "{error}"
        );
    }
}
