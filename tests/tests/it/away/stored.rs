// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every kind of store gets is the memory that QEMU sees.

use super::{Away, fact, is_what_qemu_sees};
use crate::host_dumper;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::stores::{S3_KEYS, StoreServer};
use linpmem_testkit::vm::{GuestCommand, from_guest};
use serde_json::json;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A store that runs on the host.
pub struct Store {
    server: StoreServer,
    kind: Kind,
    folder: PathBuf,
}

/// Which one it is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// s3s-fs: a folder.
    S3,
    /// In memory: a path for each object.
    Moto,
    /// With a shared access signature, which is for the address of the host.
    Azure { signature: String },
    /// In memory.
    Google,
    /// nginx or WebDAV: a folder with the parts of the image.
    Files,
}

/// The only bucket, and container.
const BUCKET: &str = "bucket";

impl Store {
    pub fn s3(folder: &Path) -> Result<Self> {
        fs::create_dir(folder.join(BUCKET))?;
        Self::new(StoreServer::s3(folder)?, Kind::S3, folder)
    }

    fn moto(folder: &Path) -> Result<Self> {
        Self::new(StoreServer::moto(BUCKET)?, Kind::Moto, folder)
    }

    /// With a signature that is valid until `end`.
    pub fn azure(folder: &Path, end: &str) -> Result<Self> {
        let server = StoreServer::azure(folder)?;
        let container = server.container(BUCKET, "racwl", end)?;
        let signature = container.split_once('?').context("no signature")?.1;
        let signature = signature.to_owned();
        Self::new(server, Kind::Azure { signature }, folder)
    }

    fn google(folder: &Path) -> Result<Self> {
        Self::new(StoreServer::google(BUCKET)?, Kind::Google, folder)
    }

    fn nginx(folder: &Path) -> Result<Self> {
        Self::new(StoreServer::nginx(folder)?, Kind::Files, folder)
    }

    fn webdav(folder: &Path) -> Result<Self> {
        Self::new(StoreServer::webdav(folder)?, Kind::Files, folder)
    }

    fn new(server: StoreServer, kind: Kind, folder: &Path) -> Result<Self> {
        let folder = folder.to_path_buf();
        Ok(Self {
            server,
            kind,
            folder,
        })
    }

    pub fn server(&self) -> &StoreServer {
        &self.server
    }

    /// A run on the target that sends its memory to the object `name`, by `place`, where the
    /// store is found.
    pub fn sender<'a>(
        &self,
        away: &'a Away,
        place: &str,
        name: &str,
        words: &[&str],
    ) -> GuestCommand<'a> {
        let sender = away.sender(&self.address(place, name), words);
        let [key, secret] = S3_KEYS;
        match self.kind {
            Kind::S3 | Kind::Moto => sender
                .env("AWS_ACCESS_KEY_ID", key)
                .env("AWS_SECRET_ACCESS_KEY", secret)
                .env("AWS_ENDPOINT_URL", &format!("http://{place}")),
            Kind::Google => sender.env("STORAGE_EMULATOR_HOST", place),
            Kind::Azure { .. } | Kind::Files => sender,
        }
    }

    fn address(&self, place: &str, name: &str) -> String {
        match &self.kind {
            Kind::S3 | Kind::Moto => format!("s3://{BUCKET}/{name}"),
            Kind::Google => format!("gs://{BUCKET}/{name}"),
            Kind::Azure { signature } => {
                format!("http://{place}/devstoreaccount1/{BUCKET}/{name}?{signature}")
            }
            Kind::Files => format!("http://{place}/{name}"),
        }
    }

    /// Copies the image `name` and what belongs to it to `folder`.
    pub fn fetch(&self, name: &str, folder: &Path) -> Result<PathBuf> {
        for ending in ["", ".manifest.jsonl", ".sha256"] {
            let file = format!("{name}{ending}");
            let to = folder.join(&file);
            // moto asks for credentials, and believes all of them.
            let header = match &self.kind {
                Kind::Moto => "Authorization: AWS a:b",
                _ => "Accept: */*",
            };
            let download = |path: String| self.server.download(&path, header, &to);
            match &self.kind {
                Kind::S3 => fs::copy(self.folder.join(BUCKET).join(&file), &to).map(drop)?,
                Kind::Files if ending.is_empty() => join_parts(&self.folder.join(name), &to)?,
                Kind::Files => fs::copy(self.folder.join(&file), &to).map(drop)?,
                Kind::Moto => download(format!("/{BUCKET}/{file}"))?,
                Kind::Google => download(format!(
                    "/download/storage/v1/b/{BUCKET}/o/{file}?alt=media"
                ))?,
                Kind::Azure { signature } => {
                    download(format!("/devstoreaccount1/{BUCKET}/{file}?{signature}"))?;
                }
            }
        }
        Ok(folder.join(name))
    }

    /// Verifies the image `name` where it is.
    pub fn is_verified(&self, name: &str) -> Result<()> {
        let place = self.server.address().to_string();
        let mut command = host_dumper::command()?;
        let [key, secret] = S3_KEYS;
        command
            .args(["verify", &self.address(&place, name)])
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_ENDPOINT_URL", format!("http://{place}"))
            .env("STORAGE_EMULATOR_HOST", &place);
        let output = command.output()?;
        let printed = host_dumper::printed(&output);
        ensure!(output.status.success(), "{:?}: {printed}", self.kind);
        Ok(())
    }
}

/// Appends the numbered parts of an image to each other.
fn join_parts(image: &Path, to: &Path) -> Result<()> {
    let mut whole = File::create(to)?;
    for number in 0.. {
        let part = format!("{}.{number:05}", image.display());
        match File::open(&part) {
            Ok(mut part) => io::copy(&mut part, &mut whole).map(drop)?,
            Err(_) if number > 0 => break,
            Err(error) => return Err(error).context(part),
        }
    }
    Ok(())
}

/// A name, and what starts a store in a folder.
type Starting = (&'static str, fn(&Path) -> Result<Store>);

const STORES: [Starting; 6] = [
    ("s3s-fs", Store::s3),
    ("moto", Store::moto),
    ("azurite", |folder| {
        Store::azure(folder, "2090-01-01T00:00:00Z")
    }),
    ("google", Store::google),
    ("nginx", Store::nginx),
    ("webdav", Store::webdav),
];

#[test]
fn every_store_gets_the_memory() -> Result<()> {
    let away = Away::with_module()?;
    for (store, start) in STORES {
        is_what_qemu_sees(store, |name| {
            let kept = away.folder(&format!("{name}-kept"))?;
            let store = start(&away.folder(name)?)?;
            let object = format!("{name}.core");
            let place = from_guest(store.server.address());
            let sender = store.sender(&away, &place, &object, &["--format", "elf"]);
            let acquired = away.acquire(name, sender, || store.fetch(&object, &kept))?;
            assert_eq!(fact(&acquired.output, "/store/complete")?, json!(true));
            store.is_verified(&object)?;
            Ok(acquired)
        })?;
    }
    away.target.end()
}
