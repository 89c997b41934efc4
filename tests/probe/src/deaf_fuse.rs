// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file system whose server stops answering, by the protocol of /dev/fuse
//! (include/uapi/linux/fuse.h): its root lists two files and a folder, but `open` is never
//! opened, `read` is opened and never read, and `folder` is never listed.

use crate::sys;
use anyhow::{Context, Result, ensure};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

const ROOT: u64 = 1;
/// Names of the root's entries, and the bits of their kind. Node 2 is the first.
const ENTRIES: [(&str, u32); 3] = [
    ("open", libc::S_IFREG),
    ("read", libc::S_IFREG),
    ("folder", libc::S_IFDIR),
];
const READ_NODE: u64 = 3;

/// Bytes of `fuse_in_header`.
const HEADER_BYTES: usize = 40;
/// The kernel insists on this much room for a request.
const MIN_READ_BUFFER: usize = 8192;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const READDIR: u32 = 28;
const RELEASEDIR: u32 = 29;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// Mounts the file system at the folder `rest[0]`, and serves it until this is killed.
pub fn serve(rest: &[String]) -> Result<String> {
    let folder = rest.first().context("no folder given")?;
    std::fs::create_dir_all(folder)?;
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .context("opening /dev/fuse")?;
    let options = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0",
        device.as_raw_fd()
    );
    sys::mount("fuse", folder, &options).context("mounting")?;
    println!("deaf-fuse: serving {folder}");
    std::io::stdout().flush()?;
    answer_all(device)
}

fn answer_all(mut device: File) -> Result<String> {
    let mut request = vec![0; MIN_READ_BUFFER * 32];
    loop {
        let len = device.read(&mut request).context("the next request")?;
        ensure!(len >= HEADER_BYTES, "a request of {len} bytes");
        let (header, body) = request.split_at(HEADER_BYTES);
        let word = |at: usize| -> Result<u64> {
            let bytes = header.get(at..at + 8).context("a short header")?;
            Ok(u64::from_le_bytes(bytes.try_into()?))
        };
        let opcode = u32::try_from(word(0)? >> 32)?;
        let (unique, node) = (word(8)?, word(16)?);
        let body = body.get(..len - HEADER_BYTES).unwrap_or_default();
        if let Some(answer) = answer(opcode, node, body) {
            let (error, content) = match answer {
                Ok(content) => (0, content),
                Err(errno) => (-errno, Vec::new()),
            };
            let mut reply = u32::try_from(16 + content.len())?.to_le_bytes().to_vec();
            reply.extend(i32::to_le_bytes(error));
            reply.extend(unique.to_le_bytes());
            reply.extend(content);
            device.write_all(&reply).context("an answer")?;
        }
    }
}

/// The answer to a request: its content or an errno. `None` is silence.
fn answer(opcode: u32, node: u64, body: &[u8]) -> Option<Result<Vec<u8>, i32>> {
    Some(match opcode {
        INIT => {
            let mut content = Vec::new();
            for value in [7_u32, 31, 0, 0] {
                content.extend(value.to_le_bytes());
            }
            content.resize(64, 0);
            content
                .get_mut(20..24)?
                .copy_from_slice(&4096_u32.to_le_bytes()); // max_write
            Ok(content)
        }
        GETATTR => {
            let mut content = [0; 16].to_vec();
            content.extend(attributes(node));
            Ok(content)
        }
        LOOKUP => {
            let name = body.split(|&byte| byte == 0).next().unwrap_or_default();
            let found = (2..)
                .zip(ENTRIES)
                .find(|(_, entry)| entry.0.as_bytes() == name);
            found.ok_or(libc::ENOENT).map(|(node, _)| {
                let mut content = u64::to_le_bytes(node).to_vec();
                content.resize(40, 0);
                content.extend(attributes(node));
                content
            })
        }
        OPENDIR if node == ROOT => Ok(vec![0; 16]),
        OPEN if node == READ_NODE => Ok(vec![0; 16]),
        READDIR => {
            // The offset follows the handle; the listing fits one answer.
            let is_first = body.get(8..16)? == [0; 8];
            Ok(if is_first { listing() } else { Vec::new() })
        }
        RELEASEDIR => Ok(Vec::new()),
        // Nobody ever gets an answer to these; the first three expect none.
        FORGET | BATCH_FORGET | INTERRUPT | OPENDIR | OPEN | READ => return None,
        // The kernel does without.
        _ => Err(libc::ENOSYS),
    })
}

/// A `fuse_attr`.
fn attributes(node: u64) -> Vec<u8> {
    let mut content = Vec::new();
    for value in [node, 4096, 8, 0, 0, 0] {
        content.extend(value.to_le_bytes());
    }
    let entry = (2..).zip(ENTRIES).find(|(number, _)| *number == node);
    let kind = entry.map_or(libc::S_IFDIR, |(_, (_, kind))| kind);
    for value in [0, 0, 0, kind | 0o755, 1, 0, 0, 0, 4096, 0] {
        content.extend(u32::to_le_bytes(value));
    }
    content
}

/// The root's entries, as `fuse_dirent`s.
fn listing() -> Vec<u8> {
    let mut content = Vec::new();
    for (node, (name, kind)) in (2_u64..).zip(ENTRIES) {
        content.extend(node.to_le_bytes());
        content.extend((node - 1).to_le_bytes());
        content.extend(u32::try_from(name.len()).unwrap_or(0).to_le_bytes());
        content.extend((kind >> 12).to_le_bytes());
        content.extend(name.bytes());
        content.resize(content.len().next_multiple_of(8), 0);
    }
    content
}
