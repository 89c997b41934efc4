// SPDX-License-Identifier: MIT OR Apache-2.0
//! Free space on the disk, checked before the first byte is read.

use super::limit::Limits;
use super::partial::folder_of;
use linpmem_phys::PhysLen;
use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The image may not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// The disk has too little free space.
    #[error(
        "{folder} has {free} free, but the image can take {needed}{}: write to another disk or \
         to stdout, compress it (--compress zstd), or read less (--range)", kept(*.min_free)
    )]
    TooLittle {
        /// The folder for the image.
        folder: PathBuf,
        /// Its free space.
        free: PhysLen,
        /// What the image needs if no page is zero.
        needed: PhysLen,
        /// The space that must stay free.
        min_free: PhysLen,
    },
    /// No file there can be as long as the image can become.
    #[error(
        "a file in {folder} cannot become as long as the image can, {needed}, because of {limit}: \
         write to another file system such as exFAT, ext4 or XFS, compress the image (--compress \
         zstd), or write to stdout"
    )]
    TooLong {
        /// The folder for the image.
        folder: PathBuf,
        /// What the image needs if no page is zero.
        needed: PhysLen,
        /// What limits it.
        limit: &'static str,
    },
    /// The image can become larger than its limit.
    #[error(
        "the image can take {needed}, which is more than --max-size {limit}: compress it \
         (--compress zstd), or read less (--range)"
    )]
    TooLarge {
        /// What the image needs if no page is zero.
        needed: PhysLen,
        /// The limit.
        limit: PhysLen,
    },
    /// The file has grown to its limit.
    #[error("the image has reached --max-size {limit}")]
    PastMaxSize {
        /// The limit.
        limit: PhysLen,
    },
    /// The disk has filled up to its limit.
    #[error("only {free} left on {folder}; --min-free requires {limit}")]
    PastMinFree {
        /// The folder for the image.
        folder: PathBuf,
        /// Its free space.
        free: PhysLen,
        /// The space that must stay free.
        limit: PhysLen,
    },
    /// The free space is unknown.
    #[error("checking the free space of {folder}: {source}")]
    Unknown {
        /// The folder for the image.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

fn kept(min_free: PhysLen) -> String {
    if min_free == PhysLen::ZERO {
        return String::new();
    }
    format!(", and {min_free} must stay free (--min-free)")
}

/// Checks that `needed_bytes` are within `limits`, and that the disk that will hold
/// `path` has room for them.
///
/// # Errors
/// If not, or if the folder does not exist.
pub fn check(path: &Path, needed_bytes: u64, limits: Limits) -> Result<(), SpaceError> {
    let needed = PhysLen::new(needed_bytes);
    if let Some(limit) = limits.max_size.filter(|&limit| needed > limit) {
        return Err(SpaceError::TooLarge { needed, limit });
    }
    let folder = folder_of(path);
    let min_free = limits.min_free;
    match free_space(folder)? {
        Some(free) if free.get() < needed_bytes.saturating_add(min_free.get()) => {
            Err(SpaceError::TooLittle {
                folder: folder.to_path_buf(),
                free,
                needed,
                min_free,
            })
        }
        _ => Ok(()),
    }
}

/// Checks that `file`, which is `path` and empty, can become `needed` long: FAT ends at
/// 4 GiB, and a file system may allow less than it has room for.
///
/// # Errors
/// If it cannot.
pub fn check_length(file: &File, path: &Path, needed: PhysLen) -> Result<(), SpaceError> {
    let failed = |limit| {
        Err(SpaceError::TooLong {
            folder: folder_of(path).to_path_buf(),
            needed,
            limit,
        })
    };
    // Only asks: the kernel knows the largest offset of each file system.
    let mut file = file;
    let asked = file.seek(SeekFrom::Start(needed.get()));
    let back = file.rewind();
    if asked.is_err() && back.is_ok() {
        return failed("the largest file of its file system");
    }
    match getrlimit(Resource::Fsize).current {
        Some(limit) if limit < needed.get() => failed("this shell's `ulimit -f`"),
        _ => Ok(()),
    }
}

/// The free space of `folder`, if its file system reports it: some network and
/// user-space file systems do not.
pub(crate) fn free_space(folder: &Path) -> Result<Option<PhysLen>, SpaceError> {
    let disk = statvfs(folder).map_err(|errno| SpaceError::Unknown {
        folder: folder.to_path_buf(),
        source: errno.into(),
    })?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Ok((disk.f_blocks > 0).then_some(PhysLen::new(free)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_than_any_file_is_too_long() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let check = |len| check_length(file.as_file(), file.path(), PhysLen::new(len));
        check(1 << 30).unwrap();
        let error = check(1 << 63).unwrap_err().to_string();
        assert!(
            error.contains("the largest file of its file system"),
            "{error}"
        );
        assert_eq!(file.as_file().stream_position().unwrap(), 0);
    }

    #[test]
    fn more_than_any_disk_has_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let none = Limits::default();
        check(&path, 1, none).unwrap();
        assert!(matches!(
            check(&path, u64::MAX, none),
            Err(SpaceError::TooLittle { .. })
        ));
        assert!(matches!(
            check(&path.join("below"), 1, none),
            Err(SpaceError::Unknown { .. })
        ));
        let kept = Limits {
            min_free: PhysLen::new(1 << 60),
            ..none
        };
        let error = check(&path, 1, kept).unwrap_err().to_string();
        assert!(error.contains("1048576 TiB must stay free"), "{error}");
        let small = Limits {
            max_size: Some(PhysLen::new(4096)),
            ..none
        };
        check(&path, 4096, small).unwrap();
        assert!(matches!(
            check(&path, 4097, small),
            Err(SpaceError::TooLarge { .. })
        ));
    }
}
