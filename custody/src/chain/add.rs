// SPDX-License-Identifier: MIT OR Apache-2.0
//! Adding an event. The file only grows: what was written stays as it is.

use super::{Chain, ChainError, Entry, MAX_EVENT_BYTES, MAX_FILE_BYTES};
use linpmem_manifest::Sha256Sum;
use linpmem_phys::num::len_bytes;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Adds `entry` to the file at `path`, which belongs to the manifest with the SHA-256 `manifest`,
/// and sets what it follows. The file is made if there is none, with mode 0600; symbolic links
/// are not followed.
///
/// # Errors
/// If the file cannot be written, or what it has so far is wrong: an event at the end of that
/// would vouch for it.
pub fn add(path: &Path, manifest: Sha256Sum, mut entry: Entry) -> Result<Chain, ChainError> {
    let failed = |action| {
        move |source| ChainError::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    };
    if entry.event.len() > MAX_EVENT_BYTES {
        return Err(ChainError::LongEvent(entry.event.len()));
    }
    let is_new = path.symlink_metadata().is_err();
    let locked = open(path)?;
    let mut file = &locked.0;
    let mut bytes = Vec::new();
    let mut reading = file.take(MAX_FILE_BYTES + 1);
    reading.read_to_end(&mut bytes).map_err(failed("reading"))?;
    if len_bytes(&bytes) > MAX_FILE_BYTES {
        let message = format!("the file has more than {MAX_FILE_BYTES} bytes");
        return Err(failed("reading")(io::Error::new(
            io::ErrorKind::FileTooLarge,
            message,
        )));
    }
    let (mut chain, broken) = Chain::parse(&bytes, path, manifest);
    if let Some(error) = broken {
        return Err(error);
    }
    entry.previous = chain.head;
    let line = entry.line().map_err(io::Error::from);
    let line = line.map_err(failed("writing to"))?;
    let written = file.write_all(&line).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a line would be in the way of the next event.
        let _ = file.set_len(len_bytes(&bytes));
        return Err(failed("writing to")(error));
    }
    if is_new {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        folder
            .and_then(|folder| folder.sync_all())
            .map_err(failed("syncing the folder of"))?;
    }
    chain.head = crate::digest::sha256(&line);
    chain.entries.push(entry);
    Ok(chain)
}

/// A file that nobody else writes to.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing it does that too, but for a process that is just being forked.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Opens the file, alone.
fn open(path: &Path) -> Result<Locked, ChainError> {
    let failed = |source| ChainError::Io {
        action: "opening",
        path: path.to_path_buf(),
        source,
    };
    let not_a_file = || ChainError::NotAFile {
        path: path.to_path_buf(),
    };
    // NONBLOCK: a pipe is not waited for. Every flag of open(2) is below 2^31.
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(code) if code == Errno::LOOP.raw_os_error() => not_a_file(),
            _ => failed(error),
        })?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(not_a_file());
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        // Some file systems have no locks.
        Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
            Ok(Locked(file))
        }
        Err(Errno::WOULDBLOCK) => Err(ChainError::Busy {
            path: path.to_path_buf(),
        }),
        Err(errno) => Err(failed(errno.into())),
    }
}
