// SPDX-License-Identifier: MIT OR Apache-2.0
//! Format and compression of an image, from the options and from OUTPUT's name.

use super::{CompressSpec, Format, ImageArgs, Layout};
use linpmem_capture::{Compression, ImageFormat};
use linpmem_formats::{Codec, CodecError, aff4, kdump, raw};
use std::path::{Path, PathBuf};

/// Options that contradict each other or OUTPUT's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// --raw-layout for a format other than raw.
    #[error("--raw-layout applies to raw images: add --format raw, or name OUTPUT *.raw")]
    LayoutWithoutRaw,
    /// --merge-gaps for a format without segments.
    #[error("--merge-gaps applies to ELF cores: drop it, or add --format elf")]
    MergeWithoutElf,
    /// The extension stands for another compression than --compress.
    #[error("{0}: file extension and --compress disagree; drop one")]
    OtherExtension(PathBuf),
    /// No compression of whole files has this name.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A compression that AFF4 does not have.
    #[error(transparent)]
    Aff4(#[from] aff4::CompressionError),
    /// A compression that kdump does not have.
    #[error(transparent)]
    Kdump(#[from] kdump::CompressionError),
    /// AVML has only one compression.
    #[error("AVML images are always compressed with snappy; drop --compress")]
    AvmlCompression,
    /// The extension of a compressed file, for a format that compresses internally.
    #[error("{0}: this format compresses internally; drop the .zst/.lz4/.sz extension")]
    CompressedWithin(PathBuf),
    /// Case details for another format.
    #[error(
        "--case-name, --examiner and --notes are stored in AFF4 images only: add --format aff4, \
         or name OUTPUT *.aff4"
    )]
    CaseWithoutAff4,
    /// --linear-hash for another format.
    #[error(
        "--linear-hash applies to AFF4 images: drop it, add --format aff4, or name OUTPUT *.aff4"
    )]
    LinearWithoutAff4,
    /// --bundle for a format that cannot hold artifacts.
    #[error(
        "--bundle: only ELF and AFF4 images can hold artifacts; drop --bundle to store them in a \
         file of their own"
    )]
    NoRoomForArtifacts,
}

/// The format and compression that `args` and the name of OUTPUT ask for.
///
/// # Errors
/// If they contradict each other.
pub fn shape(
    args: &ImageArgs,
    output: Option<&Path>,
) -> Result<(ImageFormat, Compression), ShapeError> {
    let name = output.unwrap_or(Path::new(""));
    let promised = promised(name);
    let bare = match promised {
        Some(_) => name.with_extension(""),
        None => name.to_path_buf(),
    };
    let format = args.format.unwrap_or_else(|| by_extension(&bare));
    if format != Format::Aff4 && args.case.is_given() {
        return Err(ShapeError::CaseWithoutAff4);
    }
    if format != Format::Aff4 && args.linear.linear_hash {
        return Err(ShapeError::LinearWithoutAff4);
    }
    if !matches!(format, Format::Aff4 | Format::Elf) && args.artifacts.bundle {
        return Err(ShapeError::NoRoomForArtifacts);
    }
    if format != Format::Raw && args.raw_layout.is_some() {
        return Err(ShapeError::LayoutWithoutRaw);
    }
    if format != Format::Elf && args.merge_gaps.is_some() {
        return Err(ShapeError::MergeWithoutElf);
    }
    let is_padded = match args.raw_layout {
        Some(layout) => layout == Layout::Padded,
        None => has_extension(&bare, &["padded"]),
    };
    let within = |format| match promised {
        Some(_) => Err(ShapeError::CompressedWithin(name.to_path_buf())),
        None => Ok((format, Compression::Fixed(Codec::None))),
    };
    // For formats that compress internally, `auto` leaves the choice to the format.
    let codec = match &args.compress {
        Some(CompressSpec::Named(name)) => Some(name.as_str()),
        Some(CompressSpec::Auto) | None => None,
    };
    let format = match format {
        Format::Elf => ImageFormat::Elf,
        Format::Lime => ImageFormat::Lime,
        Format::Raw if is_padded => ImageFormat::Raw(raw::Layout::Padded),
        Format::Raw => ImageFormat::Raw(raw::Layout::Concatenated),
        Format::Aff4 => {
            let codec = codec.map(str::parse).transpose()?;
            return within(ImageFormat::Aff4(codec.unwrap_or_default()));
        }
        Format::Kdump => {
            let codec = codec.map(str::parse).transpose()?;
            return within(ImageFormat::Kdump(codec.unwrap_or_default()));
        }
        Format::Avml if codec.is_some() => return Err(ShapeError::AvmlCompression),
        Format::Avml => return within(ImageFormat::Avml),
    };
    let disagree = || ShapeError::OtherExtension(name.to_path_buf());
    let compression = match (&args.compress, promised) {
        (None, promised) => Compression::Fixed(promised.unwrap_or_default()),
        (Some(CompressSpec::Auto), Some(_)) => return Err(disagree()),
        (Some(CompressSpec::Auto), None) => Compression::Measured,
        (Some(CompressSpec::Named(name)), promised) => {
            let codec: Codec = name.parse()?;
            if promised.is_some_and(|promised| !promised.is_same_algorithm(codec)) {
                return Err(disagree());
            }
            Compression::Fixed(codec)
        }
    };
    Ok((format, compression))
}

fn by_extension(name: &Path) -> Format {
    const KNOWN: [(&[&str], Format); 5] = [
        (&["raw", "bin", "img", "mem", "dd", "padded"], Format::Raw),
        (&["aff4"], Format::Aff4),
        (&["lime"], Format::Lime),
        (&["kdump"], Format::Kdump),
        (&["avml"], Format::Avml),
    ];
    let known = KNOWN
        .iter()
        .find(|(extensions, _)| has_extension(name, extensions));
    known.map_or(Format::Elf, |&(_, format)| format)
}

/// The compression that the extension of `name` stands for.
fn promised(name: &Path) -> Option<Codec> {
    let extension = name.extension()?.to_str()?.to_ascii_lowercase();
    Codec::from_extension(&extension)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|own| {
        extensions
            .iter()
            .any(|extension| own.eq_ignore_ascii_case(extension))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;

    fn shape_of(words: &[&str]) -> Result<(ImageFormat, Compression), ShapeError> {
        let cli = Cli::parse_from(["linpmem-dump"].iter().chain(words));
        shape(&cli.acquire.image, cli.acquire.output.as_deref())
    }

    const CONCATENATED: ImageFormat = ImageFormat::Raw(raw::Layout::Concatenated);
    const PADDED: ImageFormat = ImageFormat::Raw(raw::Layout::Padded);
    const NONE: Compression = Compression::Fixed(Codec::None);
    const ZSTD: Compression = Compression::Fixed(Codec::Zstd {
        level: Codec::DEFAULT_ZSTD_LEVEL,
    });

    #[test]
    fn the_extension_decides_unless_an_option_does() {
        for (words, expected) in [
            (&[][..], (ImageFormat::Elf, NONE)),
            (&["a.core"], (ImageFormat::Elf, NONE)),
            (&["a.RAW"], (CONCATENATED, NONE)),
            (&["a.padded.zst"], (PADDED, ZSTD)),
            (
                &["a.lime.LZ4"],
                (ImageFormat::Lime, Compression::Fixed(Codec::Lz4)),
            ),
            (
                &["a.sz"],
                (ImageFormat::Elf, Compression::Fixed(Codec::Snappy)),
            ),
            (&["raw"], (ImageFormat::Elf, NONE)),
            (&["a.raw", "--format", "elf"], (ImageFormat::Elf, NONE)),
            (
                &["a.x", "--format=raw", "--raw-layout=padded"],
                (PADDED, NONE),
            ),
            (
                &["a.padded", "--raw-layout=concatenated"],
                (CONCATENATED, NONE),
            ),
            (
                &["a.core.zst", "--compress", "zstd:1"],
                (
                    ImageFormat::Elf,
                    Compression::Fixed(Codec::Zstd { level: 1 }),
                ),
            ),
            (
                &["a.core", "--compress", "auto"],
                (ImageFormat::Elf, Compression::Measured),
            ),
        ] {
            assert_eq!(shape_of(words), Ok(expected), "{words:?}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let other = || ShapeError::OtherExtension("a.zst".into());
        for (words, expected) in [
            (
                &["a.core", "--raw-layout", "padded"][..],
                ShapeError::LayoutWithoutRaw,
            ),
            (
                &["a.raw", "--merge-gaps", "1MiB"],
                ShapeError::MergeWithoutElf,
            ),
            (&["a.zst", "--compress", "none"], other()),
            (&["a.zst", "--compress", "auto"], other()),
            (
                &["a.aff4.zst"],
                ShapeError::CompressedWithin("a.aff4.zst".into()),
            ),
            (
                &["a.avml", "--compress", "zstd"],
                ShapeError::AvmlCompression,
            ),
            (&["a.raw", "--examiner", "x"], ShapeError::CaseWithoutAff4),
            (&["a.core", "--linear-hash"], ShapeError::LinearWithoutAff4),
            (&["a.lime", "--bundle"], ShapeError::NoRoomForArtifacts),
        ] {
            assert_eq!(shape_of(words), Err(expected), "{words:?}");
        }
        assert!(shape_of(&["a.lz4", "--compress", "zstd"]).is_err());
        assert!(shape_of(&["a.core", "--compress", "zlib"]).is_err());
    }
}
