// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an acquisition is to do. The caller of the engine says everything here; nothing
//! below this sees the command line.

use crate::Reading;
use crate::driver::DriverSpec;
use crate::image_format::{ImageFormat, Output};
use crate::selection::Selection;
use crate::sink::Limits;
use crate::source::SourceSpec;
use linpmem_encryption::Recipients;
use linpmem_formats::Codec;
use linpmem_manifest::FurtherHash;
use linpmem_phys::PhysLen;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

/// A whole acquisition, or the conversion of an image, which is the acquisition of
/// an image's memory.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The command line, word by word, for the manifest.
    pub command: Vec<String>,
    /// The program that acquires, for the manifest.
    pub tool: linpmem_manifest::Tool,
    /// Who acquires, what for, and by which clocks, for the manifest.
    pub custody: Option<linpmem_manifest::CustodyRecord>,
    /// Where memory comes from.
    pub source: SourceSpec,
    /// How it is read, if it is an image.
    pub reading: Reading,
    /// Which part of it is read.
    pub selection: Selection,
    /// How long one request may take before its pages count as unreadable; `None`
    /// waits forever.
    pub page_timeout: Option<Duration>,
    /// What happens when a page cannot be read.
    pub on_unreadable: OnUnreadable,
    /// What is read first.
    pub order: ReadOrder,
    /// Whether the module is loaded for this run.
    pub driver: DriverSpec,
    /// The image.
    pub image: ImageSpec,
    /// What is collected with the memory.
    pub artifacts: ArtifactsSpec,
    /// The hashes of the output file.
    pub hashes: HashSpec,
    /// Where the image and its manifest go.
    pub output: Output,
    /// Whom all files are encrypted to, if they are.
    pub encryption: Option<Recipients>,
    /// Whether existing files are replaced.
    pub force: bool,
    /// Whether memory is read again and compared with the image.
    pub second_pass: bool,
    /// Threads that hash and compress; `None` decides by the machine.
    pub threads: Option<NonZeroUsize>,
    /// Limits on the impact on the running machine.
    pub impact: Impact,
}

/// The image that is written.
#[derive(Clone, Debug)]
pub struct ImageSpec {
    /// Its format.
    pub format: ImageFormat,
    /// The compression around it.
    pub compression: Compression,
    /// ELF: ranges with smaller gaps between them share a segment.
    pub merge_gaps: PhysLen,
    /// AFF4: the case that the image belongs to.
    pub case: CaseDetails,
    /// AFF4: whether the memory at all addresses, holes included, gets a SHA-256.
    pub linear_hash: bool,
}

/// The compression around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// This one.
    Fixed(Codec),
    /// The one that finishes first on this machine, by a short measurement.
    Measured,
}

/// The case an image belongs to.
#[derive(Clone, Debug, Default)]
pub struct CaseDetails {
    /// The case's name.
    pub name: Option<String>,
    /// The examiner's name.
    pub examiner: Option<String>,
    /// Free text.
    pub notes: Option<String>,
}

/// What is collected with the memory.
#[derive(Clone, Debug, Default)]
pub struct ArtifactsSpec {
    /// Whether the kernel's own description of itself is collected.
    pub kernel: bool,
    /// Whether the artifacts must be inside the image.
    pub inside_image: bool,
    /// Further files, or patterns of files.
    pub add: Vec<PathBuf>,
    /// The program whose hidden subcommand reads them
    /// ([`serve_added`](crate::artifacts::serve_added)), so that a file system that does not
    /// answer cannot keep this process from ending. Without one, threads of this process do.
    pub add_reader: Option<PathBuf>,
    /// The most bytes of each file that a pattern in `add` matches.
    pub add_limit: PhysLen,
    /// Whether the swap areas of this machine are kept with the kernel's artifacts.
    pub swap: bool,
}

/// The hashes of the output file; by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashSpec {
    /// Whether the file as a whole gets a SHA-256.
    pub file_sha256: bool,
    /// Other hashes of the file, each once.
    pub further: Vec<FurtherHash>,
    /// Whether all of the file is read back from the disk and compared with what was in
    /// memory, and not only what hashes did not see while it was written.
    pub read_back: bool,
}

/// Limits on the impact on the running machine.
#[derive(Clone, Debug)]
pub struct Impact {
    /// The nice value of every thread.
    pub nice: Option<i32>,
    /// The most bytes read per second.
    pub bytes_per_s: Option<NonZeroU64>,
    /// For how long all other programs are suspended, while memory is read, at most; none
    /// if they are not.
    pub freeze: Option<Duration>,
    /// After this time the run ends as if interrupted.
    pub timeout: Option<Duration>,
    /// How much of the disk the image may take.
    pub limits: Limits,
}

/// What is read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOrder {
    /// The lowest address.
    Address,
    /// What changes fastest, which is kept in memory until it is written.
    VolatileFirst,
}

/// What happens when a page cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnreadable {
    /// It is zero in the image and listed in the manifest.
    List,
    /// The run ends.
    Fail,
}

impl ArtifactsSpec {
    /// Whether the run fails without the artifacts: because the user named files, or said
    /// where the artifacts have to be.
    #[must_use]
    pub fn is_demanded(&self) -> bool {
        self.inside_image || !self.add.is_empty()
    }

    /// Whether there is anything to collect.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.kernel || !self.add.is_empty()
    }
}
