// SPDX-License-Identifier: MIT OR Apache-2.0
//! A receiver on the host.

use crate::vm::from_guest;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The length of a token at the end of an address: 16 bytes in base64.
const TOKEN_LETTERS: usize = 22;

/// `linpmem-dump receive`, until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What follows the address: the receiver's key and the token.
    secret: String,
    folder: PathBuf,
    log: PathBuf,
}

impl Receiver {
    /// Runs `dumper`, which listens at `listen` and writes to a folder `out` in `folder`.
    ///
    /// # Errors
    /// When it does not begin.
    pub fn start(dumper: &Path, folder: &Path, listen: &str, words: &[&str]) -> Result<Self> {
        let mut command = Command::new(dumper);
        command.args(["receive", "--json", "--listen", listen]);
        command.args(words).arg("--out");
        Self::of(command, folder)
    }

    /// The same, on the processor `number` alone.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn on_processor(dumper: &Path, folder: &Path, number: u32) -> Result<Self> {
        let mut command = Command::new("taskset");
        command
            .args(["--cpu-list", &number.to_string()])
            .arg(dumper);
        command.args(["receive", "--json", "--listen", "127.0.0.1:0", "--out"]);
        Self::of(command, folder)
    }

    /// The same in a file system of `mib` MiB, which ends with it.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn on_a_small_disk(dumper: &Path, folder: &Path, mib: u32) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-ec"]);
        command.arg(
            "mount -t tmpfs -o size=\"$2\"m none \"$3\"; \
             exec \"$1\" receive --json --listen 127.0.0.1:0 --min-free 0 --out \"$3\"",
        );
        command.arg("sh").arg(dumper);
        command.arg(mib.to_string());
        Self::of(command, folder)
    }

    /// `command` lacks the folder.
    fn of(mut command: Command, folder: &Path) -> Result<Self> {
        let (out, log) = (folder.join("out"), folder.join("log"));
        fs::create_dir_all(&out)?;
        let mut child = command
            .arg(&out)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().append(true).create(true).open(&log)?)
            .spawn()
            .context("starting a receiver")?;
        let printed = child.stdout.take().context("no stdout")?;
        let listening = serde_json::Deserializer::from_reader(printed).into_iter::<Value>();
        let listening = listening.take(1).next();
        let listening = listening.context("the receiver printed nothing")??;
        let to = listening.get("to").and_then(Value::as_str);
        let to = to.and_then(|to| to.strip_prefix("linpmem://")?.split_once('#'));
        let (address, secret) = to.with_context(|| format!("no address in {listening}"))?;
        Ok(Self {
            child,
            address: address.parse()?,
            secret: secret.to_owned(),
            folder: out,
            log,
        })
    }

    /// The address for a target's `--to`.
    #[must_use]
    pub fn to(&self) -> String {
        self.to_by(self.address)
    }

    /// The address for a `--to` on the host itself.
    #[must_use]
    pub fn to_here(&self) -> String {
        format!("linpmem://{}#{}", self.address, self.secret)
    }

    /// The address for a target by a line that listens at `address`.
    #[must_use]
    pub fn to_by(&self, address: SocketAddr) -> String {
        format!("linpmem://{}#{}", from_guest(address), self.secret)
    }

    /// What a sender has to know, and nobody else.
    ///
    /// # Errors
    /// When the address has none.
    pub fn token(&self) -> Result<&str> {
        let start = self.secret.len().checked_sub(TOKEN_LETTERS);
        let token = start.and_then(|start| self.secret.get(start..));
        token.context("the secret is too short")
    }

    /// The only image that has arrived whole.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn image(&self) -> Result<PathBuf> {
        let mut images: Vec<PathBuf> = Vec::new();
        for name in self.names()? {
            let image = name.strip_suffix(".receipt.json");
            images.extend(image.map(|image| self.folder.join(image)));
        }
        ensure!(images.len() == 1, "not one image: {images:?}");
        images.pop().context("no image")
    }

    /// How much of an image has arrived that is not whole yet.
    ///
    /// # Errors
    /// The system's.
    pub fn arrived(&self) -> Result<u64> {
        let names = self.names()?;
        let partial = names.iter().find(|name| name.ends_with(".core.partial"));
        Ok(match partial {
            Some(name) => fs::metadata(self.folder.join(name)).map_or(0, |found| found.len()),
            None => 0,
        })
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder)?;
        let name = |entry: std::io::Result<fs::DirEntry>| -> Result<String> {
            Ok(entry?.file_name().to_string_lossy().into_owned())
        };
        entries.map(name).collect()
    }

    /// Where the images arrive.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it, and those before it in the same folder, have logged.
    ///
    /// # Errors
    /// The system's.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
