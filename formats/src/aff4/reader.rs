// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading an AFF4 image.

use super::graph::{self, FileInfo, ObjectGraph};
use super::mapped::Mapped;
use super::recover::{Completed, Rebuilt, RecoverError};
use super::schema::{LINPMEM, VMCOREINFO};
use super::store::Store;
use super::stream::Shared;
use super::zip::MAX_MEMBER_IN_MEMORY_BYTES;
use super::{Error, Facts, ranges};
use crate::read_span::StoredSpans;
use crate::truncation::missing;
use crate::{Budget, Format, ImageReader, MachineFacts, ReadAt, StoredRange, Truncation};
use linpmem_kinfo::layout::Architecture;
use linpmem_phys::{Content, PhysAddr, ReadPhys, SourceError, Unreadables, hex};
use std::sync::Arc;

/// Reads AFF4 images: those of the standard 1.0, striped ones (give all volumes at once),
/// those made by c-aff4's linpmem, and those from before the standard, Evimetry's too.
///
/// It keeps the directory of the archive, the map, the description and 32 MiB of
/// decompressed chunks in memory.
pub struct Reader {
    pub(super) store: Arc<Store>,
    pub(super) objects: ObjectGraph,
    linear: StoredSpans<Arc<Mapped>>,
    ranges: Vec<StoredRange>,
    machine: MachineFacts,
    facts: Facts,
    files: Vec<FileInfo>,
    warnings: Vec<String>,
    truncation: Option<Truncation>,
}

impl Reader {
    /// Opens the image in `volumes`: one volume, or all volumes of a striped image. What is
    /// left of a single volume that was cut off is opened as [`recover`](super::recover())
    /// would complete it.
    ///
    /// # Errors
    /// If a volume is damaged or not AFF4, or the volumes hold no image.
    pub fn open(volumes: Vec<Arc<dyn ReadAt>>) -> Result<Self, Error> {
        Self::open_within(volumes, &Budget::default())
    }

    /// As [`open`](Self::open), within `budget`.
    ///
    /// # Errors
    /// As [`open`](Self::open), or if the image needs more than the budget.
    pub fn open_within(volumes: Vec<Arc<dyn ReadAt>>, budget: &Budget) -> Result<Self, Error> {
        match volumes.as_slice() {
            [only] => match Self::complete(volumes.clone(), budget) {
                Err(Error::NoDirectory) => Self::rest_of(Arc::clone(only), budget),
                opened => opened,
            },
            _ => Self::complete(volumes, budget),
        }
    }

    /// Opens what is left of a volume without its directory.
    fn rest_of(volume: Arc<dyn ReadAt>, budget: &Budget) -> Result<Self, Error> {
        let end = volume.len();
        // If too little is left, what matters is that the volume is not complete.
        let rebuilt = Rebuilt::of(&*volume, budget).map_err(|error| match error {
            RecoverError::Aff4(error @ Error::Io(_)) => error,
            RecoverError::Budget(over) => over.into(),
            _ => Error::NoDirectory,
        })?;
        let completed: Arc<dyn ReadAt> = Arc::new(Completed::new(volume, rebuilt));
        let mut image = match Self::complete(vec![completed], budget) {
            Err(Error::NotAff4 | Error::NoImage(_)) => return Err(Error::NoDirectory),
            opened => opened?,
        };
        for stored in &mut image.ranges {
            if matches!(stored.content, Content::Skipped { .. }) {
                *stored = missing(stored.range, stored.kind);
            }
        }
        image.linear = StoredSpans::new(Arc::clone(&image.objects.memory), placed(&image.ranges));
        let truncation = Truncation::of(&image.ranges, end, false);
        image.warnings.insert(0, truncation.to_string());
        image.truncation = Some(truncation);
        Ok(image)
    }

    fn complete(volumes: Vec<Arc<dyn ReadAt>>, budget: &Budget) -> Result<Self, Error> {
        let mut store = Store::open(volumes, budget)?;
        let warnings = store.take_warnings();
        let store = Arc::new(store);
        let shared = Arc::new(Shared::new(Arc::clone(&store)));
        let mut objects = graph::open(&shared, warnings)?;
        let mut warnings = std::mem::take(&mut objects.warnings);
        let ranges = ranges::ranges(&store, &objects, &mut warnings)?;
        let linear = StoredSpans::new(Arc::clone(&objects.memory), placed(&ranges));
        Ok(Self {
            files: graph::files(&store, &objects)?,
            machine: machine(&store, &objects.image)?,
            facts: facts(&store, &objects.image)?,
            store,
            objects,
            linear,
            ranges,
            warnings: warnings.into_list(),
            truncation: None,
        })
    }

    /// The memory at all addresses from 0 to the size of the image, including holes, as
    /// the linear hashes cover it. Reading what the volume lacks is an error.
    #[must_use]
    pub fn linear(&self) -> &dyn ReadAt {
        &*self.objects.memory
    }

    /// Facts about the machine, in addition to [`ImageReader::machine`].
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// The properties of the image: names in AFF4's vocabulary and their values.
    /// [`ImageReader::ranges`] has the ranges, and [`files`](Self::files) the files.
    #[must_use]
    pub fn properties(&self) -> Vec<(String, String)> {
        let triples = self.store.triples();
        let image = &self.objects.image;
        // Properties of the image itself and of the objects that describe it.
        let about = triples.subjects().filter(|urn| {
            let kinds = ["CaseDetails", "CaseNotes", "TimeStamps", "Tool"];
            kinds.iter().any(|kind| triples.is_a(urn, kind))
                && triples.iris(urn, "target").any(|target| target == image)
        });
        std::iter::once(image.as_str())
            .chain(about)
            .flat_map(|urn| triples.properties(urn))
            .filter_map(|(name, value)| {
                let name = name.strip_prefix(LINPMEM).unwrap_or(&name);
                Some((name.to_owned(), value.text()?.to_owned()))
            })
            .collect()
    }

    /// The names of the archive's members and their sizes in bytes.
    #[must_use]
    pub fn members(&self) -> Vec<(String, u64)> {
        self.store
            .all()
            .map(|(_, entry, _)| (entry.name.clone(), entry.content_bytes))
            .collect()
    }

    /// The files stored next to the memory.
    #[must_use]
    pub fn files(&self) -> &[FileInfo] {
        &self.files
    }

    /// Opens a file for random access.
    ///
    /// # Errors
    /// If there is no file with this URN, or it is damaged.
    pub fn open_file(&self, urn: &str) -> Result<Arc<dyn ReadAt>, Error> {
        match self.store.member(urn)? {
            Some(member) => Ok(Arc::new(member)),
            None => Err(Error::object(urn, "there is no such file in the volume")),
        }
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// If there is no file with this URN, it is damaged, or it is larger than 256 MiB.
    pub fn file(&self, urn: &str) -> Result<Vec<u8>, Error> {
        self.store
            .content(urn)?
            .ok_or_else(|| Error::object(urn, "there is no such file in the volume"))
    }
}

/// Ranges as they are in the map: the offset of an address is the address itself.
fn placed(ranges: &[StoredRange]) -> Vec<StoredRange> {
    let placed = ranges.iter().map(|stored| StoredRange {
        offset: Some(stored.range.start().get()),
        ..*stored
    });
    placed.collect()
}

fn machine(store: &Store, image: &str) -> Result<MachineFacts, Error> {
    let triples = store.triples();
    let own = |name: &str| triples.number(image, &[&format!("{LINPMEM}{name}")]);
    let mut vmcoreinfo = None;
    for volume in store.urns() {
        if let Some(member) = store.member(&format!("{volume}/{VMCOREINFO}"))? {
            vmcoreinfo = Some(member.read_all(MAX_MEMBER_IN_MEMORY_BYTES)?);
        }
    }
    Ok(MachineFacts {
        architecture: triples
            .text(image, &format!("{LINPMEM}architecture"))
            .and_then(Architecture::from_name),
        vmcoreinfo,
        direct_map_base: own("directMapBase"),
        paging_levels: own("pagingLevels").and_then(|levels| u32::try_from(levels).ok()),
        notes: Vec::new(),
    })
}

fn facts(store: &Store, image: &str) -> Result<Facts, Error> {
    let triples = store.triples();
    let mut facts = Facts {
        page_table: triples.number(image, &["memoryPageTableEntryOffset"]),
        kaslr_offset: triples.number(image, &[&format!("{LINPMEM}kaslrOffset")]),
        installed_bytes: triples.number(image, &["memoryInstalledSize"]),
    };
    // Before the standard, these were in a file of their own.
    if let Some(member) = store.member(&format!("{image}/information.yaml"))? {
        if let Ok(text) = String::from_utf8(member.read_all(1 << 20)?) {
            let value = |key: &str| {
                text.lines().find_map(|line| {
                    let value = line.trim().strip_prefix(key)?.strip_prefix(':')?.trim();
                    hex::parse_prefixed_u64(value).or_else(|| value.parse().ok())
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

    fn truncation(&self) -> Option<Truncation> {
        self.truncation
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("image", &self.objects.image)
            .finish_non_exhaustive()
    }
}
