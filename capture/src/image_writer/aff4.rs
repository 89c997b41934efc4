// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of an AFF4 image, from the plan and the source.

use crate::clock::Moment;
use crate::hash::aff4_hash;
use crate::plan::Plan;
use linpmem_formats::aff4;
use linpmem_manifest::MachineRecord;
use linpmem_phys::PhysLen;
use std::fs::File;
use std::io::{self, Read};

/// The fewest and the most chunks of 32 KiB in a segment.
const CHUNKS_IN_SEGMENT: [u32; 2] = [256, 2048];
/// Until it is written, a segment takes up some of the memory that is being acquired. So
/// it is about this fraction of it: 8 MiB on a small machine, 64 MiB from 64 GiB on.
const SHARE_OF_MEMORY: u64 = 1024;

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
    let mut linear_hashes = vec![aff4::HashAlgorithm::Sha256];
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
        ..aff4::Options::new(urns, clock, tool)
    })
}

fn chunks_in_segment(total: PhysLen) -> u32 {
    const CHUNK_BYTES: u64 = 32 << 10;
    let [least, most] = CHUNKS_IN_SEGMENT;
    let share = total.get() / (SHARE_OF_MEMORY * CHUNK_BYTES);
    let chunks = u32::try_from(share).map_or(most, |share| share.clamp(least, most));
    // `most` is a power of two.
    chunks.next_power_of_two()
}

/// A warning if `writer` computes no hash over all addresses.
#[must_use]
pub fn lacks_linear_hash(writer: &aff4::Writer) -> Option<String> {
    writer.linear_hashes().is_empty().then(|| {
        "the image will have no linear hash, because its holes exceed 16 GiB and would have to be \
         hashed too; the hashes of chunks, map and image still cover everything"
            .to_owned()
    })
}

fn random() -> io::Result<[[u8; 16]; 4]> {
    let mut bytes = [[0; 16]; 4];
    File::open("/dev/urandom")?.read_exact(bytes.as_flattened_mut())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_small_on_small_machines() {
        for (gib, chunks) in [
            (0, 256),
            (1, 256),
            (8, 256),
            (20, 1024),
            (64, 2048),
            (4096, 2048),
        ] {
            assert_eq!(chunks_in_segment(PhysLen::new(gib << 30)), chunks, "{gib}");
        }
    }
}
