// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an image looks like from the outside: its format, compression and name.

use crate::away::{Away, AwayError};
use crate::remote::{Remote, RemoteSpec};
use crate::stored::{StoreSpec, Storing};
use linpmem_formats::{Codec, aff4, kdump, raw};
use linpmem_manifest::paths::{decrypted_of, encrypted_of};
use rustix::fs::FileType;
use std::path::{Path, PathBuf};

/// Format and compression of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The format, with the layout or compression that only it has.
    pub format: ImageFormat,
    /// The compression around the image.
    pub codec: Codec,
}

/// A format that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// ELF64 core.
    Elf,
    /// Raw.
    Raw(raw::Layout),
    /// AFF4, and the compression of its chunks.
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
pub enum Output {
    /// A file in the current folder, named after the host and the time.
    Named {
        /// The manifest, if it does not go next to the image.
        manifest: Option<PathBuf>,
    },
    /// This file; its manifest goes next to it unless it has a path of its own.
    File {
        /// The image.
        image: PathBuf,
        /// The manifest, if it does not go next to the image.
        manifest: Option<PathBuf>,
    },
    /// What has no name to give and cannot be read again.
    Stream {
        /// Where it goes.
        stream: Stream,
        /// The manifest, which needs a file.
        manifest: PathBuf,
    },
    /// A receiver on another machine, with everything that belongs to the image. Nothing is
    /// written to this one.
    Remote(RemoteSpec),
    /// An object store, in the same way.
    Store(StoreSpec),
}

/// Where an image goes that is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// This named pipe, or one that the name leads to.
    Pipe(PathBuf),
}

impl Stream {
    /// The stream that `path` names: a pipe, as bash's `>(…)` is, or this program's stdout.
    /// `None` for a file, or for the name of one.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let found = rustix::fs::stat(path).ok()?;
        let is_link = path.symlink_metadata().ok()?.is_symlink();
        let stdout = rustix::fs::fstat(rustix::stdio::stdout()).ok();
        // A file that stdout was redirected to has a name of its own.
        if is_link
            && stdout.is_some_and(|out| (out.st_dev, out.st_ino) == (found.st_dev, found.st_ino))
        {
            return Some(Self::Stdout);
        }
        let is_pipe = FileType::from_raw_mode(found.st_mode) == FileType::Fifo;
        is_pipe.then(|| Self::Pipe(path.to_path_buf()))
    }

    /// What messages and the manifest call it.
    #[must_use]
    pub fn name(&self) -> PathBuf {
        match self {
            Self::Stdout => PathBuf::from("-"),
            Self::Pipe(path) => path.clone(),
        }
    }
}

/// An [`Output`] whose names are settled.
pub(crate) enum Target {
    /// See [`Output::Stream`].
    Stream { stream: Stream, manifest: PathBuf },
    /// See [`Output::File`].
    File {
        image: PathBuf,
        manifest: Option<PathBuf>,
    },
    /// See [`Output::Remote`]; the receiver has named the image.
    Remote(Remote),
    /// See [`Output::Store`].
    Store(Storing),
}

impl Shape {
    /// Whether the image is likely to be smaller than the memory.
    #[must_use]
    pub fn is_compressed(self) -> bool {
        match self.format {
            ImageFormat::Aff4(within) => within != aff4::Compression::None,
            ImageFormat::Kdump(within) => within != kdump::Compression::None,
            ImageFormat::Avml => true,
            _ => self.codec != Codec::None,
        }
    }

    /// The extension of such an image.
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
    /// `elf`, `raw` and so on, as in the manifest.
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
    /// Settles the names of `output`; `host` and `utc` name an image that nobody named. An image
    /// for somewhere else is announced by `away`.
    pub(crate) fn of(
        output: &Output,
        shape: Shape,
        host: &str,
        utc: &str,
        away: impl Away,
    ) -> Result<Self, AwayError> {
        Ok(match output {
            Output::Remote(spec) => Self::Remote(away.receiver(spec)?),
            Output::Store(spec) => Self::Store(away.store(spec)?),
            Output::Stream { stream, manifest } => Self::Stream {
                stream: stream.clone(),
                manifest: manifest.clone(),
            },
            Output::File { image, manifest } => Self::File {
                image: image.clone(),
                manifest: manifest.clone(),
            },
            Output::Named { manifest } => {
                let host = host_in_name(host);
                Self::File {
                    image: PathBuf::from(format!("{host}-{utc}.{}", shape.extension())),
                    manifest: manifest.clone(),
                }
            }
        })
    }

    /// The same for files that are encrypted: their names say so.
    pub(crate) fn encrypted(self) -> Self {
        match self {
            Self::Stream { stream, manifest } => Self::Stream {
                stream,
                manifest: encrypted_of(&manifest),
            },
            Self::File { image, manifest } => Self::File {
                image: encrypted_of(&image),
                manifest: manifest.as_deref().map(encrypted_of),
            },
            // They were announced so.
            elsewhere @ (Self::Remote(_) | Self::Store(_)) => elsewhere,
        }
    }

    /// The image's name without its folder, and as it is when it is decrypted; `None` for a
    /// stream.
    pub(crate) fn file_name(&self) -> Option<String> {
        match self {
            Self::Stream { .. } => None,
            Self::File { image, .. } => {
                let image = decrypted_of(image);
                Some(image.file_name()?.to_string_lossy().into_owned())
            }
            Self::Remote(remote) => {
                Some(decrypted_of(remote.image()).to_string_lossy().into_owned())
            }
            Self::Store(storing) => {
                let image = decrypted_of(storing.image());
                Some(image.file_name()?.to_string_lossy().into_owned())
            }
        }
    }
}

/// The name of a machine as part of a file's name.
pub(crate) fn host_in_name(host: &str) -> String {
    let host: String = host
        .chars()
        .map(|letter| match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => letter,
            _ => '_',
        })
        .collect();
    // A leading dot hides the file, a leading dash makes it an option.
    match host.trim_start_matches(['.', '-']) {
        "" => "memory".to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::RemoteError;
    use crate::stored::StoringError;

    struct Nowhere;

    impl Away for Nowhere {
        fn receiver(&self, _: &RemoteSpec) -> Result<Remote, RemoteError> {
            unreachable!()
        }

        fn store(&self, _: &StoreSpec) -> Result<Storing, StoringError> {
            unreachable!()
        }
    }

    #[test]
    fn without_a_name_the_host_and_the_time_make_one() {
        let elf = Shape {
            format: ImageFormat::Elf,
            codec: Codec::Zstd {
                level: Codec::DEFAULT_ZSTD_LEVEL,
            },
        };
        for (host, name) in [
            ("web-1.example", "web-1.example-20260131T000000Z.core.zst"),
            ("../a b", "_a_b-20260131T000000Z.core.zst"),
            ("--", "memory-20260131T000000Z.core.zst"),
        ] {
            let target = Target::of(
                &Output::Named { manifest: None },
                elf,
                host,
                "20260131T000000Z",
                Nowhere,
            )
            .unwrap();
            assert_eq!(target.file_name().as_deref(), Some(name));
        }
    }
}
