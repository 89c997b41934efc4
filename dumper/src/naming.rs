// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of files, and what they decide.

use crate::args::{AcquireArgs, Format, Layout};
use crate::notation::CompressSpec;
use linpmem_formats::{Codec, CodecError, aff4, kdump, raw};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What an image looks like from the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Format, and the layout that only raw images have.
    pub format: ImageFormat,
    /// Compression around it.
    pub codec: Codec,
}

/// A format that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// ELF64 core.
    Elf,
    /// Raw.
    Raw(raw::Layout),
    /// AFF4, and the compression within.
    Aff4(aff4::Compression),
    /// LiME.
    Lime,
    /// Kdump-compressed, and the compression of its pages.
    Kdump(kdump::Compression),
    /// AVML's compressed LiME.
    Avml,
}

/// Where an image goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// Options that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamingError {
    /// A layout for a format that has none.
    #[error("--raw-layout is for raw images; add --format raw, or end OUTPUT in .raw")]
    LayoutOfElf,
    /// Segments for a format that has none.
    #[error("--merge-gaps is for ELF cores; leave it out, or add --format elf")]
    MergeWithoutElf,
    /// An ending that promises another compression.
    #[error("{0} would not be what its ending says: leave --compress out, or change the ending")]
    OtherEnding(PathBuf),
    /// A compression that cannot be around an image.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A compression that AFF4 does not have.
    #[error(transparent)]
    Aff4(#[from] aff4::CompressionError),
    /// A compression that kdump does not have.
    #[error(transparent)]
    Kdump(#[from] kdump::CompressionError),
    /// A compression for AVML, which has one.
    #[error("AVML images are always compressed by snappy; leave --compress out")]
    AvmlCompression,
    /// A compressed file of an image that is compressed within.
    #[error("{0}: images of this format are compressed within; leave the last ending off the name")]
    CompressedWithin(PathBuf),
    /// Options for AFF4 without AFF4.
    #[error(
        "--case-name, --examiner and --notes are for AFF4 images; add --format aff4, or \
         end OUTPUT in .aff4"
    )]
    EvidenceWithoutAff4,
    /// Evidence must be in the image, and the format has no room.
    #[error(
        "--bundle: only ELF and AFF4 images hold evidence; without it, it lies beside the image"
    )]
    NoRoomForEvidence,
    /// A name that ends in a slash, or in `..`.
    #[error("{0} does not name a file: add a file name to it")]
    NoFileName(PathBuf),
}

impl Shape {
    /// What the options and the ending of OUTPUT mean.
    ///
    /// # Errors
    /// If they contradict each other.
    pub fn of(args: &AcquireArgs) -> Result<Self, NamingError> {
        let name = args.output.as_deref().unwrap_or(Path::new(""));
        let promised = promised(name);
        let bare = if promised.is_some() {
            name.with_extension("")
        } else {
            name.to_path_buf()
        };
        let is_padded = has_extension(&bare, &["padded"]);
        let is_raw = is_padded || has_extension(&bare, &["raw", "bin", "img", "mem", "dd"]);
        let by_name = if is_raw {
            Format::Raw
        } else if has_extension(&bare, &["aff4"]) {
            Format::Aff4
        } else if has_extension(&bare, &["lime"]) {
            Format::Lime
        } else if has_extension(&bare, &["kdump"]) {
            Format::Kdump
        } else if has_extension(&bare, &["avml"]) {
            Format::Avml
        } else {
            Format::Elf
        };
        let format = args.image.format.unwrap_or(by_name);
        if format != Format::Aff4 && args.image.evidence.needs_aff4() {
            return Err(NamingError::EvidenceWithoutAff4);
        }
        if !matches!(format, Format::Aff4 | Format::Elf) && args.image.evidence.bundle {
            return Err(NamingError::NoRoomForEvidence);
        }
        if format != Format::Raw && args.image.raw_layout.is_some() {
            return Err(NamingError::LayoutOfElf);
        }
        if format != Format::Elf && args.image.merge_gaps.is_some() {
            return Err(NamingError::MergeWithoutElf);
        }
        let format = match (format, args.image.raw_layout) {
            (Format::Elf, _) => ImageFormat::Elf,
            (Format::Lime, _) => ImageFormat::Lime,
            (Format::Raw, Some(Layout::Padded)) => ImageFormat::Raw(raw::Layout::Padded),
            (Format::Raw, None) if is_padded => ImageFormat::Raw(raw::Layout::Padded),
            (Format::Raw, _) => ImageFormat::Raw(raw::Layout::Concatenated),
            (Format::Aff4 | Format::Kdump | Format::Avml, _) => {
                return Self::compressed_within(format, args, name, promised);
            }
        };
        // What is found out later stands for none here.
        let is_auto = args
            .image
            .compress
            .as_ref()
            .is_some_and(CompressSpec::is_auto);
        if is_auto && promised.is_some() {
            return Err(NamingError::OtherEnding(name.to_path_buf()));
        }
        let named = args.image.compress.as_ref().filter(|_| !is_auto);
        let asked = named.map(|spec| spec.codec());
        let codec = match asked.transpose()? {
            Some(codec) if promised.is_some_and(|promised| !promised.is_same_algorithm(codec)) => {
                return Err(NamingError::OtherEnding(name.to_path_buf()));
            }
            Some(codec) => codec,
            None => promised.unwrap_or_default(),
        };
        Ok(Self { format, codec })
    }

    fn compressed_within(
        format: Format,
        args: &AcquireArgs,
        name: &Path,
        promised: Option<Codec>,
    ) -> Result<Self, NamingError> {
        if promised.is_some() {
            return Err(NamingError::CompressedWithin(name.to_path_buf()));
        }
        let asked = args.image.compress.as_ref().filter(|spec| !spec.is_auto());
        let format = match format {
            Format::Kdump => {
                let asked = asked.map(|spec| spec.kdump());
                ImageFormat::Kdump(asked.transpose()?.unwrap_or_default())
            }
            Format::Avml if asked.is_some() => return Err(NamingError::AvmlCompression),
            Format::Avml => ImageFormat::Avml,
            _ => {
                let asked = asked.map(|spec| spec.aff4());
                ImageFormat::Aff4(asked.transpose()?.unwrap_or_default())
            }
        };
        Ok(Self {
            format,
            codec: Codec::None,
        })
    }

    /// Whether the image is likely smaller than the memory.
    #[must_use]
    pub fn is_compressed(self) -> bool {
        match self.format {
            ImageFormat::Aff4(within) => within != aff4::Compression::None,
            ImageFormat::Kdump(within) => within != kdump::Compression::None,
            ImageFormat::Avml => true,
            _ => self.codec != Codec::None,
        }
    }

    /// What the name of such an image ends with.
    #[must_use]
    pub fn extension(self) -> String {
        let format = match self.format {
            ImageFormat::Elf => "core",
            ImageFormat::Raw(raw::Layout::Padded) => "padded",
            ImageFormat::Raw(_) => "raw",
            other => other.name(),
        };
        match self.codec.extension() {
            Some(codec) => format!("{format}.{codec}"),
            None => format.to_owned(),
        }
    }
}

impl ImageFormat {
    /// `elf`, `raw` and the like, as in the manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Elf => "elf",
            Self::Raw(_) => "raw",
            Self::Aff4(_) => "aff4",
            Self::Lime => "lime",
            Self::Kdump(_) => "kdump",
            Self::Avml => "avml",
        }
    }
}

impl Target {
    /// Where the image goes; `host` and `utc` name it if nobody did.
    ///
    /// # Errors
    /// If OUTPUT cannot be a file's name.
    pub fn of(
        output: Option<&Path>,
        shape: Shape,
        host: &str,
        utc: &str,
    ) -> Result<Self, NamingError> {
        match output {
            Some(path) if path.as_os_str() == "-" => Ok(Self::Stdout),
            // Path::file_name passes over a trailing slash.
            Some(path)
                if path.file_name().is_none()
                    || path.as_os_str().as_encoded_bytes().ends_with(b"/") =>
            {
                Err(NamingError::NoFileName(path.to_path_buf()))
            }
            Some(path) => Ok(Self::File(path.to_path_buf())),
            None => {
                let host: String = host
                    .chars()
                    .map(|letter| match letter {
                        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => letter,
                        _ => '_',
                    })
                    .collect();
                // A leading dot hides the file, a leading dash makes it an option.
                let host = host.trim_start_matches(['.', '-']);
                let host = if host.is_empty() { "memory" } else { host };
                Ok(Self::File(PathBuf::from(format!(
                    "{host}-{utc}.{}",
                    shape.extension()
                ))))
            }
        }
    }
}

/// `path` with `suffix` behind its whole name.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

/// The manifest that belongs to the image at `path`.
#[must_use]
pub fn manifest_of(path: &Path) -> PathBuf {
    with_suffix(path, ".manifest.json")
}

/// The `sha256sum -c` file that belongs to the image at `path`.
#[must_use]
pub fn checksum_of(path: &Path) -> PathBuf {
    with_suffix(path, ".sha256")
}

/// The evidence that belongs to the image at `path`, if it has no room for it.
#[must_use]
pub fn evidence_of(path: &Path) -> PathBuf {
    with_suffix(path, ".evidence.tar.zst")
}

/// The evidence of an image on stdout, beside its manifest.
#[must_use]
pub fn evidence_of_manifest(manifest: &Path) -> PathBuf {
    let name = manifest.file_name().unwrap_or_default().to_string_lossy();
    let bare = name.strip_suffix(".json").unwrap_or(&name);
    let bare = bare.strip_suffix(".manifest").unwrap_or(bare);
    evidence_of(&manifest.with_file_name(bare))
}

/// What the image at `path` is called until it is complete.
#[must_use]
pub fn partial_of(path: &Path) -> PathBuf {
    with_suffix(path, ".partial")
}

/// The compression that the ending of `name` stands for.
fn promised(name: &Path) -> Option<Codec> {
    let extension = name.extension()?.to_str()?.to_ascii_lowercase();
    Codec::from_extension(&extension)
}

fn has_extension(path: &Path, endings: &[&str]) -> bool {
    path.extension().is_some_and(|extension| {
        endings
            .iter()
            .any(|ending| extension.eq_ignore_ascii_case(ending))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;

    fn shape(words: &[&str]) -> Result<(ImageFormat, Codec), NamingError> {
        let cli = Cli::parse_from(["linpmem-dump"].iter().chain(words));
        Shape::of(&cli.acquire).map(|shape| (shape.format, shape.codec))
    }

    const CONCATENATED: ImageFormat = ImageFormat::Raw(raw::Layout::Concatenated);
    const PADDED: ImageFormat = ImageFormat::Raw(raw::Layout::Padded);
    const ZSTD: Codec = Codec::Zstd {
        level: Codec::DEFAULT_ZSTD_LEVEL,
    };

    #[test]
    fn the_ending_decides_unless_an_option_does() {
        assert_eq!(shape(&[]), Ok((ImageFormat::Elf, Codec::None)));
        assert_eq!(shape(&["a.core"]), Ok((ImageFormat::Elf, Codec::None)));
        assert_eq!(shape(&["a.RAW"]), Ok((CONCATENATED, Codec::None)));
        assert_eq!(shape(&["a.padded.zst"]), Ok((PADDED, ZSTD)));
        assert_eq!(shape(&["a.lime.LZ4"]), Ok((ImageFormat::Lime, Codec::Lz4)));
        assert_eq!(shape(&["a.sz"]), Ok((ImageFormat::Elf, Codec::Snappy)));
        assert!(shape(&["a.lz4", "--compress", "zstd"]).is_err());
        assert_eq!(shape(&["raw"]), Ok((ImageFormat::Elf, Codec::None)));
        assert_eq!(
            shape(&["a.raw", "--format", "elf"]),
            Ok((ImageFormat::Elf, Codec::None))
        );
        assert_eq!(
            shape(&["a.x", "--format=raw", "--raw-layout=padded"]),
            Ok((PADDED, Codec::None))
        );
        assert_eq!(
            shape(&["a.core.zst", "--compress", "zstd:1"]),
            Ok((ImageFormat::Elf, Codec::Zstd { level: 1 }))
        );
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(
            shape(&["a.core", "--raw-layout", "padded"]),
            Err(NamingError::LayoutOfElf)
        );
        assert!(shape(&["a.zst", "--compress", "none"]).is_err());
    }

    #[test]
    fn without_a_name_the_host_and_the_time_make_one() {
        let elf = Shape {
            format: ImageFormat::Elf,
            codec: ZSTD,
        };
        let name = |host| Target::of(None, elf, host, "20260131T000000Z").unwrap();
        assert_eq!(
            name("web-1.example"),
            Target::File("web-1.example-20260131T000000Z.core.zst".into())
        );
        assert_eq!(
            name("../a b"),
            Target::File("_a_b-20260131T000000Z.core.zst".into())
        );
        assert_eq!(
            name("--"),
            Target::File("memory-20260131T000000Z.core.zst".into())
        );
    }

    #[test]
    fn a_folder_is_no_file_name() {
        let elf = Shape {
            format: ImageFormat::Elf,
            codec: Codec::None,
        };
        for name in ["out/", "..", "/"] {
            assert!(Target::of(Some(Path::new(name)), elf, "h", "t").is_err());
        }
        assert_eq!(
            Target::of(Some(Path::new("-")), elf, "h", "t"),
            Ok(Target::Stdout)
        );
    }

    #[test]
    fn suffixes_follow_the_whole_name() {
        let image = Path::new("/a/b.core.zst");
        assert_eq!(manifest_of(image), Path::new("/a/b.core.zst.manifest.json"));
        assert_eq!(checksum_of(image), Path::new("/a/b.core.zst.sha256"));
        assert_eq!(partial_of(image), Path::new("/a/b.core.zst.partial"));
        for (manifest, evidence) in [
            ("/a/b.json", "/a/b.evidence.tar.zst"),
            ("b.lime.manifest.json", "b.lime.evidence.tar.zst"),
            ("/a/b", "/a/b.evidence.tar.zst"),
        ] {
            assert_eq!(
                evidence_of_manifest(Path::new(manifest)),
                Path::new(evidence)
            );
        }
    }
}
