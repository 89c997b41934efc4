// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ways to hash, and which of them a processor has.

use crate::block::{Block, Ending, INITIAL, State, digest};
use crate::jobs::{self, Job};
#[cfg(avx512)]
use crate::vectors::Avx512;
#[cfg(target_arch = "x86_64")]
use crate::vectors::{self, Avx2};
use linpmem_phys::num::len_bytes as slice_len;
use sha2::digest::array::Array;
use sha2::digest::typenum::U64;

/// A way to hash messages. Exists only on processors that can do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    kind: Kind,
    /// Fewer messages than this are hashed one after another.
    least: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `sha2`, which has found no SHA instructions.
    Plain,
    /// `sha2`, which uses SHA instructions.
    Instructions,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(avx512)]
    Avx512(Avx512),
}

/// A message in lanes is hashed slower than one by plain code alone, two are faster.
const LEAST: usize = 2;

/// The hash of a message whose first blocks are known.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: State,
    len_bytes: u64,
}

impl Default for Hasher {
    fn default() -> Self {
        Self {
            state: INITIAL,
            len_bytes: 0,
        }
    }
}

impl Backend {
    /// One message after another, as the crate `sha2` does it.
    #[must_use]
    pub fn alone() -> Self {
        Self::of(match has_instructions() {
            true => Kind::Instructions,
            false => Kind::Plain,
        })
    }

    /// All that this processor has, each used for two messages already.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let alone = std::iter::once(Self::alone());
        alone.chain(Self::vectors().into_iter().flatten()).collect()
    }

    /// With AVX2 and with AVX-512, as far as this processor has them.
    fn vectors() -> [Option<Self>; 2] {
        #[cfg(target_arch = "x86_64")]
        let avx2 = Avx2::detect().map(|proof| Self::of(Kind::Avx2(proof)));
        #[cfg(not(target_arch = "x86_64"))]
        let avx2 = None;
        #[cfg(avx512)]
        let avx512 = Avx512::detect().map(|proof| Self::of(Kind::Avx512(proof)));
        #[cfg(not(avx512))]
        let avx512 = None;
        [avx2, avx512]
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, least: LEAST }
    }

    /// Its lanes are used from `least` messages on.
    pub(crate) const fn with_least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.kind {
            Kind::Plain => "sha2",
            Kind::Instructions => "sha2 with SHA instructions",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => "AVX2",
            #[cfg(avx512)]
            Kind::Avx512(_) => "AVX-512",
        }
    }

    /// How many messages are hashed at once: fewer leave some of the processor unused, and
    /// more take turns.
    #[must_use]
    pub const fn lanes(self) -> usize {
        match self.kind {
            Kind::Plain | Kind::Instructions => 1,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(_) => vectors::LANES,
            #[cfg(avx512)]
            Kind::Avx512(_) => vectors::LANES,
        }
    }

    /// How many of `waiting` messages to hash at once, at least 1 if any wait: all that the
    /// lanes hold, or one at a time if lanes would be slower.
    #[must_use]
    pub fn at_once(self, waiting: usize) -> usize {
        let most = waiting.min(self.lanes());
        if most < self.least {
            return waiting.min(1);
        }
        most
    }

    /// Whether it is SHA instructions.
    #[must_use]
    pub const fn has_instructions(self) -> bool {
        matches!(self.kind, Kind::Instructions)
    }

    /// The SHA-256 of each message, in their order.
    #[must_use]
    pub fn digests<M: AsRef<[u8]>>(self, messages: &[M]) -> Vec<[u8; 32]> {
        let whole = messages
            .iter()
            .map(|message| (Hasher::default(), message.as_ref()));
        self.finish(whole)
    }

    /// Adds blocks to messages.
    pub fn update<'a>(self, parts: impl IntoIterator<Item = (&'a mut Hasher, &'a [Block])>) {
        let parts = parts.into_iter().map(|(hasher, blocks)| hasher.job(blocks));
        self.run(parts);
    }

    /// The SHA-256 of messages that end with the bytes beside them, in their order.
    #[must_use]
    pub fn finish<'a>(self, ends: impl IntoIterator<Item = (Hasher, &'a [u8])>) -> Vec<[u8; 32]> {
        let mut ends: Vec<_> = ends
            .into_iter()
            .map(|(hasher, bytes)| {
                let (blocks, rest) = Array::<u8, U64>::slice_as_chunks(bytes);
                (hasher, Array::cast_slice_to_core(blocks), rest)
            })
            .collect();
        let whole = ends.iter_mut();
        self.run(whole.map(|(hasher, blocks, _)| hasher.job(blocks)));
        let mut padded: Vec<_> = ends
            .into_iter()
            .map(|(Hasher { state, len_bytes }, _, rest)| {
                let len_bytes = len_bytes.wrapping_add(slice_len(rest));
                (state, Ending::new(rest, len_bytes))
            })
            .collect();
        self.run(padded.iter_mut().map(|(state, ending)| Job {
            state,
            blocks: ending.blocks(),
        }));
        padded.iter().map(|(state, _)| digest(state)).collect()
    }

    fn run<'a>(self, jobs: impl Iterator<Item = Job<'a>>) {
        match self.kind {
            Kind::Plain | Kind::Instructions => jobs::alone(jobs),
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2(avx2) => {
                jobs::in_lanes(jobs, self.least, |states, runs| avx2.compress(states, runs));
            }
            #[cfg(avx512)]
            Kind::Avx512(avx512) => {
                jobs::in_lanes(jobs, self.least, |states, runs| {
                    avx512.compress(states, runs)
                });
            }
        }
    }
}

impl Hasher {
    fn job<'a>(&'a mut self, blocks: &'a [Block]) -> Job<'a> {
        // The standard counts bits, modulo 2^64.
        let len_bytes = slice_len(blocks.as_flattened());
        self.len_bytes = self.len_bytes.wrapping_add(len_bytes);
        Job {
            state: &mut self.state,
            blocks,
        }
    }
}

/// Whether `sha2` uses SHA instructions here.
fn has_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}
