// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file that `sha256sum -c` reads.

use crate::sink::{PartialError, PartialFile};
use linpmem_manifest::Sha256Sum;
use linpmem_manifest::paths::checksum_of;
use std::io;
use std::path::Path;

/// Checks that the file at `path` may be written.
///
/// # Errors
/// If it exists already and `force` is not set.
pub fn check_free(path: &Path, force: bool) -> Result<(), PartialError> {
    match path.symlink_metadata() {
        Ok(_) if !force => Err(PartialError::Exists {
            path: path.to_path_buf(),
        }),
        _ => Ok(()),
    }
}

/// Writes `sum`, the hash of the image at `image`, to a file next to it.
///
/// # Errors
/// If the file cannot be written.
pub fn write_checksum(image: &Path, sum: Sha256Sum, force: bool) -> Result<(), PartialError> {
    let path = checksum_of(image);
    let Some(name) = image.file_name() else {
        return Err(PartialError::Io {
            action: "creating",
            path,
            source: io::Error::other("the image has no file name"),
        });
    };
    PartialFile::write(&path, &line(sum, name.as_encoded_bytes()), force)
}

/// The line for sha256sum. A backslash at its beginning means that characters of the name
/// are escaped.
fn line(sum: Sha256Sum, name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(name.len());
    for &byte in name {
        match byte {
            b'\\' => escaped.extend_from_slice(b"\\\\"),
            b'\n' => escaped.extend_from_slice(b"\\n"),
            b'\r' => escaped.extend_from_slice(b"\\r"),
            _ => escaped.push(byte),
        }
    }
    let mark = if escaped.len() > name.len() { "\\" } else { "" };
    let mut line = format!("{mark}{sum}  ").into_bytes();
    line.append(&mut escaped);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use std::process::{Command, Stdio};

    #[test]
    fn sha256sum_accepts_it_whatever_the_name() {
        for name in ["out.core", "with space", "back\\slash", "new\nline"] {
            let folder = tempfile::tempdir().unwrap();
            let image = folder.path().join(name);
            std::fs::write(&image, b"memory").unwrap();
            write_checksum(&image, sha256(b"memory"), false).unwrap();
            let check = |image: &Path| {
                Command::new("sha256sum")
                    .arg("-c")
                    .arg("--strict")
                    .arg(checksum_of(image))
                    .current_dir(folder.path())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .status()
                    .unwrap()
                    .success()
            };
            assert!(check(&image), "{name:?}");
            std::fs::write(&image, b"Memory").unwrap();
            assert!(!check(&image), "{name:?}");
        }
    }
}
