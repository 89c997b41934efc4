// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file that `sha256sum -c` reads.

use crate::digest::Sha256Sum;
use crate::naming::{checksum_of, partial_of};
use crate::sink::{PartialError, PartialFile};
use crate::stop::Stop;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// Bytes hashed at a time: few enough to stay in a processor's cache.
const STEP_BYTES: usize = 64 << 10;

/// The sum of the file at `path` as it is.
///
/// # Errors
/// If it cannot be read; `Interrupted` if `stop` is raised before its end.
pub fn of_file(path: &Path, stop: &Stop) -> io::Result<Sha256Sum> {
    let mut file = File::open(path)?;
    let mut buf = vec![0; STEP_BYTES];
    let mut hasher = Sha256::new();
    loop {
        if stop.is_raised() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = match file.read(&mut buf) {
            Ok(0) => return Ok(Sha256Sum::finish(hasher)),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(buf.get(..len).unwrap_or_default());
    }
}

/// Whether the file at `path` may be written.
///
/// # Errors
/// If it is there already and `force` is not given.
pub fn check_free(path: &Path, force: bool) -> Result<(), PartialError> {
    match path.symlink_metadata() {
        Ok(_) if !force => Err(PartialError::Exists {
            path: path.to_path_buf(),
        }),
        _ => Ok(()),
    }
}

/// Writes `sum` beside the image at `image`.
///
/// # Errors
/// If the file cannot be written.
pub fn write(image: &Path, sum: Sha256Sum, force: bool) -> Result<(), PartialError> {
    let path = checksum_of(image);
    let file = PartialFile::create(&path, partial_of(&path), force)?;
    let name = image.file_name().unwrap_or_default().as_encoded_bytes();
    let written = file
        .file()
        .write_all(&line(sum, name))
        .and_then(|()| file.file().sync_all());
    match written {
        Ok(()) => file.commit(),
        Err(source) => {
            file.discard();
            Err(PartialError::Io {
                action: "writing",
                path,
                source,
            })
        }
    }
}

/// coreutils marks a line whose name has characters that it escapes with a
/// backslash at the line's beginning.
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
    use std::process::{Command, Stdio};

    #[test]
    fn sha256sum_accepts_it_whatever_the_name() {
        for name in ["out.core", "with space", "back\\slash", "new\nline"] {
            let folder = tempfile::tempdir().unwrap();
            let image = folder.path().join(name);
            std::fs::write(&image, b"memory").unwrap();
            write(&image, Sha256Sum::of(b"memory"), false).unwrap();
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
