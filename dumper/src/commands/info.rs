// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump info`: what an image contains, and what it says about its machine.

use crate::args::InfoArgs;
use crate::text::info::{
    ArtifactsFacts, ContentName, ImageRange, InfoDocument, MachineFacts, ManifestFacts, Property,
    ReadRange, SourceFacts, TruncationFacts,
};
use linpmem_capture::artifacts::{Artifacts, FIVE_LEVELS, Machine, VMCOREINFO};
use linpmem_capture::source::{ImageSourceError, open_aff4, open_reader_at};
use linpmem_cli::{ExitStatus, SignedHex};
use linpmem_formats::{ImageReader, StoredRange, Truncation};
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::paths::manifest_beside;
use linpmem_manifest::{Address, Manifest, ReadError};
use linpmem_phys::Content;
use linpmem_phys::num::len_bytes;
use std::path::PathBuf;

/// The kernel's own limit is a page.
const MAX_VMCOREINFO_BYTES: u64 = 64 << 10;

/// The image cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum InfoError {
    /// The image does not open.
    #[error("{path}: {source}")]
    Image {
        path: PathBuf,
        source: ImageSourceError,
    },
    /// The manifest does not open.
    #[error(transparent)]
    Manifest(#[from] ReadError),
}

/// Shows what the image of `args` holds.
///
/// # Errors
/// If it cannot be read.
pub fn info(args: &InfoArgs) -> Result<InfoDocument, InfoError> {
    let manifest = match &args.manifest {
        Some(path) => Some(linpmem_manifest::read(path)?),
        None => Some(manifest_beside(&args.image))
            .filter(|path| path.exists())
            .map(|path| linpmem_manifest::read(&path))
            // What it says up to there is part of the image.
            .filter(|manifest| !matches!(manifest, Err(ReadError::Truncated { .. })))
            .transpose()?,
    };
    let image =
        open_reader_at(&args.image, manifest.as_ref()).map_err(|source| InfoError::Image {
            path: args.image.clone(),
            source,
        })?;
    let (artifacts, artifacts_error) = match Artifacts::of_image(&args.image) {
        Ok(artifacts) => (artifacts, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let known = artifacts
        .as_ref()
        .and_then(|artifacts| artifacts.machine().ok());
    let machine = machine_facts(&*image, artifacts.as_ref(), known.as_ref());
    let mut notes = image.warnings().to_vec();
    if machine.paging_levels == Some(5) {
        notes.push(FIVE_LEVELS.to_owned());
    }
    let properties = match open_aff4(&args.image, &[]) {
        Ok(Some(volume)) => volume.properties(),
        // The image has opened, so what it says beyond that can be left out.
        Ok(None) | Err(_) => Vec::new(),
    };
    Ok(InfoDocument {
        image: args.image.to_string_lossy().into_owned(),
        image_format: image.format().to_string(),
        machine,
        notes,
        truncation: image.truncation().map(truncation_facts),
        ranges: image.ranges().iter().map(image_range).collect(),
        // The ranges of an image do not overlap.
        total_bytes: image
            .ranges()
            .iter()
            .map(|stored| stored.range.len().get())
            .sum(),
        artifacts: artifacts
            .as_ref()
            .map(|artifacts| artifacts_facts(artifacts, known)),
        artifacts_error,
        properties: properties
            .into_iter()
            .map(|(name, value)| Property { name, value })
            .collect(),
        manifest: manifest.map(manifest_facts),
    })
}

impl InfoDocument {
    /// What the exit code says: whether the image is complete.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self.truncation {
            Some(_) => ExitStatus::Unreadable,
            None => ExitStatus::Complete,
        }
    }
}

fn truncation_facts(truncation: Truncation) -> TruncationFacts {
    TruncationFacts {
        end_offset: truncation.end,
        missing_bytes: truncation.missing.get(),
        first_missing: truncation.first.map(Address::from),
        may_lack_ranges: truncation.is_open_ended,
    }
}

/// What `image` records about its machine; what it lacks comes from its artifacts and
/// from `known`, the facts among them.
fn machine_facts(
    image: &dyn ImageReader,
    artifacts: Option<&Artifacts>,
    known: Option<&Machine>,
) -> MachineFacts {
    let in_image = image.machine();
    let text = in_image
        .vmcoreinfo
        .clone()
        .or_else(|| artifacts?.bytes(VMCOREINFO, MAX_VMCOREINFO_BYTES).ok());
    let note = text.as_deref().map(Vmcoreinfo::new);
    let memory = known.map(|machine| &machine.memory);
    let in_artifacts =
        |field: fn(&Machine) -> &Option<String>| known.and_then(|m| field(m).clone());
    MachineFacts {
        kernel: note
            .and_then(Vmcoreinfo::release)
            .map(str::to_owned)
            .or_else(|| known.map(|machine| machine.host.kernel_release.clone())),
        phys_bits: memory.and_then(|memory| memory.phys_bits),
        paging_levels: in_image
            .paging_levels
            .or_else(|| memory?.paging_levels)
            .or_else(|| note?.paging_levels()),
        direct_map_base: in_image
            .direct_map_base
            .map(Address)
            .or_else(|| memory?.direct_map_base),
        phys_base: note
            .and_then(Vmcoreinfo::phys_base)
            .or_else(|| known?.phys_base)
            .map(SignedHex),
        kaslr_offset: note
            .and_then(Vmcoreinfo::kaslr_offset)
            .map(Address)
            .or_else(|| memory?.kaslr_offset),
        kernel_page_table: memory
            .and_then(|memory| memory.kernel_page_table)
            .or_else(|| Some(note?.kernel_page_table()?.into())),
        vmcoreinfo_bytes: text.as_deref().map(len_bytes),
        build_id: note
            .and_then(Vmcoreinfo::build_id)
            .map(str::to_owned)
            .or_else(|| known?.build_id.clone()),
        banner: in_artifacts(|machine| &machine.banner),
        command_line: in_artifacts(|machine| &machine.command_line),
        cpus_online: in_artifacts(|machine| &machine.cpus.online),
        boot_id: in_artifacts(|machine| &machine.host.boot_id),
    }
}

fn image_range(stored: &StoredRange) -> ImageRange {
    let (content, reason) = match stored.content {
        Content::Data => (ContentName::Data, None),
        Content::Zero => (ContentName::Zero, None),
        Content::Unreadable { errno } => (ContentName::Unreadable, Some(errno.to_string())),
        Content::Skipped { reason } => (ContentName::Absent, Some(reason.to_string())),
    };
    ImageRange {
        start: stored.range.start().into(),
        last: stored.range.last().into(),
        size_bytes: stored.range.len().get(),
        file_offset: stored.offset,
        kind: stored.kind.map(|kind| kind.name()),
        content,
        reason,
    }
}

fn artifacts_facts(artifacts: &Artifacts, known: Option<Machine>) -> ArtifactsFacts {
    let (missing, remarks) = known
        .map(|machine| (machine.missing, machine.remarks))
        .unwrap_or_default();
    ArtifactsFacts {
        files: artifacts.entries().len(),
        damage: artifacts.damage().map(str::to_owned),
        missing,
        remarks,
    }
}

fn manifest_facts(manifest: Manifest) -> ManifestFacts {
    let Manifest {
        header,
        ranges,
        footer,
        ..
    } = manifest;
    let read = ranges.iter().map(|range| ReadRange {
        index: range.record.index,
        start: range.addresses.start().into(),
        last: range.addresses.last().into(),
        size_bytes: range.addresses.len().get(),
        chunks: range.chunks,
        unreadable_pages: range.end.unreadable_pages,
        sha256_tree: range.end.sha256_tree,
    });
    let unreadable = ranges.iter().flat_map(|range| &range.unreadable);
    ManifestFacts {
        ranges: read.collect(),
        unreadable: unreadable.map(|&item| item.into()).collect(),
        tool: header.tool,
        command: header.command,
        host: header.host,
        source: SourceFacts {
            kind: header.source.kind,
            path: header.source.path,
            detail: header.source.detail,
            sha256: footer.source_sha256,
        },
        started: header.started.utc,
        ended: footer.ended.utc,
        state: footer.state,
        error: footer.error,
        unreadable_pages: footer.unreadable_pages,
        warnings: footer.warnings,
        sha256: footer.file.sha256,
        hashes: footer.file.hashes,
    }
}
