// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of physical memory: reading and writing ELF cores, LiME, raw, kdump, AVML and
//! AFF4 images.
//!
//! | module, feature | made by | kinds of ranges | pages that could not be read | facts about the machine | files | compression |
//! |---|---|---|---|---|---|---|
//! | [`elf`] | linpmem, kexec, QEMU, … | in linpmem's note | zero | VMCOREINFO, direct map, paging levels, registers and other notes | one archive of up to 32 MiB | – |
//! | [`aff4`] | linpmem, pyaff4, WinPmem, … | yes | marked | the same, page table, KASLR | any | of each 32 KiB, with hashes |
//! | [`kdump`] | linpmem, makedumpfile | no | left out | VMCOREINFO, registers and other notes | no | of each page |
//! | [`lime`] | linpmem, LiME, AVML | no | zero | no | no | – |
//! | [`avml`] | linpmem, AVML | no | zero | no | no | of each chunk |
//! | [`raw`] | any tool | no | zero | no | no | – |
//!
//! An image of any format except AFF4, kdump and AVML can be compressed as a whole and
//! still be read at random: see [`frames`].
//!
//! Every format is a Cargo feature of the same name, and so is `frames`; all are on by
//! default. A feature that is off does not build its dependencies. [`detect`] recognises
//! every format nevertheless, and [`open_image`] says which feature a file needs.
//!
//! # Reading
//!
//! [`open_image`] opens an image in any format that stores its addresses, whether or not
//! it is compressed as a whole. [`ImageReader::ranges`] lists what it holds, and
//! [`ReadPhys::read_phys`] reads at any address:
//!
//! ```
//! use linpmem_formats::open_image;
//! use linpmem_phys::{Errno, PhysAddr, Unreadables};
//! use std::path::Path;
//!
//! let image = open_image(Path::new("testdata/golden/elf.core.zst"))?;
//! assert_eq!(image.format().to_string(), "ELF core");
//! let ranges: Vec<String> = image
//!     .ranges()
//!     .iter()
//!     .map(|stored| format!("{} {}", stored.range, stored.kind.map_or("?", |kind| kind.name())))
//!     .collect();
//! assert_eq!(ranges, [
//!     "0x1000-0x1fff System RAM",
//!     "0x2000-0x2fff Reserved",
//!     "0x4000-0x4fff System RAM",
//! ]);
//! let kernel = image.machine().kernel().ok_or("no VMCOREINFO")?;
//! assert_eq!(kernel.release(), Some("6.12.0-golden"));
//!
//! // The image lacks 0x3000-0x3fff: the buffer has zeros there, and the list says so.
//! let mut buffer = [0; 0x1800];
//! let mut unreadable = Unreadables::new();
//! image.read_phys(PhysAddr::new(0x2c00), &mut buffer, &mut unreadable)?;
//! let [missing] = unreadable.as_slice() else { panic!("{unreadable:?}") };
//! assert_eq!(missing.range.to_string(), "0x3000-0x3fff");
//! assert_eq!(missing.errno, Errno::ENXIO);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Zero is never confused with unknown: memory that an image lists without holding it is
//! [`Content::Skipped`], memory that could not be acquired is [`Content::Unreadable`]
//! where the format can express that, and reading either lists it as unreadable. Damage
//! in a compressed image makes the affected pages unreadable (`EIO`), not the whole
//! image. [`ImageReader::warnings`] has irregularities that do not prevent reading.
//!
//! A raw image does not store its addresses: [`raw::Reader`] needs the list of ranges. What
//! only one format has, such as the files and hashes of an AFF4 volume, its own reader has.
//!
//! # Writing
//!
//! An [`ImagePlan`] lists the ranges that the image will hold. A format's `Writer`, made
//! from the plan, writes to an [`ImageOutput`] from front to back and never seeks. Memory
//! comes from any [`ReadPhys`], here one in memory:
//!
//! ```
//! use linpmem_formats::{
//!     ImagePlan, MachineFacts, PlannedRange, StreamOutput, elf, open_reader, write_image,
//! };
//! use linpmem_phys::{MemoryImage, MemoryMap, PhysAddr, PhysRange, Region, RegionKind};
//!
//! // Memory with two ranges of RAM.
//! let ram = |start, end| Ok::<_, linpmem_phys::EmptyRangeError>(Region {
//!     range: PhysRange::new(PhysAddr::new(start), PhysAddr::new(end))?,
//!     kind: RegionKind::SystemRam,
//! });
//! let map = MemoryMap::new([ram(0x1000, 0x3000)?, ram(0x8000, 0xa000)?])
//!     .map_err(|overlap| format!("{overlap:?}"))?;
//! let source = MemoryImage::new(map.clone(), vec![0x90; 0xa000]);
//!
//! let plan = ImagePlan::new(PlannedRange::from_map(&map), MachineFacts::default())?;
//! let mut writer = elf::Writer::new(&plan)?;
//! let mut out = StreamOutput::new(Vec::new()); // or a File
//! let unreadable = write_image(&source, &plan, &mut writer, &mut out)?;
//! assert!(unreadable.is_empty());
//!
//! let image = open_reader(out.into_inner())?;
//! assert_eq!(image.ranges().len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`write_image`] is the simple way. A program that needs speed makes [`Chunk`]s itself,
//! has several threads run the writer's [encoder](ImageWriter::encoder), and gives the
//! results to the writer in order. Chunks share their buffers, so that nothing is copied
//! on the way.
//!
//! # Out of scope
//!
//! - **Acquiring memory.** Images are written from any [`ReadPhys`]; this crate opens no
//!   device.
//! - **Threads and files.** Writers neither start threads (except for AFF4's hash over all
//!   addresses) nor create, sync or rename files, and nothing is logged or printed.
//! - **Changing images.** An image is written once, from front to back. Only an AFF4 volume
//!   whose acquisition did not finish can be [completed](aff4::recover()).
//! - **Interpreting memory**: page tables, processes and symbols.
//! - **Other formats and machines**: hypervisor snapshots, Windows crash dumps, hibernation
//!   files, split kdumps, cores of Xen guests, big-endian or 32-bit cores. Most of them are
//!   [called by their name](Foreign) with what to do.
//!
//! Files may come from strangers: readers are safe Rust without panics, check every offset
//! against the file, and take memory and work out of a [`Budget`], which is in proportion
//! to what the file really has.
//!
//! [`ReadPhys`]: linpmem_phys::ReadPhys
//! [`ReadPhys::read_phys`]: linpmem_phys::ReadPhys::read_phys
//! [`Content::Skipped`]: linpmem_phys::Content::Skipped
//! [`Content::Unreadable`]: linpmem_phys::Content::Unreadable

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::as_conversions))]
#![cfg_attr(
    not(feature = "default"),
    allow(dead_code, reason = "some helpers serve some of the formats only")
)]

#[cfg(feature = "aff4")]
pub mod aff4;
#[cfg(feature = "avml")]
pub mod avml;
#[cfg(feature = "elf")]
pub mod elf;
#[cfg(feature = "frames")]
pub mod frames;
#[cfg(feature = "kdump")]
pub mod kdump;
#[cfg(feature = "lime")]
pub mod lime;
pub mod raw;

mod budget;
mod cache;
mod charged;
mod chunk;
mod codec;
mod core_note;
mod detect;
mod fields;
mod foreign;
mod open;
mod output;
mod plan;
mod raw_layout;
mod read_at;
mod read_span;
mod reader;
#[cfg(any(feature = "lime", feature = "avml"))]
mod records;
mod stored_range;
mod truncation;
mod write_image;
mod write_order;
mod writer;

pub use budget::{Account, Budget, OverBudget};
pub use chunk::Chunk;
pub use codec::{Codec, CodecError};
pub use core_note::CoreNote;
pub use detect::{DETECT_BYTES, Detected, Format, detect};
pub use foreign::Foreign;
pub use open::{
    ImageBytes, OpenError, open_bytes, open_bytes_within, open_content_within, open_image,
    open_reader, open_reader_within,
};
pub use output::{ImageOutput, OutputError};
pub use plan::{ImagePlan, MachineFacts, PlanError, PlannedRange};
pub use read_at::{FileSource, ReadAt};
pub use reader::ImageReader;
pub use stored_range::StoredRange;
pub use truncation::Truncation;
pub use write_image::{StreamOutput, write_image};
pub use writer::{ChunkEncoder, ImageWriter, WriteError};

// The examples of the README are tests as well.
#[cfg(all(doctest, feature = "elf"))]
#[doc = include_str!("../README.md")]
struct Readme;
