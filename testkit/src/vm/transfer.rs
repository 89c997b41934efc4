// SPDX-License-Identifier: MIT OR Apache-2.0
//! File transfers between host and guest.

use super::agent;
use super::{Vm, sparse};
use crate::cache::Cache;
use crate::debian_tree::DebianTree;
use anyhow::{Context, Result, bail, ensure};
use linpmem_guest::{FrameKind, Reply, Request, SCRATCH, data_payload, split_data};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

impl Vm {
    /// Copies a file of the host into the guest, with its mode.
    ///
    /// # Errors
    /// When the file cannot be read, or the guest cannot write it.
    pub fn push(&self, host: &Path, guest: &str) -> Result<()> {
        let reading = || format!("reading {}", host.display());
        let mut file = File::open(host).with_context(reading)?;
        let mode = file.metadata().with_context(reading)?.permissions().mode() & 0o777;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(reading)?;
        self.put(guest, mode, &bytes)
    }

    /// Creates a file in the guest.
    ///
    /// # Errors
    /// When the guest cannot write it.
    pub fn put(&self, guest: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        let conversation = self.ask(&Request::Put {
            path: guest.to_owned(),
            mode,
            len: u64::try_from(bytes.len())?,
        })?;
        let mut offset: u64 = 0;
        for part in bytes.chunks(256 << 10) {
            conversation.send(FrameKind::Data, data_payload(offset, part))?;
            offset += u64::try_from(part.len())?;
        }
        conversation.send(FrameKind::Data, data_payload(offset, &[]))?;
        let frame = self.answer(&conversation, self.deadline(), &format!("put {guest}"))?;
        agent::reply(&frame)?;
        Ok(())
    }

    /// Copies a file of the guest to the host; blocks of zeros become holes. Returns its
    /// length in bytes.
    ///
    /// A file on the scratch disk is read from that disk: the guest only has to sync it,
    /// and spends no emulated time on sending.
    ///
    /// # Errors
    /// When the guest has no such file, or it cannot be written on the host.
    pub fn pull(&self, guest: &str, host: &Path) -> Result<u64> {
        let writing = || format!("writing {}", host.display());
        let file = sparse::create(host).with_context(writing)?;
        let on_disk = guest.strip_prefix(SCRATCH).filter(|_| self.disk().exists());
        let len = match on_disk {
            Some(path) => {
                let len = self.sync(guest)?;
                self.read_from_disk(path, len, &file)
                    .with_context(|| format!("reading {guest} from the scratch disk"))?;
                len
            }
            None => self.get(guest, |offset, bytes| {
                file.write_all_at(bytes, offset).with_context(writing)
            })?,
        };
        file.set_len(len).with_context(writing)?;
        Ok(len)
    }

    fn sync(&self, guest: &str) -> Result<u64> {
        let what = format!("sync {guest}");
        let path = guest.to_owned();
        let conversation = self.ask(&Request::Sync { path })?;
        let frame = self.answer(&conversation, self.deadline(), &what)?;
        match agent::reply(&frame)? {
            Reply::Sent { len } => Ok(len),
            other => bail!("the guest answered {other:?} to {what}"),
        }
    }

    /// debugfs can read the file system while the guest has it mounted: it has no
    /// journal, and the guest has just synced it.
    fn read_from_disk(&self, path: &str, len: u64, target: &File) -> Result<()> {
        ensure!(!path.contains('"'), "debugfs does not support this name");
        let folder = self.disk().parent().unwrap_or(Path::new("/"));
        let mut child = DebianTree::open(&Cache::open()?)?
            .command("debugfs", &[folder])
            .args(["-R", &format!("cat \"{path}\"")])
            .arg(self.disk())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting debugfs")?;
        let mut stdout = child.stdout.take().context("no stdout")?;
        let copied = sparse::copy(&mut stdout, target, 0);
        drop(stdout);
        let output = child.wait_with_output().context("waiting for debugfs")?;
        let copied = copied.context("copying")?;
        ensure!(
            output.status.success() && copied == len,
            "debugfs returned {copied} of {len} bytes: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// The content of a small file of the guest, such as /proc/iomem.
    ///
    /// # Errors
    /// When the guest cannot read it.
    pub fn read(&self, guest: &str) -> Result<Vec<u8>> {
        let mut content: Vec<u8> = Vec::new();
        let len = self.get(guest, |offset, bytes| {
            content.resize(usize::try_from(offset)?, 0);
            content.extend(bytes);
            Ok(())
        })?;
        content.resize(usize::try_from(len)?, 0);
        Ok(content)
    }

    fn get(&self, guest: &str, mut take: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<u64> {
        let what = format!("get {guest}");
        let path = guest.to_owned();
        let conversation = self.ask(&Request::Get { path })?;
        loop {
            // The deadline starts anew with each frame: a slow transfer is not a hang.
            let frame = self.answer(&conversation, self.deadline(), &what)?;
            if frame.kind == FrameKind::Data {
                let (offset, bytes) = split_data(&frame.payload).context("a truncated frame")?;
                take(offset, bytes)?;
                continue;
            }
            match agent::reply(&frame)? {
                Reply::Sent { len } => return Ok(len),
                other => bail!("the guest answered {other:?} to {what}"),
            }
        }
    }
}
