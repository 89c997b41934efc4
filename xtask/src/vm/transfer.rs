// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files between host and guest.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use linpmem_guest::{FrameKind, Reply, Request, data_payload, split_data};

use super::agent;
use super::{Vm, sparse};

impl Vm {
    /// Copies a file of the host into the guest, with its mode.
    ///
    /// # Errors
    /// When the file cannot be read, or the guest cannot take it.
    pub fn push(&self, host: &Path, guest: &str) -> Result<()> {
        let reading = || format!("reading {}", host.display());
        let mut file = File::open(host).with_context(reading)?;
        let mode = file.metadata().with_context(reading)?.permissions().mode() & 0o777;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(reading)?;
        self.put(guest, mode, &bytes)
    }

    /// Makes a file in the guest.
    ///
    /// # Errors
    /// When the guest cannot take it.
    pub fn put(&self, guest: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        let conversation = self.ask(&Request::Put {
            path: guest.to_owned(),
            mode,
            len: u64::try_from(bytes.len())?,
        })?;
        let mut offset: u64 = 0;
        for part in bytes.chunks(256 << 10) {
            conversation.send(FrameKind::Data, data_payload(offset, part))?;
            offset = offset.saturating_add(u64::try_from(part.len())?);
        }
        conversation.send(FrameKind::Data, data_payload(offset, &[]))?;
        let frame = self.answer(&conversation, self.deadline(), &format!("put {guest}"))?;
        agent::reply(&frame)?;
        Ok(())
    }

    /// Copies a file of the guest to the host; what is zero becomes a hole.
    /// Returns its length in bytes.
    ///
    /// # Errors
    /// When the guest has no such file, or it cannot be written here.
    pub fn pull(&self, guest: &str, host: &Path) -> Result<u64> {
        let writing = || format!("writing {}", host.display());
        let file = sparse::create(host).with_context(writing)?;
        let len = self.get(guest, |offset, bytes| {
            file.write_all_at(bytes, offset).with_context(writing)
        })?;
        file.set_len(len).with_context(writing)?;
        Ok(len)
    }

    /// The content of a small file of the guest: /proc/iomem, say.
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
            // As long as something comes, it is no hang.
            let deadline: Instant = self.deadline();
            let frame = self.answer(&conversation, deadline, &what)?;
            if frame.kind == FrameKind::Data {
                let (offset, bytes) = split_data(&frame.payload).context("a short frame")?;
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
