// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first line: what is known before memory is read.

use crate::range::addresses;
use crate::{
    Address, ArtifactsRecord, CustodyRecord, ImageId, ReadSpan, Sha256Sum, SourceRecord, Stamp,
    Version,
};
use linpmem_phys::PhysRange;
use serde::{Deserialize, Serialize};

/// What is known before the first byte of memory is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the format. It comes first, so that a reader can refuse another version
    /// before it reaches anything new in it.
    pub manifest_version: Version,
    /// The program that wrote the image.
    pub tool: Tool,
    /// Its command line, word by word.
    pub command: Vec<String>,
    /// The machine that the program ran on.
    pub host: Host,
    /// Who ran it, what for, and how far its clocks can be trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody: Option<CustodyRecord>,
    /// Where the memory came from.
    pub source: SourceRecord,
    /// When the run began.
    pub started: Stamp,
    /// The machine whose memory was acquired.
    pub machine: MachineRecord,
    /// The text of /proc/iomem; null for a source that has a map of its own.
    #[serde(deserialize_with = "Option::deserialize")]
    pub iomem: Option<String>,
    /// Control groups that were frozen while memory was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<String>,
    /// What `--order volatile-first` read first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_first: Option<ReadFirst>,
    /// The memory map, flattened, and split where the selection begins or ends.
    pub map: Vec<MapEntry>,
    /// The image.
    pub image: ImageRecord,
    /// The artifacts collected before the memory; null if there are none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub artifacts: Option<ArtifactsRecord>,
    /// The file next to the image, in the same folder, for artifacts that are collected after
    /// the memory, if the image does not hold them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts_file: Option<String>,
}

/// Who wrote a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// `linpmem-dump`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its executable, if that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Sum>,
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
    /// /proc/sys/kernel/random/boot_id, which changes at every boot.
    pub boot_id: Option<String>,
    /// /etc/machine-id, which stays the same for as long as the system is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
}

/// What is known about the machine whose memory was acquired.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineRecord {
    /// What kind of machine it is, as `uname -m` says: `x86_64` or `aarch64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Bytes of a page of its kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_bytes: Option<u64>,
    /// Bits of a virtual address, as the machine uses them (arm64).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub va_bits: Option<u32>,
    /// The bits of a kernel pointer that the processor can use to sign it (arm64).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer_auth_mask: Option<Address>,
    /// What the processors offer that concerns memory (arm64), as in /proc/cpuinfo: `mte`
    /// (tags of memory, which are not in the image), `paca` and `pacg` (signed pointers).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu_features: Vec<String>,
    /// Bits of a physical address.
    pub phys_bits: Option<u32>,
    /// 4 or 5 on x86-64, 2 to 5 on arm64.
    pub paging_levels: Option<u32>,
    /// Virtual address of physical address 0, or what it would be: what the direct map adds
    /// to a physical address (`page_offset_base` of x86-64).
    pub direct_map_base: Option<Address>,
    /// The kernel's own top page table.
    pub kernel_page_table: Option<Address>,
    /// How far KASLR moved the kernel's text.
    pub kaslr_offset: Option<Address>,
    /// What the kernel says about itself.
    pub vmcoreinfo: Option<VmcoreinfoRecord>,
}

/// The kernel's VMCOREINFO note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmcoreinfoRecord {
    /// Its OSRELEASE line.
    pub release: Option<String>,
    /// The whole text.
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
    /// Whether it was selected.
    pub requested: bool,
    /// The source to read it from, if it was selected and a source can read it.
    #[serde(default)]
    pub source: Option<String>,
}

impl MapEntry {
    /// The addresses; `None` if there are none between `start` and `last`.
    #[must_use]
    pub fn addresses(&self) -> Option<PhysRange> {
        addresses(self.start, self.last)
    }
}

/// Memory that `--order volatile-first` read first and held until it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadFirst {
    /// Bytes in all.
    pub bytes: u64,
    /// First and last address of each range.
    pub ranges: Vec<[Address; 2]>,
    /// When it was read; for these addresses, this replaces the times of their chunks.
    pub read_us: ReadSpan,
}

/// Name, format and compression of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageRecord {
    /// Its file name, without the folder; `-` is stdout.
    pub name: String,
    /// What no other image has, even if it has the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ImageId>,
    /// `elf`, `raw`, `lime`, `kdump`, `avml` or `aff4`.
    pub format: String,
    /// `concatenated` or `padded`, for raw images.
    pub raw_layout: Option<String>,
    /// `none`, `zstd:LEVEL`, `lz4` or `snappy` around the image, or the compression
    /// within an AFF4, kdump or AVML image.
    pub compression: String,
    /// Chunks end at multiples of this many bytes above address 0, and at the end of
    /// their range.
    pub chunk_bytes: u64,
    /// Bytes of memory that were planned.
    pub planned_bytes: u64,
}
