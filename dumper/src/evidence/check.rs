// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an image's evidence is still what its manifest says.

use super::archive::Section;
use super::beside;
use crate::digest::Sha256Sum;
use crate::manifest::{EvidencePlace, EvidenceRecord};
use linpmem_formats::{FileSource, ReadAt, elf, open_bytes};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Bytes that are hashed at a time.
const STEP_BYTES: usize = 256 << 10;

/// Compares the evidence of the image at `image` with `record`, and says what
/// differs. The files of an AFF4 volume have hashes of their own in it, which are
/// checked with the others there.
///
/// # Errors
/// If `out` failed.
pub(crate) fn check(
    image: &Path,
    record: &EvidenceRecord,
    out: &mut dyn Write,
) -> io::Result<bool> {
    let (name, found) = match record.place {
        EvidencePlace::Members => return Ok(true),
        EvidencePlace::Note => (image.to_path_buf(), in_note(image)),
        EvidencePlace::File => {
            let own = record.file.clone().unwrap_or_default();
            match beside(image) {
                Some(path) => (path.clone(), whole(&path)),
                None => {
                    let path = image.with_file_name(own);
                    (path, Err(io::ErrorKind::NotFound.into()))
                }
            }
        }
    };
    let name = name.display();
    let damage = match (found, record.length, record.sha256) {
        (Err(error), ..) if error.kind() == io::ErrorKind::NotFound => {
            "the evidence is missing".to_owned()
        }
        (Err(error), ..) => format!("the evidence cannot be read: {error}"),
        (Ok((length, _)), Some(expected), _) if length != expected => {
            format!("the evidence has {length} bytes, not {expected}")
        }
        (Ok((_, sum)), _, Some(expected)) if sum != expected => {
            format!("the evidence differs: SHA-256 {sum}, was {expected}")
        }
        (Ok((length, _)), ..) => {
            writeln!(out, "{name}: the evidence is good: {length} bytes")?;
            return Ok(true);
        }
    };
    writeln!(out, "{name}: {damage}")?;
    Ok(false)
}

fn in_note(image: &Path) -> io::Result<(u64, Sha256Sum)> {
    let bytes = open_bytes(image).map_err(io::Error::other)?.bytes;
    let elf = elf::Reader::new(Arc::clone(&bytes)).map_err(io::Error::other)?;
    let (offset, len) = elf.artifacts().ok_or(io::ErrorKind::NotFound)?;
    Ok((len, sum(Section::new(bytes, offset, len))?))
}

fn whole(path: &Path) -> io::Result<(u64, Sha256Sum)> {
    let file = FileSource::open(path)?;
    let len = file.len();
    Ok((len, sum(Section::whole(Arc::new(file)))?))
}

fn sum(mut bytes: impl Read) -> io::Result<Sha256Sum> {
    let mut hasher = Sha256::new();
    let mut step = vec![0; STEP_BYTES];
    loop {
        match bytes.read(&mut step)? {
            0 => return Ok(Sha256Sum::finish(hasher)),
            size => hasher.update(step.get(..size).unwrap_or_default()),
        }
    }
}
