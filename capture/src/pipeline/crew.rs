// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many threads work on chunks, and how many buffers they get.
//!
//! Both follow from what one run may take of the memory that is being acquired, 32 MiB,
//! whatever the machine and the codec:
//!
//! | MiB | for |
//! |---|---|
//! | 7 | what is used of the program's file |
//! | 6 | everything else: stacks, the manifest, artifacts, three megabytes on their way to the disk |
//! | 19 | chunks, each a buffer and its frame if there is a compression, and the state of each thread's encoder |
//!
//! A format with an encoder of its own keeps up to two of these 19 for its writer, and a sink may
//! keep more ([`Sink::kept_bytes`](crate::sink::Sink::kept_bytes)).

use crate::buffer::CHUNK_BYTES;
use crate::frame::FrameEncoder;
use crate::hash::Backend;
use linpmem_formats::Codec;
use std::num::NonZeroUsize;

const MIB: usize = 1 << 20;

/// For chunks, and the encoders of all threads.
const CHUNKS_BYTES: usize = 19 * MIB;

/// The share of that which a format with an encoder of its own has for its writer, such as
/// a segment of AFF4.
const WRITER_BYTES: usize = 2 * MIB;

/// A thread's stack, and what allocators keep for it.
const THREAD_BYTES: usize = 64 << 10;

/// What a format's own encoder needs in each thread, about.
const OWN_STATE_BYTES: usize = 320 << 10;

/// Buffers besides the one that each worker holds, at least: for the reader, and on its way
/// to the disk.
const LEAST_SPARE: usize = 2;

/// And as long as nothing shows that more are needed: between the workers and the disk.
const SPARE: usize = 4;

/// Four threads with SHA instructions hash more than one thread reads.
const MAX_WITH_INSTRUCTIONS: usize = 4;

/// Three threads with lanes hash all chunks that there may be at once.
const MAX_WITH_LANES: usize = 3;

/// More threads than this would read an image faster than disks are.
const MAX_READERS: usize = 16;

/// What becomes of each chunk besides its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Compression around the image, if any.
    Around(Codec),
    /// The format's own encoder, whose results have up to this many bytes.
    Own {
        /// Bytes of an encoded chunk.
        frame_bytes: usize,
    },
}

/// How fast this processor hashes chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// Below 200 MiB/s in each thread.
    Plain,
    /// More than 1 GiB/s in each thread.
    Instructions,
    /// More than 1 GiB/s in each thread that gets this many chunks at once.
    Lanes(usize),
}

/// What a crew has to do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What becomes of each chunk besides its hash.
    pub encoding: Encoding,
    /// How fast this processor hashes chunks.
    pub hashing: Hashing,
    /// How many chunks may wait for the file's hashes, or for the disk of a receiver.
    pub waiting: usize,
    /// Bytes of memory that the sink keeps, and are not for chunks.
    pub kept: usize,
}

/// The threads and buffers of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crew {
    /// Threads that hash and compress.
    pub workers: NonZeroUsize,
    /// Buffers for chunks in the beginning.
    pub first_buffers: usize,
    /// Buffers if the workers turn out to be what the others wait for.
    pub most_buffers: usize,
    /// Bytes of each buffer for an encoded chunk; 0 if there are none.
    pub frame_bytes: usize,
}

impl Encoding {
    fn frame_bytes(self) -> usize {
        match self {
            Self::Own { frame_bytes } => frame_bytes,
            Self::Around(Codec::None) => 0,
            Self::Around(_) => FrameEncoder::bound(CHUNK_BYTES),
        }
    }

    const fn state_bytes(self) -> usize {
        THREAD_BYTES
            + match self {
                Self::Own { .. } => OWN_STATE_BYTES,
                Self::Around(codec) => FrameEncoder::state_bytes(codec),
            }
    }

    /// Bytes of a chunk in memory. A chunk that cannot be compressed is hardly longer then,
    /// and only what is written to takes memory.
    const fn chunk_bytes(self) -> usize {
        match self {
            Self::Around(Codec::None) => CHUNK_BYTES,
            // Its encoder writes zeros to all that it may need.
            Self::Around(Codec::Lz4) => 2 * CHUNK_BYTES + CHUNK_BYTES / 10,
            _ => 2 * CHUNK_BYTES + (CHUNK_BYTES >> 5),
        }
    }

    const fn budget(self) -> usize {
        match self {
            Self::Own { .. } => CHUNKS_BYTES - WRITER_BYTES,
            Self::Around(_) => CHUNKS_BYTES,
        }
    }
}

impl Load {
    /// `encoding` alone, into a file.
    const fn of(encoding: Encoding, hashing: Hashing) -> Self {
        Self {
            encoding,
            hashing,
            waiting: 0,
            kept: 0,
        }
    }

    const fn budget(self) -> usize {
        self.encoding.budget().saturating_sub(self.kept)
    }
}

impl From<Backend> for Hashing {
    fn from(backend: Backend) -> Self {
        match (backend.lanes(), backend.has_instructions()) {
            (1, true) => Self::Instructions,
            (1, false) => Self::Plain,
            (lanes, _) => Self::Lanes(lanes),
        }
    }
}

impl Crew {
    /// The crew for `load` on a machine with `cpus`. `asked` is how many threads the user wants,
    /// even if they take more memory.
    pub fn new(asked: Option<NonZeroUsize>, cpus: NonZeroUsize, load: Load) -> Self {
        let Load {
            encoding,
            hashing,
            waiting,
            ..
        } = load;
        let workers = asked.unwrap_or_else(|| threads(cpus, load));
        let states = workers.get().saturating_mul(encoding.state_bytes());
        let fit = load.budget().saturating_sub(states) / encoding.chunk_bytes();
        let least = workers.get().saturating_add(LEAST_SPARE);
        let in_lanes = match hashing {
            // One thread has all that it can hash at once, and the others half of it.
            Hashing::Lanes(lanes) => workers.get().saturating_add(1).saturating_mul(lanes) / 2,
            _ => 0,
        };
        let spare = SPARE.saturating_add(waiting);
        let useful = |held: usize| held.saturating_add(spare).min(fit).max(least);
        Self {
            workers,
            first_buffers: useful(workers.get()),
            most_buffers: useful(workers.get().max(in_lanes)),
            frame_bytes: encoding.frame_bytes(),
        }
    }
}

/// How many threads work on chunks unless the user says otherwise: one per CPU, as far as
/// one reader can feed them and memory allows it.
fn threads(cpus: NonZeroUsize, load: Load) -> NonZeroUsize {
    let Load {
        encoding, hashing, ..
    } = load;
    let spare = LEAST_SPARE * encoding.chunk_bytes();
    let each = encoding.chunk_bytes() + encoding.state_bytes();
    let fit = load.budget().saturating_sub(spare) / each;
    let useful = match (encoding, hashing) {
        (Encoding::Around(Codec::None), Hashing::Instructions) => MAX_WITH_INSTRUCTIONS,
        (Encoding::Around(Codec::None), Hashing::Lanes(_)) => MAX_WITH_LANES,
        _ => fit,
    };
    NonZeroUsize::new(cpus.get().min(useful).min(fit)).unwrap_or(NonZeroUsize::MIN)
}

/// How many threads hash and compress on this machine with `codec` unless the plan says
/// otherwise.
#[must_use]
pub fn default_threads(codec: Codec) -> NonZeroUsize {
    let hashing = Backend::best().into();
    threads(cpus(), Load::of(Encoding::Around(codec), hashing))
}

/// How many threads verify an image on this machine unless the user says otherwise: each
/// reads on its own.
#[must_use]
pub fn default_readers() -> NonZeroUsize {
    NonZeroUsize::new(cpus().get().min(MAX_READERS)).unwrap_or(NonZeroUsize::MIN)
}

/// The CPUs that this process may use.
pub fn cpus() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANES: Hashing = Hashing::Lanes(8);
    const OWN: Encoding = Encoding::Own {
        frame_bytes: CHUNK_BYTES + 4096,
    };

    const fn zstd(level: i32) -> Encoding {
        Encoding::Around(Codec::Zstd { level })
    }

    fn of(cpus: usize, encoding: Encoding, hashing: Hashing) -> Crew {
        kept(cpus, encoding, hashing, 0)
    }

    fn kept(cpus: usize, encoding: Encoding, hashing: Hashing, kept: usize) -> Crew {
        let load = Load {
            kept,
            ..Load::of(encoding, hashing)
        };
        Crew::new(None, NonZeroUsize::new(cpus).unwrap(), load)
    }

    #[test]
    fn threads_for_2_8_and_64_cpus() {
        let none = Encoding::Around(Codec::None);
        for (encoding, hashing, expected) in [
            (none, Hashing::Instructions, [2, 4, 4]),
            (none, LANES, [2, 3, 3]),
            (none, Hashing::Plain, [2, 8, 16]),
            (zstd(1), LANES, [2, 5, 5]),
            (zstd(1), Hashing::Instructions, [2, 5, 5]),
            (zstd(3), LANES, [2, 4, 4]),
            (zstd(5), LANES, [2, 2, 2]),
            (zstd(9), LANES, [1, 1, 1]),
            (zstd(22), LANES, [1, 1, 1]),
            (Encoding::Around(Codec::Lz4), LANES, [2, 6, 6]),
            (Encoding::Around(Codec::Snappy), LANES, [2, 6, 6]),
            (OWN, LANES, [2, 5, 5]),
        ] {
            let workers = [2, 8, 64].map(|cpus| of(cpus, encoding, hashing).workers.get());
            assert_eq!(workers, expected, "{encoding:?}, {hashing:?}");
        }
    }

    #[test]
    fn every_crew_fits_into_its_share_of_memory() {
        let codecs = [Codec::None, Codec::Lz4, Codec::Snappy].map(Encoding::Around);
        let all: Vec<Encoding> = (-5..=22).map(zstd).chain(codecs).chain([OWN]).collect();
        for &encoding in &all {
            for hashing in [Hashing::Plain, Hashing::Instructions, LANES] {
                for cpus in 1..=256 {
                    let crew = of(cpus, encoding, hashing);
                    let workers = crew.workers.get();
                    assert!(workers <= cpus);
                    assert!(crew.first_buffers >= workers + LEAST_SPARE);
                    assert!(crew.most_buffers >= crew.first_buffers);
                    let bytes = workers * encoding.state_bytes()
                        + crew.most_buffers * encoding.chunk_bytes();
                    // The strongest levels need three chunks beside 17 MiB of their own.
                    let excess = match encoding {
                        Encoding::Around(Codec::Zstd { level: 13.. }) => 5 * MIB,
                        _ => 0,
                    };
                    let budget = encoding.budget() + excess;
                    assert!(
                        bytes <= budget,
                        "{encoding:?}, {hashing:?}, {cpus}: {crew:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_a_sink_keeps_is_taken_from_the_chunks() {
        let lz4 = Encoding::Around(Codec::Lz4);
        for (encoding, expected) in [(lz4, 2), (zstd(1), 2), (OWN, 2)] {
            let crew = kept(8, encoding, LANES, 8 * MIB);
            assert_eq!(crew.workers.get(), expected, "{encoding:?}");
            let bytes =
                expected * encoding.state_bytes() + crew.most_buffers * encoding.chunk_bytes();
            assert!(bytes + 8 * MIB <= encoding.budget(), "{crew:?}");
        }
        // Nothing is left, and somebody has to do it.
        assert_eq!(kept(8, lz4, LANES, 64 * MIB).workers.get(), 1);
    }

    #[test]
    fn lanes_get_chunks_to_fill_them_with() {
        let none = Encoding::Around(Codec::None);
        let [alone, lanes] = [Hashing::Instructions, LANES].map(|hashing| of(2, none, hashing));
        assert_eq!((alone.first_buffers, alone.most_buffers), (6, 6));
        assert_eq!((lanes.first_buffers, lanes.most_buffers), (6, 16));
        assert_eq!(of(1, none, LANES).most_buffers, 12);
        assert_eq!(of(8, none, LANES).most_buffers, 18);
    }

    #[test]
    fn whoever_asks_for_threads_gets_them() {
        let crew = Crew::new(
            NonZeroUsize::new(32),
            NonZeroUsize::MIN,
            Load::of(zstd(19), Hashing::Instructions),
        );
        assert_eq!(crew.workers.get(), 32);
        assert!(crew.first_buffers > 32);
    }
}
