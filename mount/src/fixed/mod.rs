// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of the tree that is known when an image is mounted: memory, ranges, artifacts, and
//! what is said about the image.

use crate::artifact_files::{ArtifactFile, ArtifactFiles, ReadArtifact};
use crate::core_file::CoreFile;
use crate::memory_file::MemoryFile;
use crate::names::Names;
use crate::node::{LiveNode, Node};
use crate::part::{Attributes, Entry, Kind, Part, Seek, copy, seek_without_holes};
use crate::ranges::Ranges;
use linpmem_formats::{ImagePlan, ImageReader, WriteError};
use linpmem_phys::num::{len_bytes, u64_as_usize, usize_as_u64};
use linpmem_phys::{Errno, MemoryMap};
use std::collections::HashMap;
use std::sync::Arc;

/// A file whose content is in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its name, in the root.
    pub name: &'static str,
    /// Its content.
    pub content: Vec<u8>,
}

/// What an image is shown as.
pub struct Contents {
    /// The image.
    pub image: Arc<dyn ImageReader>,
    /// The ranges of memory, those that could not be read included.
    pub map: MemoryMap,
    /// The core that `memory.elf` is; without it, there is no such file.
    pub core: Option<ImagePlan>,
    /// Further files in the root.
    pub texts: Vec<Text>,
    /// The artifacts, if the image has any.
    pub artifacts: Option<(Vec<ArtifactFile>, Box<dyn ReadArtifact>)>,
    /// Whether the kernel was found, whose part is then in the root as well.
    pub has_kernel: bool,
}

/// The part of the tree that does not change.
pub struct Fixed {
    image: Arc<dyn ImageReader>,
    nodes: Vec<FixedNode>,
    ranges: Ranges,
    artifacts: Option<ArtifactFiles>,
}

enum FixedNode {
    Folder(Folder),
    Ranges,
    Text(Vec<u8>),
    /// Its bytes that are there are counted once.
    Memory(MemoryFile, Attributes),
    Core(CoreFile),
    Artifact(usize),
}

#[derive(Default)]
struct Folder {
    names: Names,
    entries: Vec<Named>,
}

struct Named {
    name: String,
    node: u64,
    kind: Kind,
}

const ROOT: usize = 0;

/// What the kernel's part has in the root.
const LIVE: [(&str, LiveNode, Kind); 5] = [
    ("dmesg", LiveNode::Log, Kind::File),
    ("kernel-notes.txt", LiveNode::Notes, Kind::File),
    ("modules", LiveNode::Modules, Kind::Folder),
    ("name", LiveNode::Names, Kind::Folder),
    ("pid", LiveNode::Processes, Kind::Folder),
];

impl Fixed {
    /// The tree of `contents`.
    ///
    /// # Errors
    /// If the core cannot be laid out.
    pub fn new(contents: Contents) -> Result<Self, WriteError> {
        let Contents {
            image,
            map,
            core,
            texts,
            artifacts,
            has_kernel,
        } = contents;
        let mut fixed = Self {
            ranges: Ranges::new(&map),
            nodes: vec![FixedNode::Folder(Folder::default())],
            artifacts: None,
            image: Arc::clone(&image),
        };
        let last = image.ranges().last().map(|stored| stored.range.last());
        let last = last.max(map.regions().last().map(|region| region.range.last()));
        let end = last.map_or(0, |last| last.get().saturating_add(1));
        let raw = MemoryFile::new(Arc::clone(&image), 0, end);
        let attributes = raw.attributes();
        fixed.add(ROOT, "memory.raw", FixedNode::Memory(raw, attributes));
        if let Some(plan) = core {
            let core = CoreFile::new(image, &plan)?;
            fixed.add(ROOT, "memory.elf", FixedNode::Core(core));
        }
        fixed.add(ROOT, "ranges", FixedNode::Ranges);
        for text in texts {
            fixed.add(ROOT, text.name, FixedNode::Text(text.content));
        }
        if let Some((files, reader)) = artifacts {
            fixed.add_artifacts(&files);
            fixed.artifacts = Some(ArtifactFiles::new(files, reader));
        }
        if has_kernel {
            for (name, node, kind) in LIVE {
                fixed.name(ROOT, name, node.number(), kind);
            }
        }
        Ok(fixed)
    }

    /// Adds the artifacts, each in its folders. Of several of one name there is the first, which
    /// is the one that is read by that name.
    fn add_artifacts(&mut self, files: &[ArtifactFile]) {
        let top = self.add(ROOT, "artifacts", FixedNode::Folder(Folder::default()));
        // By the name in the image: two that only look the same are two.
        let mut folders: HashMap<&str, usize> = HashMap::new();
        let mut seen: HashMap<&str, ()> = HashMap::new();
        for (index, file) in files.iter().enumerate() {
            if seen.insert(&file.name, ()).is_some() {
                continue;
            }
            let mut folder = top;
            let mut rest = file.name.as_str();
            // What is below is in the name of the file.
            for _ in 0..MAX_DEPTH {
                let Some((name, below)) = rest.split_once('/') else {
                    break;
                };
                let path = file.name.len().saturating_sub(below.len());
                let path = file.name.get(..path).unwrap_or(&file.name);
                rest = below;
                if name.is_empty() {
                    continue;
                }
                folder = match folders.get(path) {
                    Some(&known) => known,
                    None if self.nodes.len() >= MAX_NODES => folder,
                    None => {
                        let new = FixedNode::Folder(Folder::default());
                        let added = self.add(folder, name, new);
                        folders.insert(path, added);
                        added
                    }
                };
            }
            self.add(folder, rest, FixedNode::Artifact(index));
        }
    }

    /// Adds `node` to the folder; returns its index.
    fn add(&mut self, folder: usize, name: &str, node: FixedNode) -> usize {
        let kind = match node {
            FixedNode::Folder(_) | FixedNode::Ranges => Kind::Folder,
            _ => Kind::File,
        };
        let index = self.nodes.len();
        self.nodes.push(node);
        self.name(
            folder,
            name,
            Node::Fixed(usize_as_u64(index)).number(),
            kind,
        );
        index
    }

    fn name(&mut self, folder: usize, name: &str, node: u64, kind: Kind) {
        if let Some(FixedNode::Folder(folder)) = self.nodes.get_mut(folder) {
            let name = folder.names.give(name, node);
            folder.entries.push(Named { name, node, kind });
        }
    }

    fn node(&self, node: u64) -> Result<&FixedNode, Errno> {
        match Node::new(node) {
            Some(Node::Fixed(index)) => self.nodes.get(u64_as_usize(index)),
            _ => None,
        }
        .ok_or(Errno::ENOENT)
    }

    /// The file of the range with this number, if it is one.
    fn range(&self, node: u64) -> Option<MemoryFile> {
        let Some(Node::Range(index)) = Node::new(node) else {
            return None;
        };
        let range = self.ranges.get(u64_as_usize(index))?;
        let [start, last] = [range.start().get(), range.last().get()];
        let end = last.saturating_add(1);
        Some(MemoryFile::new(Arc::clone(&self.image), start, end))
    }

    fn artifacts(&self) -> Result<&ArtifactFiles, Errno> {
        self.artifacts.as_ref().ok_or(Errno::ENOENT)
    }
}

/// More folders are not made for artifacts, and not below so many others.
const MAX_NODES: usize = 1 << 17;
const MAX_DEPTH: usize = 32;

impl Part for Fixed {
    fn attributes(&self, node: u64) -> Result<Attributes, Errno> {
        if let Some(range) = self.range(node) {
            return Ok(range.attributes());
        }
        Ok(match self.node(node)? {
            FixedNode::Folder(_) | FixedNode::Ranges => Attributes::folder(),
            FixedNode::Text(text) => Attributes::file(len_bytes(text)),
            FixedNode::Memory(_, attributes) => *attributes,
            FixedNode::Core(core) => Attributes::file(core.size()),
            FixedNode::Artifact(index) => {
                let file = self.artifacts()?.get(*index).ok_or(Errno::ENOENT)?;
                match file.size {
                    Some(size) => Attributes::file(size),
                    None => Attributes::direct(0),
                }
            }
        })
    }

    fn find(&self, folder: u64, name: &str) -> Result<u64, Errno> {
        let found = match self.node(folder)? {
            FixedNode::Folder(folder) => folder.names.find(name),
            FixedNode::Ranges => {
                let index = self.ranges.find(name).map(usize_as_u64);
                index.map(|index| Node::Range(index).number())
            }
            _ => return Err(Errno::ENOTDIR),
        };
        found.ok_or(Errno::ENOENT)
    }

    fn list(
        &self,
        folder: u64,
        skipped: u64,
        take: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Errno> {
        let skipped = u64_as_usize(skipped);
        match self.node(folder)? {
            FixedNode::Folder(folder) => {
                for Named { name, node, kind } in folder.entries.iter().skip(skipped) {
                    let entry = Entry {
                        node: *node,
                        kind: *kind,
                        name,
                    };
                    if !take(entry) {
                        break;
                    }
                }
            }
            FixedNode::Ranges => {
                for index in skipped..self.ranges.len() {
                    let name = self.ranges.get(index).map(Ranges::name);
                    let entry = Entry {
                        node: Node::Range(usize_as_u64(index)).number(),
                        kind: Kind::File,
                        name: &name.unwrap_or_default(),
                    };
                    if !take(entry) {
                        break;
                    }
                }
            }
            _ => return Err(Errno::ENOTDIR),
        }
        Ok(())
    }

    fn read(&self, file: u64, at: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        if let Some(range) = self.range(file) {
            return range.read(at, buf);
        }
        match self.node(file)? {
            FixedNode::Text(text) => Ok(copy(text, at, buf)),
            FixedNode::Memory(memory, _) => memory.read(at, buf),
            FixedNode::Core(core) => core.read(at, buf),
            FixedNode::Artifact(index) => self.artifacts()?.read(*index, at, buf),
            FixedNode::Folder(_) | FixedNode::Ranges => Err(Errno::EISDIR),
        }
    }

    fn target(&self, _link: u64) -> Result<String, Errno> {
        Err(Errno::EINVAL)
    }

    fn seek(&self, file: u64, at: u64, what: Seek) -> Result<u64, Errno> {
        if let Some(range) = self.range(file) {
            return range.seek(at, what);
        }
        match self.node(file)? {
            FixedNode::Memory(memory, _) => memory.seek(at, what),
            _ => seek_without_holes(self.attributes(file)?.size, at, what),
        }
    }
}

#[cfg(test)]
mod tests;
