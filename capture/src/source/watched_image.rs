// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image whose files must not become shorter while it is read.
//!
//! Pages that cannot be read from a file are listed as unreadable, as if the machine had not
//! given them. That is right for a damaged disk. But a file that someone truncates, or copies
//! anew, while it is read is no longer the image that was opened, and nothing made of it is
//! worth keeping.

use linpmem_formats::{Format, ImageReader, MachineFacts, StoredRange, Truncation};
use linpmem_phys::{PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A file, and how long it was when the image was opened.
struct Watched {
    path: PathBuf,
    file: File,
    len: u64,
}

/// An image and its files.
struct WatchedImage {
    image: Box<dyn ImageReader>,
    files: Vec<Watched>,
}

/// The files of an image, as they are before it is opened. Files that are not regular ones, or
/// cannot be opened, are left out: whoever opens them reports that.
pub(super) struct ImageFiles(Vec<Watched>);

impl ImageFiles {
    pub(super) fn of<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        let watched = |path: &Path| {
            // Opening a pipe would wait for its other end.
            let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
            let file = File::open(path).ok().filter(|_| is_file)?;
            Some(Watched {
                path: path.to_path_buf(),
                len: file.metadata().ok()?.len(),
                file,
            })
        };
        Self(paths.filter_map(watched).collect())
    }

    /// `image`, whose reads fail when one of these files has become shorter.
    pub(super) fn watch(self, image: Box<dyn ImageReader>) -> Box<dyn ImageReader> {
        let files = self.0;
        Box::new(WatchedImage { image, files })
    }
}

impl Watched {
    /// What happened to the file, if it is shorter than it was.
    fn loss(&self) -> Option<String> {
        let now = self.file.metadata().ok()?.len();
        (now < self.len).then(|| {
            format!(
                "{} became shorter while it was read: it had {} bytes and has {now}. Make sure \
                 that nothing writes to it, and start again",
                self.path.display(),
                self.len
            )
        })
    }
}

impl ReadPhys for WatchedImage {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let before = unreadable.total();
        self.image.read_phys(start, buf, unreadable)?;
        if unreadable.total() == before {
            return Ok(());
        }
        match self.files.iter().find_map(Watched::loss) {
            Some(message) => Err(SourceError::new(start, message)),
            None => Ok(()),
        }
    }

    fn is_known_zero(&self, range: PhysRange) -> bool {
        self.image.is_known_zero(range)
    }
}

impl ImageReader for WatchedImage {
    fn format(&self) -> Format {
        self.image.format()
    }

    fn ranges(&self) -> &[StoredRange] {
        self.image.ranges()
    }

    fn machine(&self) -> &MachineFacts {
        self.image.machine()
    }

    fn warnings(&self) -> &[String] {
        self.image.warnings()
    }

    fn truncation(&self) -> Option<Truncation> {
        self.image.truncation()
    }
}

#[cfg(test)]
mod tests {
    use super::super::read_image;
    use crate::{RawInput, Reading};
    use linpmem_phys::{PhysAddr, Unreadables};
    use std::fs::OpenOptions;
    use std::io::Write;

    /// What is read of a file that ends in the middle of a page is not a page of zeros.
    #[test]
    fn a_file_that_is_truncated_while_it_is_read_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory.raw");
        let reading = Reading {
            raw: Some(RawInput::Padded(None)),
            ..Reading::default()
        };
        for end in [0x2000_u64, 0x2801] {
            let mut file = OpenOptions::new();
            let mut file = file
                .create(true)
                .truncate(true)
                .write(true)
                .open(&path)
                .unwrap();
            file.write_all(&[7; 0x4000]).unwrap();
            let image = read_image(&path, None, &reading).unwrap();
            let mut buf = vec![0; 0x1000];
            let mut read = |start| {
                let mut unreadable = Unreadables::new();
                let read = image.read_phys(PhysAddr::new(start), &mut buf, &mut unreadable);
                read.map(|()| unreadable.total().get())
            };
            assert_eq!(read(0x2000).unwrap(), 0);
            // Addresses that the image never had say nothing about the file.
            assert_eq!(read(0x8000).unwrap(), 0x1000);
            file.set_len(end).unwrap();
            assert_eq!(read(0x1000).unwrap(), 0);
            let error = read(0x2000).unwrap_err().to_string();
            let name = path.display().to_string();
            assert!(error.contains(&name) && error.contains("16384"), "{error}");
            assert!(error.contains(&end.to_string()), "{error}");
        }
    }
}
