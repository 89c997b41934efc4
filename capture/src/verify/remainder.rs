// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes of an image that are outside its chunks.

use super::VerifyError;
use super::check::{Check, Computed};
use crate::hash::RemainderDigest;
use crate::pipeline::CHUNK_BYTES;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use std::io;

/// The hash over everything before, between and after the chunks.
///
/// # Errors
/// If the manifest cannot be read.
pub fn remainder_digest(check: &Check<'_>) -> Result<Computed, VerifyError> {
    let Some(end) = check.layout.file_record().map(|file| file.length) else {
        return Ok(Computed::Not);
    };
    if check.length < end {
        return Ok(Computed::Lacking);
    }
    let mut sum = RemainderDigest::default();
    let mut buffer = vec![0; CHUNK_BYTES.min(64 << 10)];
    let mut position = 0;
    let places = check.layout.chunks().filter_map(|chunk| match chunk {
        Ok(chunk) => Some(Ok((chunk.offset?, chunk.length))),
        Err(error) => Some(Err(error)),
    });
    for place in places.chain([Ok((end, 0))]) {
        let (offset, length) = place?;
        if stretch(check, position, offset, &mut buffer, &mut sum).is_err() {
            return Ok(Computed::Lacking);
        }
        sum.end_stretch();
        position = offset.saturating_add(length);
    }
    Ok(Computed::Sum(sum.finish()))
}

fn stretch(
    check: &Check<'_>,
    start: u64,
    end: u64,
    buffer: &mut [u8],
    sum: &mut RemainderDigest,
) -> io::Result<()> {
    let mut position = start;
    while position < end {
        let left = end - position;
        let hole = check.file.hole(position).min(left);
        if hole > 0 {
            sum.zeros(hole);
            position = position.saturating_add(hole);
            continue;
        }
        let step = left.min(len_bytes(buffer));
        let bytes = buffer.get_mut(..u64_as_usize(step)).unwrap_or_default();
        check.file.read_exact_at(position, bytes)?;
        sum.bytes(bytes);
        position = position.saturating_add(step);
    }
    Ok(())
}
