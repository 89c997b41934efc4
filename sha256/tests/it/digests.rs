// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way to hash gives what the crate `sha2` gives.

use linpmem_sha256::{Backend, Block, Hasher};
use sha2::{Digest, Sha256};
use std::sync::Once;

/// Numbers that look random, and are the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.next().to_le_bytes()[0])
            .take(len)
            .collect()
    }
}

fn noise() -> Noise {
    Noise(0x9e37_79b9_7f4a_7c15)
}

/// All that this processor has. AVX2 has to be among them: without it, most of this crate
/// would go untested.
fn backends() -> Vec<Backend> {
    static TOLD: Once = Once::new();
    let all = Backend::all();
    if cfg!(target_arch = "x86_64") {
        let has = |name| all.iter().any(|backend| backend.name() == name);
        assert!(has("AVX2"), "this processor has no AVX2: use another one");
        if !has("AVX-512") {
            TOLD.call_once(|| {
                println!("SKIPPED: AVX-512, which this processor or this compiler lacks");
            });
        }
    }
    all.into_iter().chain([Backend::best()]).collect()
}

fn expected(messages: &[Vec<u8>]) -> Vec<[u8; 32]> {
    messages
        .iter()
        .map(|message| Sha256::digest(message).into())
        .collect()
}

/// Not `assert_eq`, which would print megabytes.
fn check(messages: &[Vec<u8>], what: &str) {
    let expected = expected(messages);
    for backend in backends() {
        let digests = backend.digests(messages);
        assert_eq!(digests.len(), messages.len());
        for (number, (digest, expected)) in digests.iter().zip(&expected).enumerate() {
            let len = messages[number].len();
            let name = backend.name();
            assert!(
                digest == expected,
                "{name}, {what}: message {number} of {len} bytes"
            );
        }
    }
}

#[test]
fn known_digests() {
    let messages = [
        (Vec::new(), "e3b0c442"),
        (b"abc".to_vec(), "ba7816bf"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".to_vec(),
            "248d6a61",
        ),
        (vec![b'a'; 1_000_000], "cdc76e5c"),
    ];
    for backend in backends() {
        let digests = backend.digests(&messages.clone().map(|(message, _)| message));
        for (digest, (_, begins)) in digests.iter().zip(&messages) {
            let [a, b, c, d, ..] = digest;
            let digest = format!("{a:02x}{b:02x}{c:02x}{d:02x}");
            assert_eq!(digest, *begins, "{}", backend.name());
        }
    }
}

#[test]
fn messages_of_every_length_up_to_300() {
    let bytes = noise().bytes(300);
    let messages: Vec<_> = (0..=300).map(|len| bytes[..len].to_vec()).collect();
    // Side by side they share lanes; alone, and in pairs, they do not.
    check(&messages, "all together");
    for (len, message) in messages.iter().enumerate() {
        let twice = [message.clone(), message.clone()];
        check(&twice[..1], &format!("length {len} alone"));
        check(&twice, &format!("length {len} twice"));
    }
}

#[test]
fn lengths_around_blocks_and_padding() {
    let mut noise = noise();
    let mut messages = Vec::new();
    for blocks in [1, 2, 3, 16, 64, 1024] {
        let len = blocks * 64;
        for len in [len - 9, len - 8, len - 1, len, len + 1] {
            messages.push(noise.bytes(len));
        }
    }
    check(&messages, "growing");
    messages.reverse();
    check(&messages, "shrinking");
}

#[test]
fn any_number_of_messages_of_equal_and_of_different_lengths() {
    let mut noise = noise();
    for count in 0..=17 {
        let equal: Vec<_> = (0..count).map(|_| noise.bytes(1000)).collect();
        check(&equal, &format!("{count} of one length"));
        for round in 0..8 {
            let different: Vec<_> = (0..count)
                .map(|_| {
                    let len = noise.below(3000) >> noise.below(12);
                    noise.bytes(len)
                })
                .collect();
            check(&different, &format!("{count} of many lengths, {round}"));
        }
    }
}

#[test]
fn a_long_message_among_short_ones() {
    let mut noise = noise();
    for place in [0, 3, 9, 20] {
        let mut messages: Vec<_> = (0..20).map(|len| noise.bytes(len * 7)).collect();
        messages.insert(place, noise.bytes(40_000));
        check(&messages, &format!("the long one at {place}"));
    }
}

#[test]
fn messages_at_any_address() {
    let bytes = noise().bytes(600);
    for backend in backends() {
        let shifted: Vec<_> = (0..40).map(|from| &bytes[from..from + 500]).collect();
        let owned: Vec<_> = shifted.iter().map(|part| part.to_vec()).collect();
        assert_eq!(backend.digests(&shifted), expected(&owned));
    }
}

#[test]
fn how_messages_are_cut_does_not_matter() {
    let mut noise = noise();
    for backend in backends() {
        for count in [1, 2, 7, 8, 9, 17] {
            let blocks: Vec<Vec<Block>> = (0..count)
                .map(|_| {
                    let len = noise.below(60);
                    (0..len)
                        .map(|_| noise.bytes(64).try_into().unwrap())
                        .collect()
                })
                .collect();
            let ends: Vec<_> = (0..count)
                .map(|_| {
                    let len = noise.below(200);
                    noise.bytes(len)
                })
                .collect();
            let mut hashers = vec![Hasher::default(); count];
            for step in 0..60_usize.div_ceil(13) {
                let parts = blocks.iter().map(|blocks| {
                    let end = blocks.len().min(step * 13 + 13);
                    &blocks[(step * 13).min(end)..end]
                });
                backend.update(hashers.iter_mut().zip(parts));
            }
            let whole: Vec<_> = blocks
                .iter()
                .zip(&ends)
                .map(|(blocks, end)| [blocks.as_flattened(), end].concat())
                .collect();
            let ends = ends.iter().map(Vec::as_slice);
            let digests = backend.finish(hashers.into_iter().zip(ends));
            assert_eq!(digests, expected(&whole), "{}, {count}", backend.name());
        }
    }
}

#[test]
fn the_best_way_has_lanes_or_is_one_by_one_and_stays_the_same() {
    let [alone, best] = [Backend::alone(), Backend::best()];
    assert_eq!(alone.lanes(), 1);
    assert!(best.lanes() > 1 || best == alone);
    assert_eq!(best, Backend::best());
}

#[test]
fn as_many_messages_are_hashed_at_once_as_lanes_hold() {
    for backend in backends() {
        assert_eq!(backend.at_once(0), 0);
        assert_eq!(backend.at_once(1), 1);
        assert_eq!(backend.at_once(100), backend.lanes());
        let counts = (2..backend.lanes()).map(|waiting| (waiting, backend.at_once(waiting)));
        let alone = counts.clone().take_while(|&(_, at_once)| at_once == 1);
        for (waiting, at_once) in counts.skip(alone.count()) {
            assert_eq!(at_once, waiting);
        }
    }
}
