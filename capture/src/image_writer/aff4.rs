// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of an AFF4 image, from the plan and the source.

use crate::clock::Moment;
use crate::hash::{Backend, aff4_hash};
use crate::plan::Plan;
use crate::random::random;
use linpmem_formats::aff4;
use linpmem_manifest::MachineRecord;
use linpmem_phys::PhysLen;
use std::io;

/// The fewest and the most chunks of 32 KiB in a segment.
const CHUNKS_IN_SEGMENT: [u32; 2] = [256, 65_536];
/// The number of chunks in a segment that other programs use, 64 MiB.
const USUAL_CHUNKS: u32 = 2048;
/// Of an acquisition that is interrupted, the segment in progress is lost. So a segment is
/// about this fraction of the memory: 8 MiB on a small machine, 64 MiB from 64 GiB on.
const SHARE_OF_MEMORY: u64 = 1024;
/// Both the writer and every reader keep something of each segment. So there are not many
/// more than this, and from 2 TiB on segments are larger than usual.
const MOST_SEGMENTS: u64 = 32 << 10;

/// The options of a new image of `total` bytes of memory, with `files`. Its names are
/// random, since no two images may share one.
///
/// # Errors
/// If /dev/urandom cannot be read.
pub fn options(
    plan: &Plan,
    compression: aff4::Compression,
    file_name: Option<String>,
    machine: &MachineRecord,
    total: PhysLen,
    files: Vec<aff4::File>,
) -> io::Result<aff4::Options> {
    let urns = aff4::Urns::from_random(random()?);
    let clock = aff4::Clock::new(|| Moment::now().stamp().utc);
    let tool = format!("{} {}", plan.tool.name, plan.tool.version);
    let mut linear_hashes = Vec::new();
    if plan.image.linear_hash {
        linear_hashes.push(aff4::HashAlgorithm::Sha256);
    }
    let further = plan.hashes.further.iter();
    linear_hashes.extend(further.filter_map(|&hash| aff4_hash(hash)));
    Ok(aff4::Options {
        file_name,
        compression,
        linear_hashes,
        facts: aff4::Facts {
            page_table: machine.kernel_page_table.map(|address| address.0),
            kaslr_offset: machine.kaslr_offset.map(|address| address.0),
            installed_bytes: None,
        },
        case: aff4::Case {
            name: plan.image.case.name.clone(),
            examiner: plan.image.case.examiner.clone(),
            notes: plan.image.case.notes.clone(),
        },
        files,
        chunks_in_segment: chunks_in_segment(total),
        sha256: |blocks| Backend::best().digests(blocks),
        ..aff4::Options::new(urns, clock, tool)
    })
}

fn chunks_in_segment(total: PhysLen) -> u32 {
    const CHUNK_BYTES: u64 = 32 << 10;
    let [least, most] = CHUNKS_IN_SEGMENT;
    let chunks = total.get() / CHUNK_BYTES;
    let share = (chunks / SHARE_OF_MEMORY).min(u64::from(USUAL_CHUNKS));
    let wanted = share.max(chunks.div_ceil(MOST_SEGMENTS));
    let wanted = u32::try_from(wanted).map_or(most, |wanted| wanted.clamp(least, most));
    // `most` is a power of two.
    wanted.next_power_of_two()
}

/// A warning if `writer` does not compute the hashes over all addresses that were `wanted`.
#[must_use]
pub fn lacks_linear_hash(wanted: bool, writer: &aff4::Writer) -> Option<String> {
    (wanted && writer.linear_hashes().is_empty()).then(|| {
        "the image will have no linear hash, because its holes exceed 16 GiB and would have to be \
         hashed too; the hashes of chunks, map and image still cover everything"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_small_on_small_machines_and_few_on_the_largest() {
        for (gib, chunks) in [
            (0, 256),
            (1, 256),
            (8, 256),
            (20, 1024),
            (64, 2048),
            (2048, 2048),
            (4096, 4096),
            (24 << 10, 32_768),
            (1 << 24, 65_536),
        ] {
            assert_eq!(chunks_in_segment(PhysLen::new(gib << 30)), chunks, "{gib}");
        }
    }
}
