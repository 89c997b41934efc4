// SPDX-License-Identifier: MIT OR Apache-2.0
//! Answering the kernel's requests.

use crate::fixed::Fixed;
use crate::live::Live;
use crate::node::{Node, ROOT};
use crate::part::{Attributes, Kind, Part, Seek};
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, ReplyLseek, ReplyOpen, Request,
};
use linpmem_phys::num::u32_as_usize;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

/// How long the kernel may remember what it was told: an image does not change.
const ALWAYS: Duration = Duration::from_secs(24 * 3600);
/// More is not read at once, whatever is asked for.
const MAX_READ: usize = 4 << 20;
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;
const BLOCK_BYTES: u64 = 512;

/// What all files have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) time: SystemTime,
}

/// The tree, as FUSE asks for it.
pub(crate) struct Served {
    pub(crate) fixed: Fixed,
    pub(crate) live: Option<Live>,
    pub(crate) stamp: Stamp,
}

thread_local! {
    /// What a thread reads into.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Served {
    /// Has `job` done by the part that `node` is of.
    fn hand(&self, node: INodeNo, job: impl FnOnce(&dyn Part) + Send + 'static) {
        match (Node::new(node.0), &self.live) {
            (Some(Node::Live(_)), Some(live)) => live.hand(job),
            _ => job(&self.fixed),
        }
    }
}

impl Stamp {
    fn attributes(self, node: u64, attributes: Attributes) -> FileAttr {
        let (kind, perm) = match attributes.kind {
            Kind::Folder => (FileType::Directory, 0o500),
            Kind::File => (FileType::RegularFile, 0o400),
            Kind::Link => (FileType::Symlink, 0o777),
        };
        FileAttr {
            ino: INodeNo(node),
            size: attributes.size,
            blocks: attributes.stored.div_ceil(BLOCK_BYTES),
            atime: self.time,
            mtime: self.time,
            ctime: self.time,
            crtime: self.time,
            kind,
            perm,
            // Of a folder, 1 says that its folders are not counted.
            nlink: 1,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl From<Kind> for FileType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Folder => Self::Directory,
            Kind::File => Self::RegularFile,
            Kind::Link => Self::Symlink,
        }
    }
}

fn errno(errno: linpmem_phys::Errno) -> Errno {
    Errno::from_i32(errno.get())
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        // All names are UTF-8.
        let Some(name) = name.to_str().map(str::to_owned) else {
            return reply.error(Errno::ENOENT);
        };
        let stamp = self.stamp;
        let entry = move |part: &dyn Part, node: u64, reply: ReplyEntry| match part.attributes(node)
        {
            Ok(found) => {
                reply.entry(&ALWAYS, &stamp.attributes(node, found), Generation(0));
            }
            Err(error) => reply.error(errno(error)),
        };
        match Node::new(parent.0) {
            Some(Node::Live(_)) => {
                self.hand(parent, move |part| match part.find(parent.0, &name) {
                    Ok(node) => entry(part, node, reply),
                    Err(error) => reply.error(errno(error)),
                })
            }
            // What is found in the fixed part may be of the other one.
            _ => match self.fixed.find(parent.0, &name) {
                Ok(node) => self.hand(INodeNo(node), move |part| entry(part, node, reply)),
                Err(error) => reply.error(errno(error)),
            },
        }
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let stamp = self.stamp;
        self.hand(node, move |part| match part.attributes(node.0) {
            Ok(found) => reply.attr(&ALWAYS, &stamp.attributes(node.0, found)),
            Err(error) => reply.error(errno(error)),
        });
    }

    fn readlink(&self, _: &Request, node: INodeNo, reply: ReplyData) {
        self.hand(node, move |part| match part.target(node.0) {
            Ok(target) => reply.data(target.as_bytes()),
            Err(error) => reply.error(errno(error)),
        });
    }

    fn open(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        self.hand(node, move |part| match part.attributes(node.0) {
            Ok(found) => {
                let flags = match found.is_direct {
                    true => FopenFlags::FOPEN_DIRECT_IO,
                    false => FopenFlags::FOPEN_KEEP_CACHE,
                };
                reply.opened(FileHandle(0), flags);
            }
            Err(error) => reply.error(errno(error)),
        });
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.hand(node, move |part| {
            BUFFER.with_borrow_mut(|buffer| {
                let size = u32_as_usize(size).min(MAX_READ);
                if buffer.len() < size {
                    buffer.resize(size, 0);
                }
                let (target, _) = buffer.split_at_mut(size);
                match part.read(node.0, offset, target) {
                    Ok(len) => reply.data(target.get(..len).unwrap_or(&[])),
                    Err(error) => reply.error(errno(error)),
                }
            });
        });
    }

    fn readdir(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.hand(node, move |part| {
            // Whoever looks for the folder above asks the kernel, which knows it.
            let own = [(1, node, "."), (2, INodeNo(ROOT), "..")];
            for (next, node, name) in own {
                if offset < next && reply.add(node, next, FileType::Directory, name) {
                    return reply.ok();
                }
            }
            let mut next = offset.max(2);
            let listed = part.list(node.0, next.saturating_sub(2), &mut |entry| {
                next = next.saturating_add(1);
                !reply.add(INodeNo(entry.node), next, entry.kind.into(), entry.name)
            });
            match listed {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno(error)),
            }
        });
    }

    fn lseek(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let what = match whence {
            SEEK_DATA => Seek::Data,
            SEEK_HOLE => Seek::Hole,
            _ => return reply.error(Errno::EINVAL),
        };
        let Ok(at) = u64::try_from(offset) else {
            return reply.error(Errno::ENXIO);
        };
        self.hand(node, move |part| {
            match part.seek(node.0, at, what).map(i64::try_from) {
                Ok(Ok(found)) => reply.offset(found),
                Ok(Err(_)) => reply.error(Errno::EOVERFLOW),
                Err(error) => reply.error(errno(error)),
            }
        });
    }
}
