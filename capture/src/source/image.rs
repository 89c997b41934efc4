// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that was acquired before: an image as a source.

use super::aff4::read_aff4;
use super::image_with_manifest::ImageWithManifest;
use super::regions::regions;
use super::{Source, SourceError, vmcoreinfo};
use crate::Reading;
use linpmem_formats::{
    ImageReader, MachineFacts, OpenError, PlannedRange, open_bytes_within, open_reader_within, raw,
};
use linpmem_manifest::paths::manifest_of;
use linpmem_manifest::{Address, MachineRecord, Manifest, SourceRecord};
use linpmem_phys::{MemoryMap, OverlapError};
use std::path::Path;
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
    /// Its ranges contradict each other.
    #[error(transparent)]
    Overlap(#[from] OverlapError),
}

/// Opens the image at `path`. If it is raw, its addresses come from `known` or from the
/// manifest next to it.
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
    if !reading.volumes.is_empty() {
        if let Some(image) = read_aff4(path, reading).map_err(OpenError::from)? {
            return Ok(Box::new(image));
        }
    }
    let bytes = open_bytes_within(path, &reading.budget)?.bytes;
    match open_reader_within(Arc::clone(&bytes), &reading.budget) {
        Err(OpenError::Unknown) => {}
        other => return Ok(other?),
    }
    let beside = match known {
        None if manifest_of(path).exists() => Some(linpmem_manifest::read(&manifest_of(path))?),
        _ => None,
    };
    if let Some(manifest) = known.or(beside.as_ref()) {
        let (ranges, layout) = raw_ranges(manifest);
        return Ok(Box::new(raw::Reader::new(bytes, &ranges, layout)?));
    }
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let endings: [&[u8]; 4] = [b".padded", b".padded.zst", b".padded.lz4", b".padded.sz"];
    if endings.iter().any(|ending| name.ends_with(ending)) {
        return Ok(Box::new(raw::Reader::padded(bytes)?));
    }
    Err(OpenError::Unknown.into())
}

pub(super) fn open(path: &Path, reading: &Reading) -> Result<Source, SourceError> {
    let shown = path.display().to_string();
    let failed = |source: ImageSourceError| SourceError::Image {
        path: path.to_path_buf(),
        source,
    };
    let image = read_image(path, None, reading).map_err(failed)?;
    let manifest = linpmem_manifest::read(&manifest_of(path))
        .ok()
        .filter(|manifest| is_of(manifest, path));
    let regions = regions(&*image, manifest.as_ref());
    let map = MemoryMap::new(regions).map_err(|error| failed(error.into()))?;
    let (machine, machine_record) = facts(manifest.as_ref(), image.machine());
    Ok(Source {
        map,
        iomem: None,
        machine_record,
        machine,
        record: SourceRecord::single("file", shown, Some(image.format().to_string())),
        warnings: image.warnings().to_vec(),
        reader: Arc::new(ImageWithManifest::new(image, manifest.as_ref())),
    })
}

/// Whether `manifest` can belong to the image at `path`.
fn is_of(manifest: &Manifest, path: &Path) -> bool {
    let length = std::fs::metadata(path).map(|metadata| metadata.len());
    length.is_ok_and(|length| length == manifest.footer.file.length)
}

/// The machine as the image itself (`told`) and the manifest next to it describe it. A
/// raw image has no description.
fn facts(manifest: Option<&Manifest>, told: &MachineFacts) -> (MachineFacts, MachineRecord) {
    let known = manifest
        .map(|manifest| manifest.header.machine.clone())
        .unwrap_or_default();
    let vmcoreinfo = known.vmcoreinfo.as_ref();
    let machine = MachineFacts {
        vmcoreinfo: told
            .vmcoreinfo
            .clone()
            .or_else(|| vmcoreinfo.map(|note| note.text.clone().into_bytes())),
        direct_map_base: told
            .direct_map_base
            .or(known.direct_map_base.map(|base| base.0)),
        paging_levels: told.paging_levels.or(known.paging_levels),
    };
    let record = MachineRecord {
        paging_levels: machine.paging_levels,
        direct_map_base: machine.direct_map_base.map(Address),
        vmcoreinfo: machine.vmcoreinfo.as_deref().map(vmcoreinfo::record),
        ..known
    };
    (machine, record)
}

/// The ranges of a raw image, from its manifest.
fn raw_ranges(manifest: &Manifest) -> (Vec<PlannedRange>, raw::Layout) {
    let layout = match manifest.header.image.raw_layout.as_deref() {
        Some("padded") => raw::Layout::Padded,
        _ => raw::Layout::Concatenated,
    };
    let ranges = manifest.ranges.iter().map(|range| PlannedRange {
        range: range.addresses,
        kind: range.kind(),
    });
    (ranges.collect(), layout)
}
