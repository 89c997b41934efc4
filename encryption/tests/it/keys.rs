// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys, from the command line and from files.

use crate::common::{KEYS, NO_FILES, all, content, encrypted, file, identities};
use linpmem_encryption::{
    EncryptedFile, Identities, IdentityError, MAX_HEADER_BYTES, MAX_RECIPIENTS, RecipientError,
    Recipients,
};
use std::path::PathBuf;

fn written(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn each_recipient_can_decrypt_alone() {
    let folder = tempfile::tempdir().unwrap();
    let list = written(
        &folder,
        "list",
        &format!("# the lab\n{}\n\n  {}  \n", KEYS[0].0, KEYS[1].0),
    );
    let both = Recipients::collect(&[KEYS[0].0.to_owned()], &[list])
        .unwrap()
        .unwrap();
    // One that was named twice counts once.
    assert_eq!(both.public_keys(), [KEYS[0].0, KEYS[1].0]);
    let bytes = encrypted(&content(70_000), 1000, &both);
    for (_, key) in KEYS {
        let found = EncryptedFile::open(file(&bytes), &identities(&[key])).unwrap();
        assert!(all(&found).unwrap() == content(70_000));
    }
    assert!(Recipients::collect(&[], &NO_FILES).unwrap().is_none());
}

#[test]
fn as_many_recipients_as_are_allowed_have_a_header_that_is_read() {
    let keys: Vec<String> = (0..=MAX_RECIPIENTS)
        .map(|_| age::x25519::Identity::generate().to_public().to_string())
        .collect();
    let error = Recipients::collect(&keys, &NO_FILES).unwrap_err();
    assert!(matches!(error, RecipientError::TooMany(_)), "{error}");
    let mut most = keys[..MAX_RECIPIENTS - 1].to_vec();
    most.push(KEYS[0].0.to_owned());
    let most = Recipients::collect(&most, &NO_FILES).unwrap().unwrap();
    let bytes = encrypted(b"content", 7, &most);
    assert!(bytes.len() < MAX_HEADER_BYTES, "{}", bytes.len());
    let found = EncryptedFile::open(file(&bytes), &identities(&[KEYS[0].1])).unwrap();
    assert_eq!(all(&found).unwrap(), b"content");
}

#[test]
fn what_is_no_public_key_is_refused_and_a_secret_is_not_repeated() {
    for (text, reason) in [
        ("", "public key"),
        ("age1", "public key"),
        ("age1notakey", "public key"),
        ("ssh-ed25519 AAAAC3Nza", "SSH"),
        ("age1yubikey1q2w3", "plugin"),
        (KEYS[0].1, "private key"),
    ] {
        let error = Recipients::collect(&[text.to_owned()], &NO_FILES)
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{text}: {error}");
        assert!(error.contains("--encrypt-to"), "{error}");
        assert!(!error.contains(KEYS[0].1), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let none: [String; 0] = [];
    let empty = written(&folder, "empty", "# nobody\n");
    let error = Recipients::collect(&none, &[empty]).unwrap_err();
    assert!(matches!(error, RecipientError::Empty(_)), "{error}");
    let secret = written(&folder, "secret", &format!("# key\n{}\n", KEYS[0].1));
    let error = Recipients::collect(&none, &[&secret])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("line 2") && !error.contains(KEYS[0].1),
        "{error}"
    );
    let missing = Recipients::collect(&none, &[folder.path().join("none")]).unwrap_err();
    assert!(
        missing.to_string().contains("none: No such file"),
        "{missing}"
    );
}

#[test]
fn what_is_no_private_key_is_refused_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let identity: age::x25519::Identity = KEYS[0].1.parse().unwrap();
    let armored = age::encrypt_and_armor(&identity.to_public(), KEYS[0].1.as_bytes()).unwrap();
    let cut = &KEYS[0].1[..60];
    for (text, reason) in [
        ("# nothing\n", "has no private key"),
        (KEYS[0].0, "it is a public key"),
        (cut, "line 1"),
        ("AGE-PLUGIN-YUBIKEY-1Q", "plugin"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "SSH"),
        (&armored, "passphrase"),
        ("age-encryption.org/v1\n-> scrypt a 1\n", "passphrase"),
    ] {
        let path = written(&folder, "key", text);
        let error = Identities::read(&[&path]).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
        assert!(!error.contains(cut), "{error}");
    }
    let huge = written(&folder, "huge", &"#\n".repeat(1 << 20));
    assert!(matches!(
        Identities::read(&[huge]),
        Err(IdentityError::File { .. })
    ));
    let shown = format!("{:?}", identities(&[KEYS[0].1, KEYS[1].1]));
    assert_eq!(shown, "2 private keys");
}
