// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading an AFF4 image.

use super::files::{self, FileInfo};
use super::mapped::Mapped;
use super::objects::{self, Objects};
use super::schema::{LINPMEM, VMCOREINFO};
use super::store::Store;
use super::stream::Shared;
use super::zip::MAX_MEMBER_IN_MEMORY_BYTES;
use super::{Error, Facts, ranges};
use crate::linear::Linear;
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange};
use linpmem_phys::{PhysAddr, ReadPhys, SourceError, Unreadables};
use std::sync::Arc;

/// Reads AFF4 images: of the standard's version 1.0, striped ones (all volumes at
/// once), those of c-aff4's linpmem, and those from before the standard.
///
/// Memory: the archive's directory, the map, what is said of the objects, and
/// 32 MiB of decompressed chunks.
pub struct Reader {
    pub(super) store: Arc<Store>,
    pub(super) objects: Objects,
    linear: Linear<Arc<Mapped>>,
    ranges: Vec<StoredRange>,
    machine: MachineFacts,
    facts: Facts,
    warnings: Vec<String>,
}

impl Reader {
    /// The image in `volumes`: one, or all volumes of a striped image.
    ///
    /// # Errors
    /// If one is damaged or no AFF4 volume, or there is no image in them.
    pub fn open(volumes: Vec<Arc<dyn ReadAt>>) -> Result<Self, Error> {
        let store = Arc::new(Store::open(volumes)?);
        let shared = Arc::new(Shared::new(Arc::clone(&store)));
        let objects = objects::open(&shared)?;
        let mut warnings = objects.warnings.clone();
        let graph = store.graph();
        let ranges = ranges::ranges(graph, &objects.image, &objects.memory, &mut warnings);
        // An address is its own offset in the map.
        let placed = ranges.iter().map(|stored| StoredRange {
            offset: Some(stored.range.start().get()),
            ..*stored
        });
        let linear = Linear::new(Arc::clone(&objects.memory), placed.collect());
        Ok(Self {
            machine: machine(&store, &objects.image)?,
            facts: facts(&store, &objects.image)?,
            store,
            objects,
            linear,
            ranges,
            warnings,
        })
    }

    /// All addresses from 0 to the image's size, holes included, as the linear
    /// hashes see them. Reading what the volume does not have is an error.
    #[must_use]
    pub fn linear(&self) -> &dyn ReadAt {
        &*self.objects.memory
    }

    /// What the volume tells of the machine, beside [`ImageReader::machine`].
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// What the volume says of the image: names of AFF4's vocabulary, and values.
    /// Ranges are in [`ImageReader::ranges`], and files in [`Self::files`].
    #[must_use]
    pub fn properties(&self) -> Vec<(String, String)> {
        let graph = self.store.graph();
        let image = &self.objects.image;
        // What is said of the image, and by objects that are about it alone.
        let about = graph.subjects().filter(|urn| {
            let kinds = ["CaseDetails", "CaseNotes", "TimeStamps", "Tool"];
            kinds.iter().any(|kind| graph.is_a(urn, kind))
                && graph.iris(urn, "target").any(|target| target == image)
        });
        std::iter::once(image.as_str())
            .chain(about)
            .flat_map(|urn| graph.properties(urn))
            .filter_map(|(name, value)| {
                let name = name.strip_prefix(LINPMEM).unwrap_or(name);
                Some((name.to_owned(), value.text()?.to_owned()))
            })
            .collect()
    }

    /// The members of the archive, and how many bytes each has.
    #[must_use]
    pub fn members(&self) -> Vec<(String, u64)> {
        self.store
            .all()
            .map(|(_, entry, _)| (entry.name.clone(), entry.content_bytes))
            .collect()
    }

    /// The files that lie beside the memory.
    #[must_use]
    pub fn files(&self) -> Vec<FileInfo> {
        files::files(self.store.graph(), &self.objects)
    }

    /// A file, to be read from any place.
    ///
    /// # Errors
    /// If there is none of this URN, or it is damaged.
    pub fn open_file(&self, urn: &str) -> Result<Arc<dyn ReadAt>, Error> {
        match self.store.member(urn)? {
            Some(member) => Ok(Arc::new(member)),
            None => Err(Error::object(urn, "the volume has no such file")),
        }
    }

    /// The content of a file.
    ///
    /// # Errors
    /// If there is none of this URN, or it is damaged or passes 256 MiB.
    pub fn file(&self, urn: &str) -> Result<Vec<u8>, Error> {
        self.store
            .content(urn)?
            .ok_or_else(|| Error::object(urn, "the volume has no such file"))
    }
}

fn machine(store: &Store, image: &str) -> Result<MachineFacts, Error> {
    let graph = store.graph();
    let own = |name: &str| graph.number(image, &[&format!("{LINPMEM}{name}")]);
    let mut vmcoreinfo = None;
    for volume in store.urns() {
        if let Some(member) = store.member(&format!("{volume}/{VMCOREINFO}"))? {
            vmcoreinfo = Some(member.read_all(MAX_MEMBER_IN_MEMORY_BYTES)?);
        }
    }
    Ok(MachineFacts {
        vmcoreinfo,
        direct_map_base: own("directMapBase"),
        paging_levels: own("pagingLevels").and_then(|levels| u32::try_from(levels).ok()),
    })
}

fn facts(store: &Store, image: &str) -> Result<Facts, Error> {
    let graph = store.graph();
    let mut facts = Facts {
        page_table: graph.number(image, &["memoryPageTableEntryOffset"]),
        kaslr_offset: graph.number(image, &[&format!("{LINPMEM}kaslrOffset")]),
        installed_bytes: graph.number(image, &["memoryInstalledSize"]),
    };
    // Before the standard this stood in a file of its own.
    if let Some(member) = store.member(&format!("{image}/information.yaml"))? {
        if let Ok(text) = String::from_utf8(member.read_all(1 << 20)?) {
            let value = |key: &str| {
                text.lines().find_map(|line| {
                    let value = line.trim().strip_prefix(key)?.strip_prefix(':')?.trim();
                    match value.strip_prefix("0x") {
                        Some(digits) => u64::from_str_radix(digits, 16).ok(),
                        None => value.parse().ok(),
                    }
                })
            };
            facts.page_table = facts.page_table.or_else(|| value("CR3"));
            facts.kaslr_offset = facts.kaslr_offset.or_else(|| value("kaslr_slide"));
        }
    }
    Ok(facts)
}

impl ReadPhys for Reader {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.linear.read_phys(start, buf, unreadable)
    }
}

impl ImageReader for Reader {
    fn format(&self) -> Format {
        Format::Aff4
    }

    fn ranges(&self) -> &[StoredRange] {
        &self.ranges
    }

    fn machine(&self) -> &MachineFacts {
        &self.machine
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("image", &self.objects.image)
            .finish_non_exhaustive()
    }
}
