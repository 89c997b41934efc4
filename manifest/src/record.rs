// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a manifest says, piece by piece.

use crate::HashRecord;
use crate::Sha256Sum;
use crate::Stamp;
use crate::{Address, ArtifactsRecord, SecondPassRecord, SourceRecord, VERSION};
use linpmem_phys::{PAGE_SIZE, PhysAddr, PhysLen, PhysRange, RegionKind, Unreadable};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A manifest, as read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`crate::VERSION`] of the form; stands first, so that another one is told by
    /// its number and not by what is new in it.
    #[serde(deserialize_with = "version")]
    pub manifest_version: u32,
    /// Who wrote it.
    pub tool: Tool,
    /// The command line, word by word.
    pub command: Vec<String>,
    /// The machine that the tool ran on.
    pub host: Host,
    /// Where the memory came from.
    pub source: SourceRecord,
    /// When it began.
    pub started: Stamp,
    /// What the source told of the machine whose memory it is.
    pub machine: MachineRecord,
    /// /proc/iomem as read; absent for a source that has a map of its own.
    pub iomem: Option<String>,
    /// Control groups that stood still meanwhile.
    #[serde(default)]
    pub frozen: Vec<String>,
    /// What was read before its turn, if anything was.
    #[serde(default)]
    pub read_first: Option<ReadFirst>,
    /// The map, flattened, with what was asked for.
    pub map: Vec<MapEntry>,
    /// The image's form.
    pub image: ImageRecord,
    /// What lies beside the memory; absent where nothing does.
    #[serde(default)]
    pub artifacts: Option<ArtifactsRecord>,
    /// What was read, by address.
    pub ranges: Vec<RangeRecord>,
    /// What had changed when the memory was read once more, if it was.
    #[serde(default)]
    pub second_pass: Option<SecondPassRecord>,
    /// Pages that could not be read, over all ranges.
    pub unreadable_pages: u64,
    /// Of the image that was converted, if all of it could be read.
    #[serde(default)]
    pub source_sha256: Option<Sha256Sum>,
    /// The output file as written. In a manifest that lies in that file, its lengths
    /// are 0.
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

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let version = u32::deserialize(deserializer)?;
    if version == VERSION {
        return Ok(version);
    }
    let reads = format!("it has manifest version {version}, and this program reads {VERSION}");
    Err(D::Error::custom(reads))
}

/// Who wrote a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// `linpmem-dump`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The machine that the tool ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// `uname -n`.
    pub hostname: String,
    /// `uname -r`.
    pub kernel_release: String,
    /// `uname -v`.
    pub kernel_version: String,
    /// `uname -m`.
    pub machine: String,
    /// /proc/sys/kernel/random/boot_id: another one after every boot.
    pub boot_id: Option<String>,
}

/// What is known of the machine whose memory it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineRecord {
    /// Bits of a physical address.
    pub phys_bits: Option<u32>,
    /// 4 or 5.
    pub paging_levels: Option<u32>,
    /// Virtual address of physical address 0 (`page_offset_base`).
    pub direct_map_base: Option<Address>,
    /// The kernel's own top page table.
    pub kernel_page_table: Option<Address>,
    /// How far KASLR moved the kernel's text.
    pub kaslr_offset: Option<Address>,
    /// The kernel's note of itself.
    pub vmcoreinfo: Option<VmcoreinfoRecord>,
}

/// The kernel's VMCOREINFO note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmcoreinfoRecord {
    /// Its OSRELEASE line.
    pub release: Option<String>,
    /// All of it.
    pub text: String,
}

/// One region of the map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapEntry {
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// What the kernel calls it.
    pub kind: String,
    /// Whether it was asked for.
    pub requested: bool,
    /// The source that it was to be read from, if it was asked for and one
    /// serves it.
    #[serde(default)]
    pub source: Option<String>,
}

/// Memory that was read before its turn and held until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadFirst {
    /// Bytes in all.
    pub bytes: u64,
    /// First and last address of each stretch.
    pub ranges: Vec<[Address; 2]>,
    /// Microseconds from the start of the run to the first byte and to the last: for
    /// these addresses, instead of the times of their chunks.
    pub read_us: [u64; 2],
}

/// The image's form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRecord {
    /// Its name in its folder; `-` is stdout.
    pub name: String,
    /// `elf` or `raw`.
    pub format: String,
    /// `concatenated` or `padded`, for raw images.
    pub raw_layout: Option<String>,
    /// `none` or `zstd:LEVEL`.
    pub compression: String,
    /// Chunks end at multiples of this many bytes above address 0.
    pub chunk_bytes: u64,
    /// Bytes of memory that were to be read.
    pub planned_bytes: u64,
}

/// One range and what was read of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeRecord {
    /// Counts from 0.
    pub index: u64,
    /// First address, a page's first.
    pub start: Address,
    /// Last address, a page's last.
    pub last: Address,
    /// Bytes.
    pub length: u64,
    /// What the kernel calls it.
    pub kind: String,
    /// Where its data begins in the image, before compression.
    pub file_offset: Option<u64>,
    /// Its chunks, by address.
    pub chunks: Vec<ChunkRecord>,
    /// What could not be read and is zero in the image.
    pub unreadable: Vec<UnreadableRecord>,
    /// Pages in `unreadable`.
    pub unreadable_pages: u64,
    /// Bytes that are in the image: fewer than `length` if the run ended early.
    pub written_bytes: u64,
    /// The Merkle tree's over its chunks' sums.
    pub sha256_tree: Sha256Sum,
    /// Microseconds from the start of the run to the first byte and to the last.
    pub read_us: [u64; 2],
}

/// One chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkRecord {
    /// First address.
    pub start: Address,
    /// Bytes.
    pub length: u64,
    /// Of those bytes, before compression.
    pub sha256: Sha256Sum,
    /// Microseconds from the start of the run to before and after the reading.
    pub read_us: [u64; 2],
    /// Present and true if every byte is zero.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zero: bool,
    /// Its compressed form, if the image is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<FrameRecord>,
}

/// Where a compressed chunk lies in the output file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameRecord {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// A stretch that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnreadableRecord {
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// Pages.
    pub pages: u64,
    /// The kernel's error number.
    pub errno: i32,
    /// Its name, where it is known here.
    pub name: Option<String>,
}

/// The output file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Bytes of the file.
    pub length: u64,
    /// Bytes of the image before compression.
    pub image_length: u64,
    /// Of the file as written; null if a write failed, or it was not wanted.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sha256: Option<Sha256Sum>,
    /// Further hashes of the file.
    pub hashes: Vec<HashRecord>,
    /// The Merkle tree's over the sums of all chunks.
    pub sha256_tree: Sha256Sum,
    /// Over the bytes of the file that are in no chunk, as docs/manifest.schema.json
    /// says; null if chunks do not lie in the file as they were read.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sha256_remainder: Option<Sha256Sum>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All of it was read and written.
    Complete,
    /// All of it was written; some pages could not be read.
    CompleteWithUnreadable,
    /// A signal or --timeout ended it; `error` says which.
    Interrupted,
    /// An error ended it.
    Failed,
}

impl State {
    /// As in the manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::CompleteWithUnreadable => "complete-with-unreadable",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }

    /// Whether the image holds every planned range.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Complete | Self::CompleteWithUnreadable)
    }
}

impl From<Unreadable> for UnreadableRecord {
    fn from(unreadable: Unreadable) -> Self {
        let range = unreadable.range;
        Self {
            start: range.start().into(),
            last: range.last().into(),
            pages: range.len().get().div_ceil(PAGE_SIZE.get()),
            errno: unreadable.errno.get(),
            name: unreadable.errno.name().map(str::to_owned),
        }
    }
}

impl RangeRecord {
    /// What the kernel calls it.
    #[must_use]
    pub fn region_kind(&self) -> RegionKind {
        // The names that are this project's and not the kernel's.
        for kind in [RegionKind::Rom, RegionKind::Hole] {
            if self.kind == kind.name() {
                return kind;
            }
        }
        RegionKind::from_iomem_name(&self.kind)
    }

    /// The addresses, if they are a range.
    #[must_use]
    pub fn range(&self) -> Option<PhysRange> {
        PhysRange::from_len(PhysAddr::new(self.start.0), PhysLen::new(self.length)).ok()
    }
}

impl ChunkRecord {
    /// The addresses, if they are a range.
    #[must_use]
    pub fn range(&self) -> Option<PhysRange> {
        PhysRange::from_len(PhysAddr::new(self.start.0), PhysLen::new(self.length)).ok()
    }
}
