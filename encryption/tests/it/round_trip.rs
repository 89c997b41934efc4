// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is encrypted can be decrypted, from front to back and at any offset.

use crate::common::{all, content, encrypted, file, open, own, recipients, start};
use linpmem_encryption::{CHUNK_BYTES, EncryptedFile, encrypted_len};
use proptest::prelude::*;
use std::io;
use std::sync::LazyLock;
use std::thread;

/// Lengths at which chunks begin and end.
const LENGTHS: [usize; 9] = [
    0,
    1,
    15,
    CHUNK_BYTES - 1,
    CHUNK_BYTES,
    CHUNK_BYTES + 1,
    2 * CHUNK_BYTES - 1,
    2 * CHUNK_BYTES,
    3 * CHUNK_BYTES + 7,
];

#[test]
fn every_length_comes_back_whatever_the_pieces() {
    for len in LENGTHS {
        let expected = content(len);
        for step in [1 << 20, CHUNK_BYTES, 1000] {
            let bytes = encrypted(&expected, step, &recipients());
            let found = open(&bytes).unwrap();
            assert!(!found.is_cut(), "{len}");
            assert_eq!(found.is_empty(), len == 0);
            assert!(all(&found).unwrap() == expected, "{len} in steps of {step}");
        }
    }
}

#[test]
fn the_length_is_known_beforehand() {
    for len in LENGTHS {
        let bytes = encrypted(&content(len), 1 << 20, &recipients());
        let promised = encrypted_len(u64::try_from(len).unwrap());
        let found = u64::try_from(bytes.len() - start(&bytes)).unwrap();
        assert_eq!(found, promised, "{len}");
    }
}

/// The same by the library's own functions, which are those of the program `rage`.
#[test]
fn other_programs_read_it_and_are_read() {
    let expected = content(200_000);
    let identity: age::x25519::Identity = crate::common::KEYS[0].1.parse().unwrap();
    let bytes = encrypted(&expected, 1 << 20, &recipients());
    assert!(age::decrypt(&identity, &bytes).unwrap() == expected);
    let theirs = age::encrypt(&identity.to_public(), &expected).unwrap();
    assert!(all(&open(&theirs).unwrap()).unwrap() == expected);
}

#[test]
fn there_is_nothing_behind_the_end() {
    let found = open(&encrypted(&content(100), 1, &recipients())).unwrap();
    for (offset, len) in [
        (100, 1),
        (99, 2),
        (0, 101),
        (u64::MAX, 1),
        (u64::MAX - 1, 2),
    ] {
        let error = found.read_exact_at(offset, &mut vec![0; len]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{offset}");
    }
    found.read_exact_at(100, &mut []).unwrap();
}

#[test]
fn threads_read_at_once() {
    let expected = content(40 * CHUNK_BYTES + 99);
    let found = open(&encrypted(&expected, 1 << 20, &recipients())).unwrap();
    thread::scope(|scope| {
        for number in 0..24_usize {
            let (found, expected) = (&found, &expected);
            scope.spawn(move || {
                for round in 0..20 {
                    let start = (number * 7919 + round * 131_071) % (expected.len() - 5000);
                    let mut bytes = vec![0; 5000];
                    let offset = u64::try_from(start).unwrap();
                    found.read_exact_at(offset, &mut bytes).unwrap();
                    assert!(bytes == expected[start..start + 5000], "{start}");
                }
            });
        }
    });
}

const RANDOM_LEN: usize = 5 * CHUNK_BYTES + 1234;
static RANDOM: LazyLock<(Vec<u8>, [EncryptedFile; 2])> = LazyLock::new(|| {
    let expected = content(RANDOM_LEN);
    let mut bytes = encrypted(&expected, 1 << 20, &recipients());
    let whole = open(&bytes).unwrap();
    // Without the last chunk and half of the one before it.
    bytes.truncate(bytes.len() - 1250 - CHUNK_BYTES / 2);
    let cut = EncryptedFile::open(file(&bytes), &own()).unwrap();
    (expected, [whole, cut])
});

proptest! {
    #[test]
    fn any_offset_of_a_whole_file_and_of_one_that_was_cut_off(
        places in prop::collection::vec((0..RANDOM_LEN, 0..3 * CHUNK_BYTES), 1..20)
    ) {
        let (expected, files) = &*RANDOM;
        prop_assert_eq!(files[1].len(), u64::try_from(4 * CHUNK_BYTES).unwrap());
        for found in files {
            for &(start, len) in &places {
                let mut bytes = vec![0; len];
                let read = found.read_exact_at(u64::try_from(start).unwrap(), &mut bytes);
                let end = start + len;
                if u64::try_from(end).unwrap() <= found.len() {
                    read.unwrap();
                    prop_assert!(bytes == expected[start..end]);
                } else {
                    prop_assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
                }
            }
        }
    }
}
