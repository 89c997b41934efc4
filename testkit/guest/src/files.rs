// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files to and from the host.

use crate::host::Host;
use anyhow::{Context, Result};
use linpmem_guest::{FrameKind, MAX_PAYLOAD, data_payload, split_data};
use nix::unistd::{Whence, lseek, syncfs};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a data frame. A block of zeros is not sent.
const BLOCK: usize = 64 << 10;

/// A file being received. The first failure is kept until the file is complete, so that
/// the host need not read answers while it sends.
pub struct Arriving {
    path: PathBuf,
    len: u64,
    file: Result<File>,
}

impl Arriving {
    /// A new file of `len` bytes at `path`.
    pub fn new(path: &str, mode: u32, len: u64) -> Self {
        let path = PathBuf::from(path);
        let file = create(&path, mode).with_context(|| format!("creating {}", path.display()));
        Self { path, len, file }
    }

    /// Adds a part. Returns whether it was the last one.
    pub fn part(&mut self, payload: &[u8]) -> bool {
        let Some((offset, bytes)) = split_data(payload).filter(|(_, bytes)| !bytes.is_empty())
        else {
            return true;
        };
        if let Ok(file) = &self.file {
            if let Err(error) = file.write_all_at(bytes, offset) {
                let what = format!("writing {}", self.path.display());
                self.file = Err(anyhow::Error::new(error).context(what));
            }
        }
        false
    }

    /// Ends the file, with the first failure if there was one.
    pub fn finish(self) -> Result<()> {
        self.file?
            .set_len(self.len)
            .with_context(|| format!("writing {}", self.path.display()))
    }
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // A running program cannot be written to, but it can be replaced.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

/// Sends the file at `path`, without its holes and zeros. Returns its length.
/// Files in /proc and /sys have no length until they are read.
pub fn send(path: &Path, host: &Host) -> Result<u64> {
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let reading = || format!("reading {}", path.display());
    let mut buffer = vec![0; BLOCK.min(MAX_PAYLOAD / 2)];
    let mut offset: u64 = 0;
    loop {
        let count = file.read(&mut buffer).with_context(reading)?;
        if count == 0 {
            return Ok(offset.max(file.metadata().map_or(0, |data| data.len())));
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        if bytes.iter().any(|&byte| byte != 0) {
            host.send(FrameKind::Data, data_payload(offset, bytes))?;
        }
        offset += u64::try_from(count)?;
        offset = skip_hole(&mut file, offset);
    }
}

/// Skips to the next data, if the file system can tell where it is.
fn skip_hole(file: &mut File, offset: u64) -> u64 {
    let Ok(here) = i64::try_from(offset) else {
        return offset;
    };
    match lseek(&*file, here, Whence::SeekData) {
        Ok(data) => u64::try_from(data).unwrap_or(offset),
        Err(_) => offset,
    }
}

/// Lists the names in a folder, a line each.
pub fn ls(args: &[String]) -> Result<()> {
    let folder = args.first().context("no folder given")?;
    let entries = fs::read_dir(folder).with_context(|| format!("reading {folder}"))?;
    for entry in entries {
        println!("{}", entry?.file_name().to_string_lossy());
    }
    Ok(())
}

/// Syncs the file system of `path` to its disk. Returns the file's length.
pub fn sync(path: &Path) -> Result<u64> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    syncfs(&file).with_context(|| format!("syncing {}", path.display()))?;
    Ok(file.metadata()?.len())
}

/// The tool `cat`: prints files.
pub fn cat(args: &[String]) -> Result<()> {
    for path in args {
        let mut file = File::open(path).with_context(|| format!("opening {path}"))?;
        io::copy(&mut file, &mut io::stdout()).with_context(|| format!("copying {path}"))?;
    }
    Ok(())
}

/// The tool `write PATH TEXT`: for files of the kernel, which exist already and must be
/// written in one call.
pub fn write(args: &[String]) -> Result<()> {
    let [path, text] = args else {
        anyhow::bail!("usage: write PATH TEXT");
    };
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("writing {path}"))
}

/// The tool `clear FOLDER`: lists the files in it with their lengths, removes them, and
/// drops the page cache.
pub fn clear(args: &[String]) -> Result<()> {
    let folder = args.first().context("no folder given")?;
    for entry in fs::read_dir(folder).with_context(|| format!("reading {folder}"))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            println!("{} {}", metadata.len(), entry.file_name().to_string_lossy());
            fs::remove_file(entry.path())?;
        }
    }
    nix::unistd::sync();
    write(&["/proc/sys/vm/drop_caches".to_owned(), "3".to_owned()])
}
