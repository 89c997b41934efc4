// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the manifest records about the plan.

use crate::clock::Moment;
use crate::image_format::{ImageFormat, Shape, Target};
use crate::pipeline::CHUNK_BYTES;
use crate::prefetch::Prefetched;
use crate::selection::{Part, Selected};
use linpmem_formats::ImagePlan;
use linpmem_manifest::{ImageId, ImageRecord, MapEntry, ReadFirst, ReadSpan, SourceRecord};
use linpmem_phys::num::usize_as_u64;

/// The memory that was read before everything else.
pub(super) fn prefetched_record(prefetched: &Prefetched<'_>, started: Moment) -> ReadFirst {
    let moments = prefetched.read_ns();
    let [begin_us, end_us] = moments.map(|moment| started.micros_until(moment));
    ReadFirst {
        bytes: prefetched.total().get(),
        ranges: prefetched
            .ranges()
            .iter()
            .map(|range| [range.start().into(), range.last().into()])
            .collect(),
        read_us: ReadSpan::between(begin_us, end_us),
    }
}

/// The map, divided into what is read and what is not.
pub(super) fn map_entries(selected: &Selected, source: &SourceRecord) -> Vec<MapEntry> {
    let entry = |part: Part| {
        let kind = part.kind.name();
        let served = part.is_read.then(|| source.serving(kind)).flatten();
        MapEntry {
            start: part.range.start().into(),
            last: part.range.last().into(),
            kind: kind.to_owned(),
            requested: part.is_read,
            source: served.map(str::to_owned),
        }
    };
    selected.parts().into_iter().map(entry).collect()
}

/// The planned image.
pub(super) fn image_record(
    target: &Target,
    id: ImageId,
    shape: Shape,
    plan: &ImagePlan,
) -> ImageRecord {
    ImageRecord {
        name: target.file_name().unwrap_or_else(|| "-".to_owned()),
        id: Some(id),
        format: shape.format.name().to_owned(),
        raw_layout: match shape.format {
            ImageFormat::Raw(layout) => Some(layout.to_string()),
            _ => None,
        },
        compression: match shape.format {
            ImageFormat::Aff4(within) => within.to_string(),
            ImageFormat::Kdump(within) => within.to_string(),
            ImageFormat::Avml => "snappy".to_owned(),
            _ => shape.codec.to_string(),
        },
        chunk_bytes: usize_as_u64(CHUNK_BYTES),
        planned_bytes: plan.total().get(),
    }
}
