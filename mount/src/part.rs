// SPDX-License-Identifier: MIT OR Apache-2.0
//! A part of the tree: folders, files and links, each known by a number alone.

use linpmem_phys::Errno;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A symbolic link.
    Link,
}

/// What is known of a node without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    /// Bytes that are not in holes.
    pub(crate) stored: u64,
    /// Whether every read has to come here: the size is not known, or a read that is shorter
    /// than asked for is not the end.
    pub(crate) is_direct: bool,
}

/// A node in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) node: u64,
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
}

/// What is looked for in a file with holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seek {
    /// The next byte that is there.
    Data,
    /// The next byte that is not, or the end.
    Hole,
}

/// A part of the tree. Nodes are not remembered: each number says what it stands for, so that
/// nothing grows with what was looked at.
pub(crate) trait Part {
    fn attributes(&self, node: u64) -> Result<Attributes, Errno>;

    /// The node `name` in `folder`, which may be of another part.
    fn find(&self, folder: u64, name: &str) -> Result<u64, Errno>;

    /// Calls `take` with what is in `folder`, without the first `skipped`, until it returns
    /// false.
    fn list(
        &self,
        folder: u64,
        skipped: u64,
        take: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Errno>;

    /// Fills `buf` from `at` on; returns how many bytes there are.
    fn read(&self, file: u64, at: u64, buf: &mut [u8]) -> Result<usize, Errno>;

    /// Where a link leads.
    fn target(&self, link: u64) -> Result<String, Errno>;

    /// The first byte from `at` on that is what is looked for.
    fn seek(&self, file: u64, at: u64, what: Seek) -> Result<u64, Errno>;
}

impl Attributes {
    pub(crate) const fn folder() -> Self {
        Self {
            kind: Kind::Folder,
            size: 0,
            stored: 0,
            is_direct: false,
        }
    }

    /// A file whose bytes are all there.
    pub(crate) const fn file(size: u64) -> Self {
        Self {
            kind: Kind::File,
            size,
            stored: size,
            is_direct: false,
        }
    }

    /// The same, and every read comes here.
    pub(crate) const fn direct(size: u64) -> Self {
        Self {
            is_direct: true,
            ..Self::file(size)
        }
    }

    pub(crate) const fn link(size: u64) -> Self {
        Self {
            kind: Kind::Link,
            ..Self::file(size)
        }
    }
}

/// Copies into `buf` what `bytes` has from `at` on.
pub(crate) fn copy(bytes: &[u8], at: u64, buf: &mut [u8]) -> usize {
    let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
    let rest = rest.unwrap_or(&[]);
    let len = rest.len().min(buf.len());
    let (source, _) = rest.split_at(len);
    let (target, _) = buf.split_at_mut(len);
    target.copy_from_slice(source);
    len
}

/// Where the next byte is in a file without holes.
pub(crate) const fn seek_without_holes(size: u64, at: u64, what: Seek) -> Result<u64, Errno> {
    match what {
        _ if at >= size => Err(Errno::ENXIO),
        Seek::Data => Ok(at),
        Seek::Hole => Ok(size),
    }
}
