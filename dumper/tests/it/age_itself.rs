// SPDX-License-Identifier: MIT OR Apache-2.0
//! Encrypted images and age itself, as Debian has it.

use crate::encryption::dump;
use crate::fake::Fake;
use linpmem_testkit::vouchers::Vouchers;
use std::fs;
use std::path::Path;

/// A new key of age-keygen's in key.txt, and its public key.
fn key(age: &Vouchers, folder: &Path) -> String {
    let mut keygen = age.age_keygen();
    let made = keygen.args(["-o", "key.txt"]).current_dir(folder).output();
    let made = made.unwrap();
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(made.status.success(), "{said}");
    said.trim().strip_prefix("Public key: ").unwrap().to_owned()
}

/// As anybody would who has the key and not linpmem-dump.
fn decrypt(age: &Vouchers, folder: &Path, name: &str) {
    let mut decrypt = age.age();
    let encrypted = format!("{name}.age");
    decrypt.args(["-d", "-i", "key.txt", "-o", name, &encrypted]);
    let done = decrypt.current_dir(folder).output().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn age_decrypts_an_image_with_its_manifest_and_its_artifacts() {
    let age = Vouchers::open().unwrap();
    for name in ["a.core", "a.lime.zst", "a.raw", "a.aff4", "a.kdump"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let public = key(&age, folder);
        let fake = Fake {
            with_artifacts: name == "a.lime.zst",
            ..Fake::default()
        };
        let words = [name, "--encrypt-to", &public, "--range", "0-0x8fffff"];
        fake.acquire(folder, &words).unwrap();
        decrypt(&age, folder, name);
        decrypt(&age, folder, &format!("{name}.manifest.jsonl"));
        if name == "a.lime.zst" {
            decrypt(&age, folder, &format!("{name}.artifacts.tar.zst"));
        }
        // Nothing tells it from an image that was never encrypted.
        let words = ["verify", name, "--full", "--progress=none"];
        dump(folder, &words).assert().code(0);
        if name == "a.raw" {
            let plain = folder.join("plain");
            fs::create_dir(&plain).unwrap();
            let words = [name, "--range", "0-0x8fffff"];
            Fake::default().acquire(&plain, &words).unwrap();
            assert!(fs::read(plain.join(name)).unwrap() == fs::read(folder.join(name)).unwrap());
        }
    }
}

#[test]
fn what_age_has_encrypted_is_read() {
    let age = Vouchers::open().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let public = key(&age, folder);
    Fake::default()
        .acquire(folder, &["a.core", "--range", "0-0x8fffff"])
        .unwrap();
    for name in ["a.core", "a.core.manifest.jsonl"] {
        let mut encrypt = age.age();
        let encrypted = format!("{name}.age");
        encrypt.args(["-r", &public, "-o", &encrypted, name]);
        let done = encrypt.current_dir(folder).output().unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    let words = [
        "verify",
        "a.core.age",
        "--full",
        "--progress=none",
        "--identity",
        "key.txt",
    ];
    dump(folder, &words).assert().code(0);
    let words = ["compare", "a.core", "a.core.age", "--identity", "key.txt"];
    dump(folder, &words).assert().code(0);
}
