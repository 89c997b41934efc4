// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys and signatures that are not what they should be.

use linpmem_custody::signature::{
    KeyError, KeyFile, Password, PublicKey, Signature, SignatureError, SigningKey, Subject,
};
use minisign::KeyPair;
use std::fs;
use std::path::Path;

const SUBJECT: Subject<'static> = Subject {
    image: "a.core",
    id: None,
    utc: "2026-01-31T23:59:59Z",
};

/// Writes a new key, unlocks it, and returns it with its public key.
fn key(folder: &Path, name: &str) -> (SigningKey, PublicKey) {
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    let path = folder.join(name);
    fs::write(&path, pair.sk.to_box(None).unwrap().to_string()).unwrap();
    let public = PublicKey::of(&pair.pk.to_base64()).unwrap();
    (KeyFile::read(&path).unwrap().unlock(None).unwrap(), public)
}

#[test]
fn a_signature_is_of_one_manifest_by_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = self::key(folder.path(), "key");
    let (_, other) = self::key(folder.path(), "other");
    let text = key.sign(&b"manifest"[..], &SUBJECT).unwrap();
    let signature = Signature::parse(&text).unwrap();
    let comment = signature.check(&public, &b"manifest"[..]).unwrap();
    assert_eq!(comment, SUBJECT.to_string());
    assert!(matches!(
        signature.check(&other, &b"manifest"[..]),
        Err(SignatureError::OtherKey { .. })
    ));
    assert!(signature.check(&public, &b"Manifest"[..]).is_err());
}

#[test]
fn every_byte_of_a_signature_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = self::key(folder.path(), "key");
    let text = key.sign(&b"manifest"[..], &SUBJECT).unwrap();
    let begins = text.find('\n').unwrap();
    let mut accepted = 0;
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else {
            continue;
        };
        let checked = Signature::parse(&changed);
        let checked = checked.and_then(|it| it.check(&public, &b"manifest"[..]));
        if let Ok(comment) = checked {
            assert_eq!(comment, SUBJECT.to_string());
            // The first line is not signed, as minisign calls it, and neither is the line's end.
            let is_unsigned = at < begins || changed.lines().count() != 4 || at + 2 > text.len();
            assert!(is_unsigned, "{at}: {changed}");
            accepted += 1;
        }
        // A file that ends early is none.
        assert!(
            Signature::parse(&text[..at])
                .and_then(|it| it.check(&public, &b"manifest"[..]))
                .is_err()
                || at + 1 == text.len(),
            "{at}"
        );
    }
    assert!(accepted > 0);
}

#[test]
fn a_key_that_cannot_sign_is_found_when_it_is_unlocked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let refused = |text: &str| {
        fs::write(&path, text).unwrap();
        let key = KeyFile::read(&path).and_then(|key| key.unlock(None));
        key.unwrap_err().to_string()
    };
    self::key(folder.path(), "key");
    let text = fs::read_to_string(&path).unwrap();
    let (comment, encoded) = text.split_once('\n').unwrap();
    assert!(refused("").contains("is not a secret key"));
    assert!(refused(encoded).contains("is not a secret key"));
    assert!(refused(&text[..text.len() - 9]).contains("is not a secret key"));
    assert!(refused(&"x".repeat(5000)).contains("more than 4096 bytes"));
    // A byte of the key itself, which begins after 62 bytes.
    let mut damaged = encoded.to_owned().into_bytes();
    damaged[100] = if damaged[100] == b'A' { b'B' } else { b'A' };
    let damaged = format!("{comment}\n{}", String::from_utf8(damaged).unwrap());
    assert!(refused(&damaged).contains("damaged"));
    assert!(matches!(
        KeyFile::read(&folder.path().join("none")),
        Err(KeyError::File { .. })
    ));
}

#[test]
fn a_password_is_needed_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let pair = KeyPair::generate_and_write_encrypted_keypair(
        &mut Vec::new(),
        fs::File::create(&path).unwrap(),
        None,
        Some("correct horse".to_owned()),
    );
    let public = PublicKey::of(&pair.unwrap().pk.to_base64()).unwrap();
    let unlock = |password: Option<&str>| {
        let password = password.map(|it| Password::new(it.to_owned()));
        KeyFile::read(&path).unwrap().unlock(password)
    };
    assert!(matches!(unlock(None), Err(KeyError::Protected { .. })));
    let wrong = unlock(Some("battery")).unwrap_err();
    assert!(matches!(wrong, KeyError::Locked { .. }), "{wrong}");
    let key = unlock(Some("correct horse")).unwrap();
    let text = key.sign(&b"m"[..], &SUBJECT).unwrap();
    let signature = Signature::parse(&text).unwrap();
    signature.check(&public, &b"m"[..]).unwrap();
    // Neither has more to show than an id.
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.id()));
    let password = Password::new("correct horse".to_owned());
    assert_eq!(format!("{password:?}"), "Password(…)");
}

#[test]
fn a_forged_key_gets_neither_the_memory_nor_the_time() {
    use ct_codecs::{Base64, Encoder};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    for (operations, memory) in [(u64::MAX, 1 << 20), (1 << 20, u64::MAX)] {
        let mut bytes = b"EdScB2".to_vec();
        bytes.extend([0; 32]);
        bytes.extend(u64::to_le_bytes(operations));
        bytes.extend(u64::to_le_bytes(memory));
        bytes.extend([0; 104]);
        let text = Base64::encode_to_string(&bytes).unwrap();
        fs::write(&path, format!("untrusted comment: x\n{text}\n")).unwrap();
        let refused = KeyFile::read(&path);
        assert!(matches!(refused, Err(KeyError::TooCostly { .. })));
    }
}

#[test]
fn a_public_key_is_a_line_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pub");
    let name = path.to_str().unwrap();
    let pair = KeyPair::generate_unencrypted_keypair().unwrap();
    let id = PublicKey::of(&pair.pk.to_base64()).unwrap().id();
    fs::write(&path, pair.pk.to_box().unwrap().to_string()).unwrap();
    assert_eq!(PublicKey::of(name).unwrap().id(), id);
    fs::write(&path, pair.pk.to_base64()).unwrap();
    assert_eq!(PublicKey::of(name).unwrap().id(), id);
    for wrong in ["", "RWQ", "untrusted comment: RW\nRWQ\n"] {
        fs::write(&path, wrong).unwrap();
        assert!(PublicKey::of(name).is_err(), "{wrong}");
    }
    assert!(PublicKey::of("RWQneither").is_err());
}
