// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whoever keeps an encrypted image has no key for it, and age opens it byte for byte.

use super::stored::Store;
use super::{Away, is_what_qemu_sees, receiving};
use anyhow::{Result, ensure};
use linpmem_testkit::vm::from_guest;
use linpmem_testkit::vouchers::{AgeKey, Vouchers};
use std::path::{Path, PathBuf};

/// Who can decrypt the images.
struct Holder {
    vouchers: Vouchers,
    key: AgeKey,
}

impl Holder {
    fn new(folder: &Path) -> Result<Self> {
        let vouchers = Vouchers::open()?;
        let key = AgeKey::new(&vouchers, folder)?;
        Ok(Self { vouchers, key })
    }

    /// Decrypts the image at `encrypted` and its manifest by age, to other files.
    fn decrypted(&self, encrypted: &Path, folder: &Path) -> Result<PathBuf> {
        let image = folder.join("plain.core");
        let manifest = folder.join("plain.core.manifest.jsonl");
        let name = encrypted.with_extension("");
        let sealed = format!("{}.manifest.jsonl.age", name.display());
        for (from, to) in [(encrypted, &image), (Path::new(&sealed), &manifest)] {
            let mut age = self.vouchers.age();
            age.arg("-d").arg("-i").arg(&self.key.file).arg("-o");
            let run = age.arg(to).arg(from).output()?;
            ensure!(run.status.success(), "age: {run:?}");
        }
        Ok(image)
    }
}

#[test]
fn a_receiver_and_a_store_keep_what_age_opens() -> Result<()> {
    let away = Away::with_module()?;
    let holder = Holder::new(away.target.work())?;
    let words = ["--format", "elf", "--encrypt-to", &holder.key.public];
    is_what_qemu_sees("received", |name| {
        let folder = away.folder(name)?;
        let receiver = receiving(&folder)?;
        let sender = away.sender(&receiver.to(), &words);
        away.acquire(name, sender, || {
            holder.decrypted(&receiver.image()?, &folder)
        })
    })?;
    is_what_qemu_sees("stored", |name| {
        let folder = away.folder(name)?;
        let store = Store::s3(&folder)?;
        let place = from_guest(store.server().address());
        let sender = store.sender(&away, &place, "x.core", &words);
        away.acquire(name, sender, || {
            store.is_verified("x.core.age")?;
            holder.decrypted(&folder.join("bucket/x.core.age"), &folder)
        })
    })?;
    away.target.end()
}
