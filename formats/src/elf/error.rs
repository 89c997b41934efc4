// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an ELF core cannot be read.

use linpmem_phys::PhysRange;

/// Why an ELF core cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the ELF core at offset {offset}: {source}")]
    Io {
        /// The offset in the file, in bytes.
        offset: u64,
        /// The underlying error.
        source: std::io::Error,
    },
    /// An ELF file of another kind.
    #[error("not a 64-bit little-endian core file of x86-64 or arm64: {0}")]
    NotThisKind(&'static str),
    /// A structure is beyond the end of the file.
    #[error(
        "the ELF core is truncated: its {what} takes {len} bytes from offset {offset} on, but the \
         file has only {file}; acquire or copy the image again"
    )]
    BeyondFile {
        /// The structure.
        what: &'static str,
        /// Where it begins, in bytes.
        offset: u64,
        /// Its size in bytes.
        len: u64,
        /// Size of the file in bytes.
        file: u64,
    },
    /// More program headers than any machine has memory ranges.
    #[error(
        "the ELF core has too many program headers ({count}, limit {limit}): it is damaged or \
         forged"
    )]
    TooManySegments {
        /// The number that the file gives.
        count: u32,
        /// The most program headers that are accepted.
        limit: u32,
    },
    /// A header contradicts itself.
    #[error("the ELF core is damaged: {0}")]
    Header(&'static str),
    /// A segment contradicts itself.
    #[error("program header {index} of the ELF core is damaged: {what}")]
    Segment {
        /// The index of its program header, from 0.
        index: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// Two segments hold different bytes for the same addresses.
    #[error(
        "two segments of the ELF core hold different bytes for the same addresses: {lower} and \
         {upper}"
    )]
    Overlap {
        /// The one that begins first.
        lower: PhysRange,
        /// The one that begins within it.
        upper: PhysRange,
    },
    /// The file ends within the headers, before any of them describes memory.
    #[error(
        "the ELF core is cut off: the file ends at offset {file}, within its headers, and nothing \
         of its memory is left"
    )]
    NothingLeft {
        /// Size of the file in bytes.
        file: u64,
    },
    /// The core of a Xen guest, which has sections instead of segments.
    #[error(
        "this is the core of a Xen guest (`xl dump-core`, `virsh dump`), which is not read: open it \
         with `crash VMLINUX FILE`, or acquire the memory in the guest with `linpmem-dump OUT`"
    )]
    XenGuest,
    /// No segment says where in physical memory it is, and nothing else does.
    #[error(
        "the ELF core is no image of a machine's memory: none of its {segments} segments states a \
         physical address, and none is in the kernel's direct map, from which it would follow. It \
         may be the core of a process, or a part of /proc/kcore: acquire the machine's memory with \
         `linpmem-dump OUT`, which reads /proc/kcore itself"
    )]
    NoAddresses {
        /// How many segments there are.
        segments: usize,
    },
    /// No segment holds memory.
    #[error("the ELF core holds no physical memory")]
    Empty,
}
