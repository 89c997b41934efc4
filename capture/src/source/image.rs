// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that was acquired before: an image as a source.

use super::aff4::read_aff4;
use super::image_with_manifest::ImageWithManifest;
use super::interrupted::completed;
use super::raw_image::{self, StatedError};
use super::regions::regions;
use super::watched_image::ImageFiles;
use super::{Source, SourceError, Subject, vmcoreinfo};
use crate::Reading;
use linpmem_formats::{
    Format, ImageReader, MachineFacts, OpenError, open_content_within, open_reader_within, raw,
};
use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::paths::{final_of, manifest_beside};
use linpmem_manifest::{Address, Beginning, MachineRecord, Manifest, Record, SourceRecord};
use linpmem_phys::{MemoryMap, OverlapError, Unreadable};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An image that cannot be a source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageSourceError {
    /// Its format is not supported.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is raw, and its manifest does not match it.
    #[error("opening it as a raw image with the ranges of its manifest: {0}")]
    Raw(#[from] raw::Error),
    /// It is raw, and its manifest cannot be used.
    #[error("a raw image has no addresses of its own, and its manifest cannot be used: {0}")]
    Manifest(#[from] linpmem_manifest::ReadError),
    /// It is raw, and the ranges that the user named cannot be its own.
    #[error(transparent)]
    Stated(#[from] Box<StatedError>),
    /// It is not raw, though the user said so.
    #[error(
        "its format is {0}, which has addresses of its own: --input-layout and --input-ranges are \
         for raw images; drop them"
    )]
    NotRaw(Format),
    /// It may be raw, and nothing says where its bytes belong.
    #[error(
        "this has no known magic number. If it is a raw image, as QEMU's pmemsave, VMware (.vmem) \
         and dd make them, its addresses have to come from elsewhere: put its manifest next to it, \
         or add one of these:\n\
         --input-layout padded                              offsets are addresses, from 0 on\n\
         --input-layout concatenated --input-ranges FILE    only ranges, one after the other; FILE \
         lists them, such as a copy of the machine's /proc/iomem"
    )]
    NoAddresses,
    /// Its ranges contradict each other.
    #[error(transparent)]
    Overlap(#[from] OverlapError),
}

/// Opens the image at `path`, and completes what is left of it by `known`, or by the
/// manifest next to it: the addresses of a raw image come from there, and if a run did not
/// finish, what it planned.
///
/// # Errors
/// If its format is not supported, or it is damaged.
pub fn open_reader_at(
    path: &Path,
    known: Option<&Manifest>,
) -> Result<Box<dyn ImageReader>, ImageSourceError> {
    read_image(path, known, &Reading::default())
}

/// As [`open_reader_at`], as `reading` says.
///
/// # Errors
/// As [`open_reader_at`], or if it needs more than the budget.
pub fn read_image(
    path: &Path,
    known: Option<&Manifest>,
    reading: &Reading,
) -> Result<Box<dyn ImageReader>, ImageSourceError> {
    read_known(path, known.map(Beginning::from), reading)
}

/// As [`read_image`], with a manifest that may end early.
///
/// # Errors
/// As [`read_image`].
pub(crate) fn read_known(
    path: &Path,
    known: Option<Beginning>,
    reading: &Reading,
) -> Result<Box<dyn ImageReader>, ImageSourceError> {
    let volumes = reading.volumes.iter().map(PathBuf::as_path);
    let files = ImageFiles::of(volumes.chain([path]));
    Ok(files.watch(read_unwatched(path, known, reading)?))
}

fn read_unwatched(
    path: &Path,
    known: Option<Beginning>,
    reading: &Reading,
) -> Result<Box<dyn ImageReader>, ImageSourceError> {
    if !reading.volumes.is_empty() {
        if let Some(image) = read_aff4(path, reading).map_err(OpenError::from)? {
            return with_manifest(path, Box::new(image), known, reading);
        }
    }
    let content = reading.content(path).map_err(OpenError::from)?;
    let bytes = open_content_within(content, &reading.budget)?.bytes;
    let image = match open_reader_within(Arc::clone(&bytes), &reading.budget) {
        Err(OpenError::Unknown) => return raw_image::open(path, known, bytes, reading),
        // Memory may begin with anything, such as another format's magic number.
        Err(_) if reading.raw.is_some() => {
            return raw_image::open(path, known, bytes, reading);
        }
        other => other?,
    };
    with_manifest(path, image, known, reading)
}

/// The open `image` at `path`, completed by `known` or by the manifest next to it, as
/// [`read_image`] does it.
///
/// # Errors
/// If `reading` says that it is raw.
pub fn complete_image(
    path: &Path,
    image: Box<dyn ImageReader>,
    known: Option<&Manifest>,
    reading: &Reading,
) -> Result<Box<dyn ImageReader>, ImageSourceError> {
    with_manifest(path, image, known.map(Beginning::from), reading)
}

fn with_manifest(
    path: &Path,
    image: Box<dyn ImageReader>,
    known: Option<Beginning>,
    reading: &Reading,
) -> Result<Box<dyn ImageReader>, ImageSourceError> {
    if reading.raw.is_some() {
        return Err(ImageSourceError::NotRaw(image.format()));
    }
    // The parts of a striped image have no manifest of ours.
    if !reading.volumes.is_empty() && image.format() == Format::Aff4 {
        return Ok(image);
    }
    if known.is_none() && !may_be_interrupted(path, &*image, reading) {
        return Ok(image);
    }
    // An image that has addresses of its own can do without.
    let beginning = known.or_else(|| reading.beginning(&manifest_beside(path)).ok());
    Ok(match beginning {
        Some(beginning) => completed(image, &beginning),
        None => image,
    })
}

/// Whether the manifest may know more of `image` than the image does.
fn may_be_interrupted(path: &Path, image: &dyn ImageReader, reading: &Reading) -> bool {
    if image.truncation().is_some() || final_of(path).is_some() {
        return true;
    }
    // Records do not say whether others follow them.
    let header = reading.manifest_lines(&manifest_beside(path)).ok();
    let header = header.and_then(|mut reader| reader.next()?.ok());
    let Some(Record::Header(header)) = header else {
        return false;
    };
    let listed = image.ranges().iter().map(|stored| stored.range.len().get());
    // The ranges of an image do not overlap.
    listed.sum::<u64>() < header.image.planned_bytes
}

/// An image as it would be converted.
#[non_exhaustive]
pub struct DescribedImage {
    /// The image.
    pub image: Box<dyn ImageReader>,
    /// The memory that a new image would have.
    pub map: MemoryMap,
    /// What it would say of the machine.
    pub machine: MachineFacts,
    /// The pages that could not be read, as the manifest lists them, by address.
    pub unreadable: Vec<Unreadable>,
}

/// Opens the image at `path`, and completes it by the manifest next to it, as `convert` does.
///
/// # Errors
/// If it does not open, or contradicts itself.
pub fn describe_image(path: &Path, reading: &Reading) -> Result<DescribedImage, ImageSourceError> {
    let (image, map, manifest) = with_map(path, reading)?;
    let (machine, _) = facts(manifest.as_ref(), image.machine());
    let ranges = manifest.iter().flat_map(|manifest| &manifest.ranges);
    Ok(DescribedImage {
        unreadable: ranges
            .flat_map(|range| &range.unreadable)
            .copied()
            .collect(),
        image,
        map,
        machine,
    })
}

/// An image, its memory map, and the manifest next to it, if that is its own.
type Mapped = (Box<dyn ImageReader>, MemoryMap, Option<Manifest>);

/// Opens the image at `path`.
fn with_map(path: &Path, reading: &Reading) -> Result<Mapped, ImageSourceError> {
    let manifest = reading.manifest(&manifest_beside(path)).ok();
    let image = read_image(path, manifest.as_ref(), reading)?;
    let manifest = manifest.filter(|manifest| is_of(manifest, path, reading));
    let map = MemoryMap::new(regions(&*image, manifest.as_ref()))?;
    Ok((image, map, manifest))
}

pub(super) fn open(path: &Path, reading: &Reading) -> Result<Source, SourceError> {
    let shown = path.display().to_string();
    let (image, map, manifest) = with_map(path, reading).map_err(|source| SourceError::Image {
        path: path.to_path_buf(),
        source,
    })?;
    let (machine, machine_record) = facts(manifest.as_ref(), image.machine());
    Ok(Source {
        map,
        iomem: None,
        subject: Subject::Image,
        truncation: image.truncation(),
        machine_record,
        machine,
        record: SourceRecord::single("file", shown, Some(image.format().to_string())),
        warnings: image.warnings().to_vec(),
        reader: Arc::new(ImageWithManifest::new(image, manifest.as_ref())),
    })
}

/// Whether `manifest` can belong to the image at `path`.
fn is_of(manifest: &Manifest, path: &Path, reading: &Reading) -> bool {
    let length = reading.content(path).map(|content| content.len());
    length.is_ok_and(|length| length == manifest.footer.file.length)
}

/// The machine as the image itself (`told`) and the manifest next to it describe it. A
/// raw image has no description.
fn facts(manifest: Option<&Manifest>, told: &MachineFacts) -> (MachineFacts, MachineRecord) {
    let known = manifest
        .map(|manifest| manifest.header.machine.clone())
        .unwrap_or_default();
    let vmcoreinfo = known.vmcoreinfo.as_ref();
    let architecture = known.architecture.as_deref();
    let machine = MachineFacts {
        architecture: told
            .known_architecture()
            .or_else(|| Architecture::from_name(architecture?)),
        vmcoreinfo: told
            .vmcoreinfo
            .clone()
            .or_else(|| vmcoreinfo.map(|note| note.text.clone().into_bytes())),
        image_end: told.image_end,
        direct_map_base: told
            .direct_map_base
            .or(known.direct_map_base.map(|base| base.0)),
        paging_levels: told.paging_levels.or(known.paging_levels),
        notes: told.notes.clone(),
    };
    let kernel = machine.kernel();
    let record = MachineRecord {
        architecture: machine
            .known_architecture()
            .map(|known| known.name().to_owned()),
        page_bytes: kernel.and_then(Vmcoreinfo::page_size).or(known.page_bytes),
        va_bits: kernel.and_then(Vmcoreinfo::va_bits).or(known.va_bits),
        pointer_auth_mask: kernel
            .and_then(Vmcoreinfo::pointer_auth_mask)
            .map(Address)
            .or(known.pointer_auth_mask),
        paging_levels: machine.paging_levels,
        direct_map_base: machine.direct_map_base.map(Address),
        vmcoreinfo: machine.vmcoreinfo.as_deref().map(vmcoreinfo::record),
        ..known
    };
    (machine, record)
}
