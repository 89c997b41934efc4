// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump info`: what an image contains, and what it says about its machine.

use super::figures::count;
use super::memory_map::{self, Mark, Part};
use linpmem_cli::table::{self, Align, known_value, value};
use linpmem_cli::{Document, SignedHex, printable};
use linpmem_formats::{ImageReader, StoredRange};
use linpmem_manifest::{
    Address, CustodyRecord, HashRecord, Host, Missing, Remark, Sha256Sum, State, Tool,
    UnreadableRecord,
};
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{Content, PhysLen, RegionKind};
use serde::{Serialize, Serializer};
use std::fmt;
use std::io::{self, Write};

/// An image and its machine.
#[derive(Debug, Serialize)]
pub struct InfoDocument {
    /// The image.
    pub image: String,
    /// Its format, in words.
    pub image_format: String,
    /// The machine whose memory it is.
    pub machine: MachineFacts,
    /// What is odd about the image, a sentence each.
    pub notes: Vec<String>,
    /// How the image ends early, if it does.
    pub truncation: Option<TruncationFacts>,
    /// The ranges of the image, by address.
    pub ranges: ImageRanges,
    /// Size of these ranges.
    pub total_bytes: u64,
    /// The artifacts, if there are any.
    pub artifacts: Option<ArtifactsFacts>,
    /// Why the artifacts cannot be read, if they cannot.
    pub artifacts_error: Option<String>,
    /// What an AFF4 volume says about the image.
    pub properties: Vec<Property>,
    /// The manifest, if there is one.
    pub manifest: Option<ManifestFacts>,
}

/// An image that was cut off.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TruncationFacts {
    /// Where its bytes end, before compression of the whole file.
    pub end_offset: u64,
    /// Memory that it lists and lacks.
    pub missing_bytes: u64,
    /// The lowest address of that.
    pub first_missing: Option<Address>,
    /// Whether it may have had ranges that it no longer lists.
    pub may_lack_ranges: bool,
}

/// A machine, as its image and its artifacts describe it. `pmem info` uses the same
/// names.
#[derive(Debug, Default, Serialize)]
pub struct MachineFacts {
    /// `uname -r`.
    pub kernel: Option<String>,
    /// What kind of machine it is, as `uname -m` says.
    pub architecture: Option<String>,
    /// Bytes of a page of the kernel.
    pub page_bytes: Option<u64>,
    /// Bits of a virtual address, as the machine uses them (arm64).
    pub va_bits: Option<u32>,
    /// Bits of a physical address.
    pub phys_bits: Option<u32>,
    /// Levels of page tables: 4 or 5 on x86-64, 2 to 5 on arm64.
    pub paging_levels: Option<u32>,
    /// Virtual address of physical address 0 (`page_offset_base`).
    pub direct_map_base: Option<Address>,
    /// Where the kernel's image is in physical memory, relative to the address that
    /// it was linked for.
    pub phys_base: Option<SignedHex>,
    /// The difference between virtual and physical addresses of the kernel's image (arm64).
    pub kimage_voffset: Option<Address>,
    /// The bits of a kernel pointer that the processor can use to sign it (arm64).
    pub pointer_auth_mask: Option<Address>,
    /// Features of the processors that concern memory (arm64): `mte`, `paca`, `pacg`.
    pub cpu_features: Vec<String>,
    /// How far KASLR moved the kernel.
    pub kaslr_offset: Option<Address>,
    /// The kernel's own top page table.
    pub kernel_page_table: Option<Address>,
    /// Size of the VMCOREINFO text.
    pub vmcoreinfo_bytes: Option<u64>,
    /// The kernel's build id.
    pub build_id: Option<String>,
    /// /proc/version.
    pub banner: Option<String>,
    /// /proc/cmdline.
    pub command_line: Option<String>,
    /// The CPUs that were online, as in `0-3`.
    pub cpus_online: Option<String>,
    /// The id of the boot.
    pub boot_id: Option<String>,
}

/// The ranges of an image, each described when it is shown.
pub struct ImageRanges(pub Box<dyn ImageReader>);

/// A range of an image.
#[derive(Debug, Serialize)]
pub struct ImageRange {
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// Its size.
    pub size_bytes: u64,
    /// Where its bytes begin, before compression of the whole file; none if they are
    /// not in one piece.
    pub file_offset: Option<u64>,
    /// What the kernel calls it, if the image says so.
    pub kind: Option<&'static str>,
    /// What the image holds of it.
    pub content: ContentName,
    /// Why it is unreadable or absent.
    pub reason: Option<String>,
}

/// What an image holds of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentName {
    /// Bytes.
    Data,
    /// Nothing but zeros.
    Zero,
    /// It could not be read.
    Unreadable,
    /// It was not asked for, or the run ended before.
    Absent,
}

/// The artifacts of an image, in a few figures.
#[derive(Debug, Serialize)]
pub struct ArtifactsFacts {
    /// The command that lists them.
    #[serde(skip)]
    pub ls_command: String,
    /// The number of files.
    pub files: usize,
    /// Why files may be missing, if the archive is damaged.
    pub damage: Option<String>,
    /// What could not be collected.
    pub missing: Vec<Missing>,
    /// Remarks about single files.
    pub remarks: Vec<Remark>,
}

/// What an AFF4 volume says about the image.
#[derive(Debug, Serialize)]
pub struct Property {
    /// As in the volume, without the name of its vocabulary.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A manifest in brief.
#[derive(Debug, Serialize)]
pub struct ManifestFacts {
    /// The program that wrote the image.
    pub tool: Tool,
    /// Its command line.
    pub command: Vec<String>,
    /// The machine that it ran on.
    pub host: Host,
    /// Where the memory came from.
    pub source: SourceFacts,
    /// Who ran it, what for, and by which clocks; manifests of older versions do not say.
    pub custody: Option<CustodyRecord>,
    /// When it began, in UTC.
    pub started: String,
    /// When it ended.
    pub ended: String,
    /// How it ended.
    pub state: State,
    /// Why it ended early.
    pub error: Option<String>,
    /// Pages that could not be read.
    pub unreadable_pages: u64,
    /// The warnings of that run.
    pub warnings: Vec<String>,
    /// The hash of the file.
    pub sha256: Option<Sha256Sum>,
    /// Further hashes of the file.
    pub hashes: Vec<HashRecord>,
    /// The ranges that were read.
    pub ranges: Vec<ReadRange>,
    /// What could not be read of them.
    pub unreadable: Vec<UnreadableRecord>,
}

/// Where the memory came from.
#[derive(Debug, Serialize)]
pub struct SourceFacts {
    /// `linpmem`, `kcore`, `file` and so on.
    pub kind: String,
    /// The device or file.
    pub path: String,
    /// The module's version, or the image's format.
    pub detail: Option<String>,
    /// The hash of the image that was converted.
    pub sha256: Option<Sha256Sum>,
}

/// A range that was read.
#[derive(Debug, Serialize)]
pub struct ReadRange {
    /// Its number, from 0.
    pub index: u64,
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// Its size.
    pub size_bytes: u64,
    /// Chunks that were written of it.
    pub chunks: u64,
    /// Pages of it that could not be read.
    pub unreadable_pages: u64,
    /// The root of the hash tree over it.
    pub sha256_tree: Sha256Sum,
}

impl Document for InfoDocument {
    const FORMAT: &'static str = "linpmem-dump info";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        value(out, "format", &self.image_format)?;
        self.machine.write_text(out)?;
        for note in &self.notes {
            value(out, "note", note)?;
        }
        writeln!(out)?;
        self.write_ranges(out)?;
        writeln!(out)?;
        memory_map::draw(self.map_parts(), out)?;
        writeln!(out)?;
        match (&self.artifacts, &self.artifacts_error) {
            (Some(artifacts), _) => artifacts.write_text(out)?,
            (None, Some(error)) => value(out, "artifacts", error)?,
            (None, None) => value(out, "artifacts", "none")?,
        }
        if !self.properties.is_empty() {
            writeln!(out)?;
        }
        for property in &self.properties {
            value(out, &printable(&property.name), &property.value)?;
        }
        if let Some(manifest) = &self.manifest {
            writeln!(out)?;
            manifest.write_text(out)?;
        }
        Ok(())
    }
}

impl ImageRanges {
    fn iter(&self) -> impl Iterator<Item = ImageRange> + Clone {
        self.0.ranges().iter().map(ImageRange::of)
    }
}

impl fmt::Debug for ImageRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for ImageRanges {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl ImageRange {
    fn of(stored: &StoredRange) -> Self {
        let (content, reason) = match stored.content {
            Content::Data => (ContentName::Data, None),
            Content::Zero => (ContentName::Zero, None),
            Content::Unreadable { errno } => (ContentName::Unreadable, Some(errno.to_string())),
            Content::Skipped { reason } => (ContentName::Absent, Some(reason.to_string())),
        };
        Self {
            start: stored.range.start().into(),
            last: stored.range.last().into(),
            size_bytes: stored.range.len().get(),
            file_offset: stored.offset,
            kind: stored.kind.map(|kind| kind.name()),
            content,
            reason,
        }
    }
}

impl InfoDocument {
    fn write_ranges(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows = self.ranges.iter().map(|range| image_row(&range));
        let columns = [
            ("START", Align::Right),
            ("LAST", Align::Right),
            ("SIZE", Align::Right),
            ("OFFSET", Align::Right),
            ("KIND", Align::Left),
            ("CONTENT", Align::Left),
        ];
        table::write(out, columns, rows)?;
        writeln!(
            out,
            "{} in {}",
            PhysLen::new(self.total_bytes),
            count(usize_as_u64(self.ranges.0.ranges().len()), "range")
        )
    }

    /// The ranges of the image, and the pages that the manifest lists as unreadable.
    fn map_parts(&self) -> impl Iterator<Item = Part> + Clone {
        let ranges = self.ranges.iter().map(|range| {
            let mark = match range.content {
                ContentName::Unreadable => Mark::Unreadable,
                ContentName::Absent => Mark::Absent,
                ContentName::Data | ContentName::Zero => {
                    Mark::of_kind(range.kind.map(RegionKind::from_name))
                }
            };
            (range.start.0, range.last.0, mark)
        });
        let unreadable = self.manifest.iter().flat_map(|known| &known.unreadable);
        let unreadable = unreadable.map(|part| (part.start.0, part.last.0, Mark::Unreadable));
        ranges.chain(unreadable)
    }
}

impl MachineFacts {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let hex = |address: Address| format!("{:#x}", address.0);
        let kernel = self.kernel.as_deref().unwrap_or("unknown");
        value(out, "kernel", kernel)?;
        known_value(out, "architecture", self.architecture.as_deref())?;
        known_value(out, "page size", self.page_bytes.map(PhysLen::new))?;
        known_value(out, "address bits", self.phys_bits)?;
        known_value(out, "virtual bits", self.va_bits)?;
        known_value(out, "paging levels", self.paging_levels)?;
        known_value(out, "direct map base", self.direct_map_base.map(hex))?;
        known_value(out, "phys_base", self.phys_base)?;
        known_value(out, "kimage_voffset", self.kimage_voffset.map(hex))?;
        known_value(out, "pointer signature", self.pointer_auth_mask.map(hex))?;
        if !self.cpu_features.is_empty() {
            value(out, "CPU features", self.cpu_features.join(" "))?;
        }
        known_value(out, "KASLR offset", self.kaslr_offset.map(hex))?;
        known_value(out, "kernel page table", self.kernel_page_table.map(hex))?;
        match self.vmcoreinfo_bytes {
            Some(bytes) => value(out, "VMCOREINFO", format_args!("{bytes} bytes"))?,
            None => value(out, "VMCOREINFO", "none")?,
        }
        known_value(out, "build id", self.build_id.as_deref())?;
        known_value(out, "banner", self.banner.as_deref())?;
        known_value(out, "command line", self.command_line.as_deref())?;
        known_value(out, "CPUs online", self.cpus_online.as_deref())?;
        known_value(out, "boot id", self.boot_id.as_deref())
    }
}

impl ArtifactsFacts {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let files = count(usize_as_u64(self.files), "file");
        value(
            out,
            "artifacts",
            format_args!("{files} ({})", self.ls_command),
        )?;
        known_value(out, "damaged", self.damage.as_deref())?;
        for Missing { name, reason } in &self.missing {
            value(out, "missing", format_args!("{name}: {reason}"))?;
        }
        for Remark { name, text } in &self.remarks {
            value(out, "note", format_args!("{name}: {text}"))?;
        }
        Ok(())
    }
}

impl ManifestFacts {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            tool,
            host,
            source,
            custody,
            ..
        } = self;
        value(
            out,
            "acquired by",
            format_args!("{} {}", tool.name, tool.version),
        )?;
        value(out, "command", self.command.join(" "))?;
        if let Some(custody) = custody {
            value(out, "operator", &custody.operator.name)?;
            known_value(out, "case", custody.case.as_deref())?;
            known_value(out, "note", custody.note.as_deref())?;
        }
        let Host {
            hostname,
            kernel_release,
            machine,
            ..
        } = host;
        value(
            out,
            "host",
            format_args!("{hostname}, {kernel_release} {machine}"),
        )?;
        let detail = source.detail.as_ref();
        let detail = detail.map_or_else(String::new, |detail| format!(" ({detail})"));
        value(
            out,
            "source",
            format_args!("{} {}{detail}", source.kind, source.path),
        )?;
        known_value(out, "source's sha256", source.sha256)?;
        value(
            out,
            "time",
            format_args!("{} to {}", self.started, self.ended),
        )?;
        value(out, "state", self.state.name())?;
        known_value(out, "error", self.error.as_deref())?;
        value(out, "unreadable pages", self.unreadable_pages)?;
        for warning in &self.warnings {
            value(out, "warning", warning)?;
        }
        match self.sha256 {
            Some(sum) => value(out, "sha256", sum)?,
            None => value(out, "sha256", "unknown")?,
        }
        for HashRecord { algorithm, digest } in &self.hashes {
            value(out, algorithm.name(), digest)?;
        }
        writeln!(out)?;
        let rows = self.ranges.iter().map(read_row);
        let columns = [
            ("RANGE", Align::Right),
            ("START", Align::Right),
            ("LAST", Align::Right),
            ("SIZE", Align::Right),
            ("CHUNKS", Align::Right),
            ("UNREADABLE", Align::Right),
            ("SHA-256 TREE", Align::Left),
        ];
        table::write(out, columns, rows)?;
        for part in &self.unreadable {
            let name = part.name.as_deref().unwrap_or("errno");
            writeln!(
                out,
                "unreadable: {:#x}-{:#x}, {}: {} ({})",
                part.start.0,
                part.last.0,
                count(part.pages, "page"),
                printable(name),
                part.errno
            )?;
        }
        Ok(())
    }
}

fn image_row(range: &ImageRange) -> [String; 6] {
    let content = match range.content {
        ContentName::Data => "data",
        ContentName::Zero => "zero",
        ContentName::Unreadable => "unreadable",
        ContentName::Absent => "absent",
    };
    [
        format!("{:#x}", range.start.0),
        format!("{:#x}", range.last.0),
        PhysLen::new(range.size_bytes).to_string(),
        range
            .file_offset
            .map_or_else(|| "-".to_owned(), |offset| format!("{offset:#x}")),
        range.kind.unwrap_or("-").to_owned(),
        match &range.reason {
            Some(reason) => format!("{content}: {reason}"),
            None => content.to_owned(),
        },
    ]
}

fn read_row(range: &ReadRange) -> [String; 7] {
    [
        range.index.to_string(),
        format!("{:#x}", range.start.0),
        format!("{:#x}", range.last.0),
        PhysLen::new(range.size_bytes).to_string(),
        range.chunks.to_string(),
        range.unreadable_pages.to_string(),
        range.sha256_tree.to_string(),
    ]
}
