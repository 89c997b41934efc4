// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding the fastest way by trying each.
//!
//! What a processor says it has does not tell how fast it is: AVX2 takes turns in half as wide
//! units on some, and emulators have SHA instructions that are slower than plain code.

use crate::backend::Backend;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Bytes of each message: enough that its end does not count.
const MESSAGE_BYTES: usize = 32 << 10;

/// Messages at once: as many as any way has lanes.
const MESSAGES: u8 = 8;

/// Each way is tried this often. The fastest one counts: nothing makes a round faster than
/// it is.
const ROUNDS: usize = 3;

/// How long all lanes of a backend take.
#[derive(Clone, Copy, Debug)]
struct Timed {
    backend: Backend,
    took: Duration,
}

impl Backend {
    /// The fastest one on this processor. The first call tries each, which takes a millisecond
    /// or two.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Backend> = OnceLock::new();
        *BEST.get_or_init(|| {
            let messages = vec![[0x5a_u8; MESSAGE_BYTES]; usize::from(MESSAGES)];
            let alone = Self::alone();
            let others = Self::all().into_iter().filter(|&other| other != alone);
            let timed: Vec<_> = others.map(|other| time(other, &messages)).collect();
            choose(time(alone, &messages), &timed)
        })
    }
}

fn time(backend: Backend, messages: &[[u8; MESSAGE_BYTES]]) -> Timed {
    let rounds = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        black_box(backend.digests(black_box(messages)));
        begun.elapsed()
    });
    Timed {
        backend,
        took: rounds.min().unwrap_or(Duration::MAX),
    }
}

/// The fastest of them for as many messages as were timed. Lanes take as long for fewer, so
/// that they are used from the number on that takes longer one after another.
fn choose(alone: Timed, others: &[Timed]) -> Backend {
    let fastest = others.iter().min_by_key(|other| other.took);
    let Some(lanes) = fastest.filter(|lanes| lanes.took < alone.took) else {
        return alone.backend;
    };
    let each = alone.took / u32::from(MESSAGES);
    let is_faster = |&count: &u8| lanes.took < each.saturating_mul(u32::from(count));
    let least = (1..MESSAGES).find(is_faster).unwrap_or(MESSAGES);
    lanes.backend.with_least(usize::from(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(backend: Backend, us: u64) -> Timed {
        Timed {
            backend,
            took: Duration::from_micros(us),
        }
    }

    /// Microseconds for eight messages one after another and in lanes, and from how many
    /// messages on lanes are used.
    #[test]
    fn lanes_are_used_for_as_many_messages_as_they_gain_time_with() {
        let alone = Backend::alone();
        for lanes in Backend::all().into_iter().filter(|&one| one != alone) {
            for (alone_us, lanes_us, least) in [
                // Plain code beside AVX2, and SHA instructions beside AVX-512.
                (800, 150, 2),
                (200, 105, 5),
                (800, 799, 8),
                (800, 90, 1),
            ] {
                let chosen = choose(timed(alone, alone_us), &[timed(lanes, lanes_us)]);
                let name = chosen.name();
                assert_eq!(name, lanes.name());
                for waiting in 1..=8 {
                    let expected = if waiting < least { 1 } else { waiting };
                    assert_eq!(chosen.at_once(waiting), expected, "{name}, {waiting}");
                }
            }
        }
    }

    #[test]
    fn lanes_that_are_slower_are_not_used() {
        let alone = Backend::alone();
        for lanes in Backend::all() {
            for us in [800, 801, 5000] {
                let chosen = choose(timed(alone, 800), &[timed(lanes, us)]);
                assert_eq!(chosen, alone, "{us}");
            }
        }
        assert_eq!(choose(timed(alone, 1), &[]), alone);
    }

    #[test]
    fn of_several_the_fastest_is_used() {
        let others: Vec<_> = Backend::all().into_iter().skip(1).collect();
        for (index, &fastest) in others.iter().enumerate() {
            let each = others.iter().enumerate();
            let times: Vec<_> = each
                .map(|(other, &backend)| timed(backend, if other == index { 50 } else { 60 }))
                .collect();
            let chosen = choose(timed(Backend::alone(), 800), &times);
            assert_eq!(chosen.name(), fastest.name());
        }
    }
}
