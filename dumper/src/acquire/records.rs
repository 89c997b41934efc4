// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the manifest says of the plan.

use crate::clock::Moment;
use crate::manifest::{ImageRecord, MapEntry, ReadFirst, SourceRecord};
use crate::naming::{ImageFormat, Shape, Target};
use crate::pipeline::CHUNK_BYTES;
use crate::selection::{Part, Selected};
use crate::source::Held;
use linpmem_formats::ImagePlan;

/// What was read before its turn, for the manifest.
pub(super) fn held_record(held: &Held<'_>, started: Moment) -> ReadFirst {
    ReadFirst {
        bytes: held.total().get(),
        ranges: held
            .ranges()
            .iter()
            .map(|range| [range.start().into(), range.last().into()])
            .collect(),
        read_us: held.read_ns().map(|moment| started.micros_until(moment)),
    }
}

/// The map as it was cut: what was asked for, and what not.
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

/// The image, as it is planned.
pub(super) fn image_record(target: &Target, shape: Shape, plan: &ImagePlan) -> ImageRecord {
    let name = match target {
        Target::Stdout => "-".to_owned(),
        Target::File(path) => {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        }
    };
    ImageRecord {
        name,
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
        chunk_bytes: u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX),
        planned_bytes: plan.total().get(),
    }
}
