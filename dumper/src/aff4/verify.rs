// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hashes that an AFF4 image has in itself.

use linpmem_formats::{DETECT_BYTES, Detected, FileSource, Format, ReadAt, aff4, detect};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// The AFF4 image at `path`, with further `volumes` if it is striped; `None` if
/// it is something else.
///
/// # Errors
/// If it is one and cannot be read.
pub fn opened(
    path: &Path,
    volumes: &[std::path::PathBuf],
) -> Result<Option<aff4::Reader>, aff4::Error> {
    let file = FileSource::open(path)?;
    let mut head = [0; DETECT_BYTES];
    if file.len() < u64::try_from(DETECT_BYTES).unwrap_or(u64::MAX) {
        return Ok(None);
    }
    file.read_exact_at(0, &mut head)?;
    if detect(&head) != Some(Detected::Image(Format::Aff4)) {
        return Ok(None);
    }
    let mut sources: Vec<Arc<dyn ReadAt>> = vec![Arc::new(file)];
    for volume in volumes {
        sources.push(Arc::new(FileSource::open(volume)?));
    }
    aff4::Reader::open(sources).map(Some)
}

/// Checks every hash in `image` and prints what came out, members of the archive
/// only if they are wrong. The result is the exit code.
///
/// # Errors
/// If `out` failed.
pub fn verify(image: &aff4::Reader, out: &mut dyn Write) -> io::Result<u8> {
    let (mut right, mut wrong, mut unknown) = (0_u64, 0_u64, 0_u64);
    let mut printed = Ok(());
    image.verify(|check| {
        let count = match check.verdict {
            aff4::Verdict::Match => &mut right,
            aff4::Verdict::Mismatch(_) => &mut wrong,
            _ => &mut unknown,
        };
        *count = count.saturating_add(1);
        if check.level == aff4::Level::Member && check.verdict == aff4::Verdict::Match {
            return;
        }
        let algorithm = check
            .algorithm
            .map_or_else(|| "crc32".to_owned(), |algorithm| algorithm.to_string());
        if printed.is_ok() {
            printed = writeln!(
                out,
                "{:<12}  {algorithm:<7}  {}: {}",
                check.level, check.object, check.verdict
            );
        }
    });
    printed?;
    writeln!(
        out,
        "{right} hashes and checksums are right, {wrong} wrong, {unknown} of an unknown kind"
    )?;
    Ok(u8::from(wrong > 0))
}
