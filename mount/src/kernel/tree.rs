// SPDX-License-Identifier: MIT OR Apache-2.0
//! The folders and files.

use super::processes::Process;
use super::{Kernel, links, texts};
use crate::node::{LiveNode, Node};
use crate::part::{Attributes, Entry, Kind, Part, Seek, copy, seek_without_holes};
use linpmem_inspect::AddressSpace;
use linpmem_phys::Errno;
use linpmem_phys::num::{len_bytes, u64_as_usize, usize_as_u64};
use std::ops::Range;
use std::rc::Rc;

/// A file in the folder of a process. Whoever adds one adds it here and in `FILES`; a folder gets
/// a kind of node as `vmas` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProcessFile {
    Arguments,
    Name,
    Environment,
    Files,
    Mappings,
    Memory,
    Status,
}

/// Their names; the index is part of the node's number.
const FILES: [(&str, ProcessFile); 7] = [
    ("cmdline", ProcessFile::Arguments),
    ("comm", ProcessFile::Name),
    ("environ", ProcessFile::Environment),
    ("files", ProcessFile::Files),
    ("maps", ProcessFile::Mappings),
    ("mem", ProcessFile::Memory),
    ("status", ProcessFile::Status),
];
const MAPPINGS: &str = "vmas";

/// Bytes that the open files of a process and their names may take, while they are listed.
const FILES_ROOM: u64 = 16 << 20;
/// No process has a longer command line or environment: Linux allows 6 MiB.
const MAX_TEXT: u64 = 64 << 20;

impl Kernel<'_> {
    fn process(&self, index: u64) -> Result<&Process, Errno> {
        self.processes()?.get(index)
    }

    /// The address space of the process, if it has one.
    fn space(&self, process: &Process) -> Result<Option<AddressSpace>, Errno> {
        let task = &process.found.task;
        match self.machine.space_of(task) {
            None if task.mm.is_some() => Err(Errno::EIO),
            space => Ok(space),
        }
    }

    /// Where the process keeps a text.
    fn span(&self, process: &Process, file: ProcessFile) -> Result<Range<u64>, Errno> {
        let texts = self.machine.texts(&process.found.task);
        let texts = texts.map_err(|_| Errno::EIO)?;
        let span = match file {
            ProcessFile::Environment => texts.environment,
            _ => texts.arguments,
        };
        let end = span.end.min(span.start.saturating_add(MAX_TEXT));
        Ok(span.start..end.max(span.start))
    }

    /// Fills `buf` with the memory of the process at `at`, as far as it is there.
    fn read_memory(&self, process: &Process, at: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let Some(space) = self.space(process)? else {
            return Ok(0);
        };
        match self.machine.read_some_in(space, at, buf) {
            (0, Some(_)) => Err(Errno::EIO),
            (done, _) => Ok(done),
        }
    }

    fn file_attributes(&self, index: u64, item: u64) -> Result<Attributes, Errno> {
        let process = self.process(index)?;
        Ok(match file(item)? {
            // Walking the mappings of every process is too much for a list of files.
            ProcessFile::Files | ProcessFile::Mappings | ProcessFile::Memory => {
                Attributes::direct(0)
            }
            file @ (ProcessFile::Arguments | ProcessFile::Environment) => {
                // What cannot be found is said when somebody reads it.
                let span = self.span(process, file).unwrap_or_default();
                Attributes::direct(span.end.saturating_sub(span.start))
            }
            file => Attributes::file(len_bytes(short_text(process, file).as_bytes())),
        })
    }

    fn read_file(&self, node: LiveNode, at: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let LiveNode::InProcess(index, item) = node else {
            return Err(Errno::EISDIR);
        };
        let process = self.process(index)?;
        match file(item)? {
            ProcessFile::Memory => self.read_memory(process, at, buf),
            file @ (ProcessFile::Arguments | ProcessFile::Environment) => {
                let span = self.span(process, file)?;
                let left = span.end.saturating_sub(span.start).saturating_sub(at);
                let len = usize_as_u64(buf.len()).min(left);
                let (target, _) = buf.split_at_mut(u64_as_usize(len));
                if target.is_empty() {
                    return Ok(0);
                }
                self.read_memory(process, span.start.saturating_add(at), target)
            }
            ProcessFile::Mappings => {
                let text = self.text(node.number(), || {
                    let task = &process.found.task;
                    let mut room = super::mappings::ROOM;
                    let found = self.machine.maps(task, &mut room);
                    let found = found.map_err(|_| Errno::EIO)?;
                    Ok(self.wording.mappings(task, found))
                })?;
                Ok(copy(&text, at, buf))
            }
            ProcessFile::Files => {
                let text = self.text(node.number(), || {
                    let task = &process.found.task;
                    let found = self.machine.open_files(task, &mut FILES_ROOM.clone());
                    let found = found.map_err(|_| Errno::EIO)?;
                    Ok(self.wording.files(task, found))
                })?;
                Ok(copy(&text, at, buf))
            }
            file => Ok(copy(short_text(process, file).as_bytes(), at, buf)),
        }
    }

    /// The log, or what was wrong on the way to everything.
    fn made_text(&self, node: LiveNode) -> Result<Rc<Vec<u8>>, Errno> {
        self.text(node.number(), || match node {
            LiveNode::Log => {
                let found = self.machine.log().map_err(|_| Errno::EIO)?;
                Ok(self.wording.log(found))
            }
            _ => Ok(self.notes().into_bytes()),
        })
    }

    fn notes(&self) -> String {
        let mut text = String::new();
        match self.all_processes() {
            Ok(found) => texts::notes("processes", &found.troubles, &mut text),
            Err(error) => texts::note("processes", error, &mut text),
        }
        match self.all_modules() {
            Ok(found) => texts::notes("modules", &found.troubles, &mut text),
            Err(error) => texts::note("modules", error, &mut text),
        }
        match self.machine.log() {
            Ok(found) => texts::notes("dmesg", &found.troubles, &mut text),
            Err(error) => texts::note("dmesg", &error, &mut text),
        }
        text
    }
}

fn live(node: u64) -> Result<LiveNode, Errno> {
    match Node::new(node) {
        Some(Node::Live(live)) => Ok(live),
        _ => Err(Errno::ENOENT),
    }
}

fn file(item: u64) -> Result<ProcessFile, Errno> {
    let file = FILES.get(u64_as_usize(item));
    file.map(|&(_, file)| file).ok_or(Errno::ENOENT)
}

/// The text of a file that is made of what is known of the process anyway.
fn short_text(process: &Process, file: ProcessFile) -> String {
    match file {
        ProcessFile::Name => format!("{}\n", process.found.task.name),
        _ => texts::status(process),
    }
}

impl Part for Kernel<'_> {
    fn attributes(&self, node: u64) -> Result<Attributes, Errno> {
        let node = live(node)?;
        Ok(match node {
            LiveNode::Log | LiveNode::Notes => match self.made_text(node) {
                Ok(text) => Attributes::file(len_bytes(&text)),
                // Why it cannot be read is in the notes.
                Err(_) => Attributes::direct(0),
            },
            LiveNode::Modules | LiveNode::Processes | LiveNode::Names => Attributes::folder(),
            LiveNode::Module(index) => {
                let (_, module) = self.modules()?.get(index)?;
                Attributes::file(len_bytes(texts::module(module).as_bytes()))
            }
            LiveNode::Process(index) | LiveNode::Mappings(index) | LiveNode::Descriptors(index) => {
                self.process(index)?;
                Attributes::folder()
            }
            LiveNode::InProcess(index, item) => self.file_attributes(index, item)?,
            LiveNode::Mapping(index, item) => {
                Attributes::file(self.mappings(index)?.get(item)?.size())
            }
            LiveNode::Name(_) | LiveNode::Descriptor(..) | LiveNode::Needed(..) => {
                let target = self.target(node.number())?;
                Attributes::link(len_bytes(target.as_bytes()))
            }
        })
    }

    fn find(&self, folder: u64, name: &str) -> Result<u64, Errno> {
        let found = match live(folder)? {
            LiveNode::Modules => self.modules()?.find(name).map(LiveNode::Module),
            LiveNode::Processes => self.processes()?.find(name).map(LiveNode::Process),
            LiveNode::Names => self.processes()?.find_link(name).map(LiveNode::Name),
            LiveNode::Process(index) if name == MAPPINGS => Some(LiveNode::Mappings(index)),
            LiveNode::Process(index) if name == links::FOLDER => Some(LiveNode::Descriptors(index)),
            LiveNode::Process(index) => {
                let item = FILES.iter().position(|&(known, _)| known == name);
                let file = item.map(|item| LiveNode::InProcess(index, usize_as_u64(item)));
                file.or_else(|| {
                    let needed = links::NEEDED.iter();
                    let item = needed
                        .map(|(known, _)| *known)
                        .position(|one| one == name)?;
                    Some(LiveNode::Needed(index, usize_as_u64(item)))
                })
            }
            LiveNode::Descriptors(index) => {
                let item = self.descriptors(index)?.find(name);
                item.map(|item| LiveNode::Descriptor(index, item))
            }
            LiveNode::Mappings(index) => {
                let item = self.mappings(index)?.find(name);
                item.map(|item| LiveNode::Mapping(index, item))
            }
            _ => return Err(Errno::ENOTDIR),
        };
        found.map(LiveNode::number).ok_or(Errno::ENOENT)
    }

    fn list(
        &self,
        folder: u64,
        skipped: u64,
        take: &mut dyn FnMut(Entry<'_>) -> bool,
    ) -> Result<(), Errno> {
        let mut give = |node: LiveNode, kind, name: &str| {
            let node = node.number();
            take(Entry { node, kind, name })
        };
        match live(folder)? {
            LiveNode::Modules => {
                let modules = self.modules()?;
                for index in skipped..modules.len() {
                    let (name, _) = modules.get(index)?;
                    if !give(LiveNode::Module(index), Kind::File, name) {
                        break;
                    }
                }
            }
            folder @ (LiveNode::Processes | LiveNode::Names) => {
                let list = self.processes()?.list();
                for (index, process) in (0..).zip(list).skip(u64_as_usize(skipped)) {
                    let may_go_on = match folder {
                        LiveNode::Names => give(LiveNode::Name(index), Kind::Link, &process.link()),
                        _ => give(LiveNode::Process(index), Kind::Folder, &process.folder),
                    };
                    if !may_go_on {
                        break;
                    }
                }
            }
            LiveNode::Process(index) => {
                let task = &self.process(index)?.found.task;
                let files = (0..)
                    .zip(FILES)
                    .map(|(item, (name, _))| (LiveNode::InProcess(index, item), Kind::File, name));
                let folders = [
                    (LiveNode::Mappings(index), Kind::Folder, MAPPINGS),
                    (LiveNode::Descriptors(index), Kind::Folder, links::FOLDER),
                ];
                let needed = links::of_needed(&self.machine, task);
                let needed = needed.iter().filter_map(|&(item, _)| {
                    let &(name, _) = links::NEEDED.get(item)?;
                    let node = LiveNode::Needed(index, usize_as_u64(item));
                    Some((node, Kind::Link, name))
                });
                let entries = files.chain(folders).chain(needed);
                let entries = entries.skip(u64_as_usize(skipped));
                for (node, kind, name) in entries {
                    if !give(node, kind, name) {
                        break;
                    }
                }
            }
            LiveNode::Mappings(index) => {
                let mappings = self.mappings(index)?;
                for item in skipped..mappings.len() {
                    let name = mappings.get(item)?.name();
                    if !give(LiveNode::Mapping(index, item), Kind::File, &name) {
                        break;
                    }
                }
            }
            LiveNode::Descriptors(index) => {
                let open = self.descriptors(index)?;
                for item in skipped..open.len() {
                    let name = open.get(item)?.fd.to_string();
                    if !give(LiveNode::Descriptor(index, item), Kind::Link, &name) {
                        break;
                    }
                }
            }
            _ => return Err(Errno::ENOTDIR),
        }
        Ok(())
    }

    fn read(&self, file: u64, at: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let node = live(file)?;
        match node {
            LiveNode::Log | LiveNode::Notes => Ok(copy(&self.made_text(node)?, at, buf)),
            LiveNode::Module(index) => {
                let (_, module) = self.modules()?.get(index)?;
                Ok(copy(texts::module(module).as_bytes(), at, buf))
            }
            LiveNode::Mapping(index, item) => {
                let span = self.mappings(index)?.get(item)?;
                let space = self.space(self.process(index)?)?.ok_or(Errno::EIO)?;
                span.read(&self.machine, space, at, buf)
            }
            node => self.read_file(node, at, buf),
        }
    }

    fn target(&self, link: u64) -> Result<String, Errno> {
        match live(link)? {
            LiveNode::Name(index) => Ok(format!("../pid/{}", self.process(index)?.folder)),
            LiveNode::Descriptor(index, item) => {
                let open = self.descriptors(index)?.get(item)?;
                links::of_open(&self.machine, open)
            }
            LiveNode::Needed(index, item) => {
                let task = &self.process(index)?.found.task;
                let item = u64_as_usize(item);
                let needed = links::of_needed(&self.machine, task).into_iter();
                let mut targets = needed.filter(|&(known, _)| known == item);
                let found = targets.next().map(|(_, target)| target);
                found.ok_or(Errno::ENOENT)
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn seek(&self, file: u64, at: u64, what: Seek) -> Result<u64, Errno> {
        match live(file)? {
            LiveNode::Mapping(index, item) => {
                let span = self.mappings(index)?.get(item)?;
                let space = self.space(self.process(index)?)?.ok_or(Errno::EIO)?;
                span.seek(&self.machine, space, at, what)
            }
            _ => seek_without_holes(self.attributes(file)?.size, at, what),
        }
    }
}
