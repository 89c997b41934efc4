// SPDX-License-Identifier: MIT OR Apache-2.0
//! Room on the disk, looked at before the first byte is read.

use super::partial::folder_of;
use linpmem_phys::PhysLen;
use rustix::fs::statvfs;
use std::io;
use std::path::{Path, PathBuf};

/// The image may not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpaceError {
    /// Too little.
    #[error(
        "{folder} has {free} free, and the image can take {needed}: write to another disk or to \
         stdout, compress it (--compress zstd), or read less (--range)"
    )]
    TooLittle {
        /// Where the image was to go.
        folder: PathBuf,
        /// What is free there.
        free: PhysLen,
        /// What the image needs if no page is zero.
        needed: PhysLen,
    },
    /// The folder cannot be asked.
    #[error("{folder}: {source}")]
    Unknown {
        /// Where the image was to go.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Whether `needed_bytes` fit on the disk that `path` will lie on.
///
/// # Errors
/// If they do not, or the folder is not there.
pub fn check(path: &Path, needed_bytes: u64) -> Result<(), SpaceError> {
    let folder = folder_of(path);
    let disk = statvfs(folder).map_err(|errno| SpaceError::Unknown {
        folder: folder.to_path_buf(),
        source: errno.into(),
    })?;
    if disk.f_blocks == 0 {
        // Some network and user-space file systems do not tell.
        return Ok(());
    }
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= needed_bytes {
        return Ok(());
    }
    Err(SpaceError::TooLittle {
        folder: folder.to_path_buf(),
        free: PhysLen::new(free),
        needed: PhysLen::new(needed_bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_any_disk_has_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        check(&path, 1).unwrap();
        assert!(matches!(
            check(&path, u64::MAX),
            Err(SpaceError::TooLittle { .. })
        ));
        assert!(matches!(
            check(&path.join("below"), 1),
            Err(SpaceError::Unknown { .. })
        ));
    }
}
