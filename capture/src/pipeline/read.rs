// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reading end: every planned byte once, in order.

use super::CHUNK_BYTES;
use super::pace::Pace;
use super::run::Acquisition;
use crate::buffer::{Pool, Pooled};
use crate::clock::monotonic_ns;
use crossbeam_channel::Sender;
use linpmem_formats::ImagePlan;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{PageBuffer, PhysLen, PhysRange, SourceError, Unreadables};

/// A chunk as it was read.
#[derive(Debug)]
pub struct RawChunk {
    /// Counts the chunks of the plan from 0, in order.
    pub sequence: u64,
    /// Goes back when the chunk was written.
    pub turn: Pooled<()>,
    /// Where it is.
    pub place: Place,
    /// Its bytes; none if they are known to be zero without reading them.
    pub buffer: Option<Pooled<PageBuffer>>,
    /// What could not be read; zero in `buffer`.
    pub unreadable: Unreadables,
    /// When it was read.
    pub time: ReadTime,
}

/// Where a chunk is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The number of the planned range that it is part of.
    pub range_index: usize,
    /// Its addresses.
    pub range: PhysRange,
}

/// When a chunk was read, in nanoseconds of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug)]
pub struct ReadTime {
    /// Before the first byte.
    pub begin_ns: u64,
    /// After the last.
    pub end_ns: u64,
}

/// The chunks of `plan`, in order: they end at multiples of [`CHUNK_BYTES`].
pub fn places(plan: &ImagePlan) -> impl Iterator<Item = Place> + '_ {
    let chunk = PhysLen::new(usize_as_u64(CHUNK_BYTES));
    let ranges = plan.ranges().iter().enumerate();
    ranges.flat_map(move |(range_index, planned)| {
        let pieces = planned.range.pieces(chunk);
        pieces.map(move |range| Place { range_index, range })
    })
}

/// Reads all of the plan, chunk by chunk, until `stop` is raised or no thread takes the
/// chunks any more.
///
/// # Errors
/// If the source as a whole failed.
pub fn read_all(
    acquisition: &Acquisition<'_>,
    pool: &Pool<PageBuffer>,
    turns: &Pool<()>,
    chunks: &Sender<RawChunk>,
) -> Result<(), SourceError> {
    let Acquisition {
        source,
        plan,
        stop,
        meter,
        ..
    } = *acquisition;
    let mut pace = acquisition.bytes_per_s.map(Pace::new);
    for (sequence, place) in (0..).zip(places(plan)) {
        if stop.is_raised() {
            return Ok(());
        }
        let Some(turn) = turns.take() else {
            return Ok(());
        };
        let mut unreadable = Unreadables::new();
        let begin_ns = monotonic_ns();
        let buffer = if source.is_known_zero(place.range) {
            None
        } else {
            let Some(mut buffer) = pool.take() else {
                return Ok(());
            };
            buffer.set_len(u64_as_usize(place.range.len().get()));
            source.read_pages(place.range.start(), &mut buffer, &mut unreadable)?;
            Some(buffer)
        };
        let time = ReadTime {
            begin_ns,
            end_ns: monotonic_ns(),
        };
        meter.add_read(place.range.len().get(), unreadable.total().pages());
        let raw = RawChunk {
            sequence,
            turn,
            place,
            buffer,
            unreadable,
            time,
        };
        if chunks.send(raw).is_err() {
            // A later stage failed, and reports why.
            return Ok(());
        }
        if let Some(pace) = &mut pace {
            pace.wait(place.range.len().get(), stop);
        }
    }
    Ok(())
}
