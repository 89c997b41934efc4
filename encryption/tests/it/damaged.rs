// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that were cut off or changed, and headers that nobody would write.

use crate::common::{
    KEYS, all, content, encrypted, file, identities, open, own, recipients, start,
};
use linpmem_encryption::{
    CHUNK_BYTES, DamagedChunk, EncryptedFile, Identities, MAX_HEADER_BYTES, OpenError, detect,
};
use std::io;

#[test]
fn what_was_cut_off_is_read_up_to_the_last_whole_chunk() {
    let chunk = CHUNK_BYTES + 16;
    // The last chunk is short, and then it is full.
    for len in [3 * CHUNK_BYTES + 500, 3 * CHUNK_BYTES] {
        let expected = content(len);
        let bytes = encrypted(&expected, 1 << 20, &recipients());
        let start = start(&bytes);
        let cuts = [
            0,
            1,
            15,
            16,
            17,
            chunk - 1,
            chunk,
            chunk + 1,
            2 * chunk,
            3 * chunk - 1,
        ];
        for cut in cuts.into_iter().map(|cut| start + cut) {
            let found = open(&bytes[..cut]);
            let whole = (cut - start) / chunk;
            if whole == 0 {
                assert!(
                    matches!(found, Err(OpenError::NoContent(_))),
                    "{cut}: {found:?}"
                );
                continue;
            }
            let found = found.unwrap();
            assert!(found.is_cut(), "{cut}");
            assert_eq!(found.len(), u64::try_from(whole * CHUNK_BYTES).unwrap());
            assert!(
                all(&found).unwrap() == expected[..whole * CHUNK_BYTES],
                "{cut}"
            );
        }
        // Within the header, and within the random bytes behind it.
        for cut in [0, 1, 20, 100, start - 17, start - 16, start - 1] {
            open(&bytes[..cut]).unwrap_err();
        }
        let mut longer = bytes.clone();
        longer.extend_from_slice(b"more");
        let longer = open(&longer).map(|found| (found.is_cut(), found.len()));
        assert!(!matches!(longer, Ok((false, _))), "{longer:?}");
    }
}

#[test]
fn every_changed_bit_is_noticed_and_the_chunks_around_it_are_not_lost() {
    let expected = content(3 * CHUNK_BYTES + 500);
    let bytes = encrypted(&expected, 1 << 20, &recipients());
    let start = start(&bytes);
    let chunk = CHUNK_BYTES + 16;
    for (place, damaged) in [
        (0, 0),
        (CHUNK_BYTES + 15, 0),
        (chunk, 1),
        (2 * chunk + 9, 2),
    ] {
        let mut bytes = bytes.clone();
        bytes[start + place] ^= 4;
        let found = open(&bytes).unwrap();
        for index in 0..3 {
            let mut read = vec![0; CHUNK_BYTES];
            let offset = index * CHUNK_BYTES;
            let result = found.read_exact_at(u64::try_from(offset).unwrap(), &mut read);
            if index != damaged {
                result.unwrap();
                assert!(read == expected[offset..offset + CHUNK_BYTES]);
                continue;
            }
            let error = result.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            let inner = error.get_ref().unwrap().downcast_ref::<DamagedChunk>();
            let offset = u64::try_from(start + damaged * chunk).unwrap();
            assert_eq!(inner, Some(&DamagedChunk { offset }));
            assert!(error.to_string().contains(&offset.to_string()), "{error}");
        }
    }
    // The last chunk tells how long the file is: without it, the file is cut off.
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    let found = open(&changed).unwrap();
    assert!(found.is_cut());
    assert!(all(&found).unwrap() == expected[..3 * CHUNK_BYTES]);
    // Chunks cannot change places.
    let mut swapped = bytes[..start].to_vec();
    for index in [1, 0, 2] {
        swapped.extend_from_slice(&bytes[start + index * chunk..start + (index + 1) * chunk]);
    }
    swapped.extend_from_slice(&bytes[start + 3 * chunk..]);
    assert_eq!(
        all(&open(&swapped).unwrap()).unwrap_err().kind(),
        io::ErrorKind::InvalidData
    );
    // Whatever is changed in the header.
    for place in 0..start {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let found = open(&changed).map(|found| all(&found));
        assert!(!matches!(found, Ok(Ok(_))), "{place}");
    }
}

#[test]
fn only_the_right_key_opens_it() {
    let bytes = encrypted(&content(10), 10, &recipients());
    let open = |keys: &Identities| EncryptedFile::open(file(&bytes), keys);
    assert!(matches!(
        open(&Identities::default()),
        Err(OpenError::Locked)
    ));
    let wrong = identities(&[KEYS[1].1]);
    assert!(matches!(open(&wrong), Err(OpenError::WrongIdentity)));
    for keys in [[KEYS[1].1, KEYS[0].1], [KEYS[0].1, KEYS[1].1]] {
        assert!(all(&open(&identities(&keys)).unwrap()).unwrap() == content(10));
    }
}

#[test]
fn what_needs_other_programs_is_refused_with_a_word_about_it() {
    let passphrase = age::secrecy::SecretString::from("a passphrase".to_owned());
    let mut recipient = age::scrypt::Recipient::new(passphrase);
    recipient.set_work_factor(2);
    let bytes = age::encrypt(&recipient, b"content").unwrap();
    let error = open(&bytes).unwrap_err();
    assert!(matches!(error, OpenError::Passphrase), "{error}");
    let newer =
        b"age-encryption.org/v2\nsomething else\n--- 0123456789012345678901234567890123456789012\n";
    let error = open(newer).unwrap_err();
    assert!(matches!(error, OpenError::UnknownVersion), "{error}");
    let identity: age::x25519::Identity = KEYS[0].1.parse().unwrap();
    let text = age::encrypt_and_armor(&identity.to_public(), b"content").unwrap();
    assert_eq!(
        detect(text.as_bytes()),
        Some(linpmem_encryption::Detected::Armored)
    );
}

/// A header has no end of its own: whoever reads it needs a limit.
#[test]
fn a_header_of_any_length_takes_a_moment_and_little_memory() {
    let stanza = b"-> X25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
    let end = b"--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0123456789abcdef";
    let long_line = [&b"-> "[..], &[b'a'; 1 << 20], b"\n\n"].concat();
    let short_lines = b"-> a\n\n".repeat(MAX_HEADER_BYTES / 6 - 20);
    let endless = stanza.repeat(20_000);
    let many = stanza.repeat(MAX_HEADER_BYTES / stanza.len() - 2);
    let begun = std::time::Instant::now();
    for (middle, is_endless) in [
        (&long_line, true),
        (&endless, true),
        (&short_lines, false),
        (&many, false),
    ] {
        let bytes = [b"age-encryption.org/v1\n", middle.as_slice(), end].concat();
        let error = EncryptedFile::open(file(&bytes), &own()).unwrap_err();
        let told = matches!(error, OpenError::EndlessHeader);
        assert_eq!(told, is_endless, "{error}");
        // The parser, which begins anew at each line, has not seen it.
        let is_bounded = is_endless || matches!(error, OpenError::DamagedHeader);
        assert!(is_bounded, "{error}");
    }
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
