// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a manifest, front to back.

use crate::Sha256Sum;
use crate::Stamp;
use crate::second_pass::SecondPassWriter;
use crate::spool::Spool;
use crate::{
    Address, ArtifactsRecord, ChunkRecord, FileRecord, Host, ImageRecord, MachineRecord, MapEntry,
    ReadFirst, SourceRecord, State, Tool, UnreadableRecord, VERSION,
};
use linpmem_phys::{Unreadable, Unreadables};
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

/// What is known before the first byte is read.
#[derive(Clone, Debug)]
pub struct Header {
    /// See [`crate::Manifest`], as all of these.
    pub tool: Tool,
    /// The command line.
    pub command: Vec<String>,
    /// The machine that the tool runs on.
    pub host: Host,
    /// Where the memory comes from.
    pub source: SourceRecord,
    /// When it begins.
    pub started: Stamp,
    /// What is known of the machine.
    pub machine: MachineRecord,
    /// /proc/iomem.
    pub iomem: Option<String>,
    /// Control groups that stand still meanwhile.
    pub frozen: Vec<String>,
    /// What was read before its turn.
    pub read_first: Option<ReadFirst>,
    /// The map.
    pub map: Vec<MapEntry>,
    /// The image's form.
    pub image: ImageRecord,
    /// What lies beside the memory.
    pub artifacts: Option<ArtifactsRecord>,
}

/// What is known of a range before it is read.
#[derive(Clone, Debug, Serialize)]
pub struct RangeHead {
    /// Counts from 0.
    pub index: u64,
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// Bytes.
    pub length: u64,
    /// What the kernel calls it.
    pub kind: String,
    /// Where its data begins in the image.
    pub file_offset: Option<u64>,
}

/// What is known of a range when it has been read.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RangeTail {
    /// Bytes in the image.
    pub written_bytes: u64,
    /// The Merkle tree's over the range's chunks.
    pub sha256_tree: Sha256Sum,
    /// Microseconds from the start of the run.
    pub read_us: [u64; 2],
}

/// What is known at the end.
#[derive(Clone, Debug)]
pub struct Footer {
    /// Over all ranges.
    pub unreadable_pages: u64,
    /// Of the image that was converted.
    pub source_sha256: Option<Sha256Sum>,
    /// The output file.
    pub file: FileRecord,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Why it ended early.
    pub error: Option<String>,
    /// When it ended.
    pub ended: Stamp,
    /// How it ended.
    pub state: State,
}

/// Writes a manifest. The calls come in this order: [`new`](Self::new), for each
/// range [`begin_range`](Self::begin_range), [`chunk`](Self::chunk)s and
/// [`end_range`](Self::end_range), perhaps
/// [`begin_second_pass`](Self::begin_second_pass), and [`finish`](Self::finish).
#[derive(Debug)]
pub struct ManifestWriter<W> {
    out: W,
    ranges: u64,
    /// Whether there can be more ranges.
    is_open: bool,
    chunks: u64,
    unreadable: RangeUnreadable,
}

/// What could not be read of the range that is being written.
#[derive(Debug)]
struct RangeUnreadable {
    /// All but the last stretch, as JSON.
    done: Spool,
    /// The last one, which the next chunk may extend.
    last: Option<Unreadable>,
    pages: u64,
}

impl<W: Write> ManifestWriter<W> {
    /// Begins the manifest. What grows too large for memory is kept in a file
    /// without a name in `spool_folder`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W, header: &Header, spool_folder: PathBuf) -> io::Result<Self> {
        write!(out, "{{\n\"manifest_version\": {VERSION}")?;
        header.write_to(&mut out)?;
        out.write_all(b",\n\"ranges\": [")?;
        Ok(Self {
            out,
            ranges: 0,
            is_open: true,
            chunks: 0,
            unreadable: RangeUnreadable {
                done: Spool::new(spool_folder),
                last: None,
                pages: 0,
            },
        })
    }

    /// Sees to it that everything up to here can be read where it is written to.
    ///
    /// # Errors
    /// Those of the output.
    pub fn checkpoint(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Begins a range.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin_range(&mut self, head: &RangeHead) -> io::Result<()> {
        separate(&mut self.out, &mut self.ranges)?;
        self.chunks = 0;
        self.out.write_all(b"{")?;
        inner(&mut self.out, head)?;
        self.out.write_all(b", \"chunks\": [")
    }

    /// Adds a chunk to the range.
    ///
    /// # Errors
    /// Those of the output.
    pub fn chunk(&mut self, chunk: &ChunkRecord, unreadable: &Unreadables) -> io::Result<()> {
        separate(&mut self.out, &mut self.chunks)?;
        serde_json::to_writer(&mut self.out, chunk)?;
        for &item in unreadable.as_slice() {
            self.unreadable.push(item)?;
        }
        Ok(())
    }

    /// Ends the range.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end_range(&mut self, tail: &RangeTail) -> io::Result<()> {
        self.out.write_all(b"\n], \"unreadable\": [")?;
        let pages = self.unreadable.write_to(&mut self.out)?;
        write!(self.out, "], \"unreadable_pages\": {pages}, ")?;
        inner(&mut self.out, tail)?;
        self.out.write_all(b"}")
    }

    /// After the last range: begins what a second reading found.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin_second_pass(&mut self, started: &Stamp) -> io::Result<SecondPassWriter<'_, W>> {
        self.close()?;
        SecondPassWriter::new(&mut self.out, started)
    }

    fn close(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_open) {
            self.out.write_all(b"\n]")?;
        }
        Ok(())
    }

    /// Ends the manifest, and gives back what it was written to.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self, footer: &Footer) -> io::Result<W> {
        self.close()?;
        footer.end(&mut self.out)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl RangeUnreadable {
    fn push(&mut self, item: Unreadable) -> io::Result<()> {
        // Joined by the same rule as within a chunk.
        let mut joined = Unreadables::new();
        for part in self.last.into_iter().chain([item]) {
            joined.push(part.range, part.errno);
        }
        let mut parts = joined.as_slice().iter().rev();
        self.last = parts.next().copied();
        match parts.next() {
            Some(&complete) => self.spool(complete),
            None => Ok(()),
        }
    }

    fn spool(&mut self, item: Unreadable) -> io::Result<()> {
        let record = UnreadableRecord::from(item);
        self.pages = self.pages.saturating_add(record.pages);
        if !self.done.is_empty() {
            self.done.write_all(b",")?;
        }
        self.done.write_all(b"\n")?;
        serde_json::to_writer(&mut self.done, &record)?;
        Ok(())
    }

    /// Writes the list, forgets it, and says how many pages were in it.
    fn write_to(&mut self, out: &mut impl Write) -> io::Result<u64> {
        if let Some(last) = self.last.take() {
            self.spool(last)?;
        }
        self.done.move_to(out)?;
        Ok(std::mem::take(&mut self.pages))
    }
}

/// A line break, and a comma before it for all but the first of a list.
pub(super) fn separate(out: &mut impl Write, count: &mut u64) -> io::Result<()> {
    let separator: &[u8] = if *count == 0 { b"\n" } else { b",\n" };
    *count = count.saturating_add(1);
    out.write_all(separator)
}

impl Header {
    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        member(out, "tool", &self.tool)?;
        member(out, "command", &self.command)?;
        member(out, "host", &self.host)?;
        member(out, "source", &self.source)?;
        member(out, "started", &self.started)?;
        member(out, "machine", &self.machine)?;
        member(out, "iomem", &self.iomem)?;
        if !self.frozen.is_empty() {
            member(out, "frozen", &self.frozen)?;
        }
        if let Some(first) = &self.read_first {
            member(out, "read_first", first)?;
        }
        member(out, "map", &self.map)?;
        member(out, "image", &self.image)?;
        member(out, "artifacts", &self.artifacts)
    }
}

impl Footer {
    /// Ends a document whose list of ranges is already closed.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn end(&self, out: &mut impl Write) -> io::Result<()> {
        self.write_to(out)?;
        out.write_all(b"\n}\n")
    }

    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        member(out, "unreadable_pages", &self.unreadable_pages)?;
        if let Some(sum) = &self.source_sha256 {
            member(out, "source_sha256", sum)?;
        }
        member(out, "file", &self.file)?;
        member(out, "warnings", &self.warnings)?;
        member(out, "error", &self.error)?;
        member(out, "ended", &self.ended)?;
        member(out, "state", &self.state)
    }
}

/// A further member of the outermost object, on a line of its own.
fn member(out: &mut impl Write, name: &str, value: &impl Serialize) -> io::Result<()> {
    write!(out, ",\n\"{name}\": ")?;
    serde_json::to_writer(out, value)?;
    Ok(())
}

/// The fields of `value`, a struct, without the braces around them.
fn inner(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let json = serde_json::to_vec(value)?;
    let fields = json.strip_prefix(b"{").unwrap_or(&json);
    out.write_all(fields.strip_suffix(b"}").unwrap_or(fields))
}
