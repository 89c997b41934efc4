// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a comparison of an image with its manifest found.

use super::check::{Computed, Fault, Faults, Found};
use super::layout::Layout;
use super::listed::{Listed, ListedRange};
use linpmem_manifest::{FurtherHash, HashRecord, Sha256Sum, State};
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{Errno, PhysLen};
use std::fmt;
use std::time::Duration;

/// The result of a comparison.
#[derive(Debug)]
pub struct Report {
    /// What is wrong with the image; empty if nothing is.
    pub damages: Vec<Damage>,
    /// What could not be compared, because the manifest ends early.
    pub unverified: Option<Unverified>,
    /// Ranges compared.
    pub ranges: usize,
    /// Chunks compared.
    pub chunks: u64,
    /// Bytes of the file.
    pub length: u64,
    /// Whether chunks and remainder together cover every byte of the file.
    pub covered: bool,
    /// Whether the file's own SHA-256 was computed.
    pub whole: bool,
    /// The time it took.
    pub elapsed: Duration,
}

/// What a manifest that ends early does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the manifest ends early, after line {lines}: the run that wrote it did not finish. {}", self.rest())]
pub struct Unverified {
    /// Complete lines of the manifest.
    pub lines: u64,
    /// Whether the image was whole by then, and only hashes of its file are not known.
    pub is_image_whole: bool,
    /// Memory that it lists.
    pub listed: PhysLen,
    /// Memory that was planned.
    pub planned: PhysLen,
}

impl Unverified {
    fn rest(&self) -> String {
        let Self {
            listed, planned, ..
        } = self;
        match self.is_image_whole {
            true => {
                "The image was whole by then, only the hash of its file is not known and could \
                     not be verified; `linpmem-dump recover` gives a `.partial` its name"
                    .to_owned()
            }
            false => format!(
                "It lists {listed} of the {planned} of memory that were planned; the rest, and \
                 everything outside of memory, could not be verified"
            ),
        }
    }
}

/// One way in which an image differs from its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The run that wrote it did not complete.
    NotComplete {
        /// How it ended.
        state: State,
        /// Bytes of memory that were written.
        written: u64,
        /// Bytes of memory that were planned.
        planned: u64,
    },
    /// The file is too short.
    Truncated {
        /// Bytes that are missing.
        missing: u64,
        /// Bytes that the file should have.
        expected: u64,
    },
    /// The file is too long.
    Appended {
        /// Extra bytes.
        extra: u64,
        /// Bytes that the file should have.
        expected: u64,
    },
    /// A chunk has changed.
    Chunk {
        /// The range that it is part of, in words.
        range: String,
        /// Counts the chunks of the range from 0.
        number: u64,
        /// Its addresses, in words.
        addresses: String,
        /// Its first byte in the file, if it is in one piece there.
        offset: Option<u64>,
        /// What is wrong.
        fault: Fault,
    },
    /// This many more chunks have changed.
    MoreChunks(u64),
    /// A range has changed.
    Range {
        /// The range, in words.
        range: String,
        /// Chunks that have changed.
        damaged: u64,
        /// Chunks of the range.
        chunks: u64,
    },
    /// Bytes outside the chunks have changed.
    Remainder {
        /// The hash that they should have.
        expected: Sha256Sum,
        /// Their hash; none if bytes are missing.
        found: Option<Sha256Sum>,
    },
    /// Another hash of the file has changed.
    FurtherHash {
        /// The hash function.
        algorithm: FurtherHash,
        /// The hash that it should have.
        expected: String,
        /// The hash that it has.
        found: String,
    },
    /// The file as a whole has changed.
    File {
        /// The hash that it should have.
        expected: Sha256Sum,
        /// The hash that it has, without appended bytes.
        found: Sha256Sum,
        /// Whether every range is unchanged nevertheless.
        outside_ranges: bool,
    },
}

impl Report {
    pub(super) fn new(layout: &Layout<'_>, found: Found<'_>, elapsed: Duration) -> Self {
        let listed = layout.listed();
        let file = layout.file_record();
        let mut damages = Vec::new();
        damages.extend(not_complete(listed, layout.bytes));
        damages.extend(file.and_then(|file| wrong_length(file.length, found.length)));
        let shown = found.faults.first.values();
        damages.extend(shown.map(|(chunk, fault)| Damage::Chunk {
            range: name(chunk.range),
            number: chunk.number,
            addresses: chunk.addresses.to_string(),
            offset: chunk.offset,
            fault: fault.clone(),
        }));
        let more = found.faults.count - usize_as_u64(found.faults.first.len());
        if more > 0 {
            damages.push(Damage::MoreChunks(more));
        }
        damages.extend(bad_ranges(listed, &found.faults));
        let remainder = file.and_then(|file| file.sha256_remainder);
        if let (Some(expected), outside) = (remainder, &found.outside) {
            if *outside != Computed::Sum(expected) {
                damages.push(Damage::Remainder {
                    expected,
                    found: outside.sum(),
                });
            }
        }
        let sha256 = file.and_then(|file| file.sha256);
        if let (Some(expected), Computed::Sum(sum)) = (sha256, &found.file) {
            if expected != *sum {
                damages.push(Damage::File {
                    expected,
                    found: *sum,
                    outside_ranges: found.faults.count == 0,
                });
            }
        }
        // Only those that were computed; missing bytes are reported already.
        for found in &found.further {
            let is_same = |known: &&HashRecord| known.algorithm == found.algorithm;
            let known = file.and_then(|file| file.hashes.iter().find(is_same));
            if let Some(known) = known.filter(|known| known.digest != found.digest) {
                damages.push(Damage::FurtherHash {
                    algorithm: found.algorithm,
                    expected: known.digest.clone(),
                    found: found.digest.clone(),
                });
            }
        }
        Self {
            covered: remainder.is_some(),
            damages,
            unverified: listed.is_cut.then(|| Unverified {
                lines: listed.lines,
                is_image_whole: listed.footer.is_some(),
                listed: PhysLen::new(layout.bytes),
                planned: PhysLen::new(listed.header.image.planned_bytes),
            }),
            ranges: listed.ranges.len(),
            chunks: layout.count,
            length: found.length,
            whole: matches!(found.file, Computed::Sum(_)),
            elapsed,
        }
    }

    /// Whether the image is what its manifest says, from the first byte to the last.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.damages.is_empty() && self.unverified.is_none()
    }
}

/// Ranges with chunks that have changed.
fn bad_ranges<'a>(listed: &'a Listed, faults: &'a Faults<'_>) -> impl Iterator<Item = Damage> + 'a {
    listed.ranges.iter().filter_map(|range| {
        let damaged = *faults.by_range.get(&range.record.index)?;
        Some(Damage::Range {
            range: name(range),
            damaged,
            chunks: range.chunks,
        })
    })
}

/// What a run that ended early has to say of an image with `bytes` of memory in its chunks.
fn not_complete(listed: &Listed, bytes: u64) -> Option<Damage> {
    let state = listed.footer.as_ref()?.state;
    if state.is_whole() {
        return None;
    }
    let unreadable = listed.ranges.iter().flat_map(|range| &range.unreadable);
    let filled = unreadable.filter(|part| part.errno == Errno::ECANCELED);
    let filled: u64 = filled.map(|part| part.range.len().get()).sum();
    Some(Damage::NotComplete {
        state,
        // They lie in the chunks, and do not overlap.
        written: bytes - filled,
        planned: listed.header.image.planned_bytes,
    })
}

fn wrong_length(expected: u64, found: u64) -> Option<Damage> {
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Some(Damage::Truncated {
            missing: expected - found,
            expected,
        }),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(Damage::Appended {
            extra: found - expected,
            expected,
        }),
    }
}

fn name(range: &ListedRange) -> String {
    let record = &range.record;
    format!(
        "range {} ({} {})",
        record.index, record.kind, range.addresses
    )
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotComplete {
                state,
                written,
                planned,
            } => write!(
                f,
                "the acquisition was not completed ({}): {written} of {planned} bytes of memory \
                 were read",
                state.name()
            ),
            Self::Truncated { missing, expected } => write!(
                f,
                "truncated: the last {missing} of {expected} bytes are missing"
            ),
            Self::Appended { extra, expected } => write!(
                f,
                "{extra} bytes were appended after the {expected} that belong to it"
            ),
            Self::Chunk {
                range,
                number,
                addresses,
                offset,
                fault,
            } => {
                write!(f, "{range}, chunk {number} ({addresses}")?;
                if let Some(offset) = offset {
                    write!(f, ", file offset {offset:#x}")?;
                }
                write!(f, ") {fault}")
            }
            Self::MoreChunks(count) => write!(f, "and {count} more chunks"),
            Self::Range {
                range,
                damaged,
                chunks,
            } => write!(f, "{range} differs in {damaged} of {chunks} chunks"),
            Self::Remainder {
                expected,
                found: Some(found),
            } => write!(
                f,
                "headers, notes or padding, outside of all ranges, differ: SHA-256 is {found}, was \
                {expected}"
            ),
            Self::Remainder { found: None, .. } => {
                f.write_str("headers, notes or padding, outside of all ranges, are incomplete")
            }
            Self::FurtherHash {
                algorithm,
                expected,
                found,
            } => write!(
                f,
                "the file differs: {} is {found}, was {expected}",
                algorithm.name()
            ),
            Self::File {
                expected,
                found,
                outside_ranges,
            } => {
                write!(f, "the file differs: SHA-256 is {found}, was {expected}")?;
                if *outside_ranges {
                    f.write_str(" (outside of all ranges: in headers or padding)")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs => f.write_str("differs"),
            Self::Missing => f.write_str("is missing: the file ends before it"),
            Self::Marks => f.write_str("differs in which pages are marked as unreadable"),
            Self::Damaged => f.write_str("differs: it cannot be decompressed"),
            Self::Unreadable(reason) => write!(f, "cannot be read from the disk: {reason}"),
        }
    }
}
