// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump info`: what an image contains, and what it says about its machine.

use crate::args::InfoArgs;
use crate::text::info::{
    ArtifactsFacts, ImageRanges, InfoDocument, MachineFacts, ManifestFacts, Property, ReadRange,
    SourceFacts, TruncationFacts,
};
use crate::text::shell::own_command;
use linpmem_capture::Reading;
use linpmem_capture::artifacts::{Artifacts, ArtifactsError, Machine, VMCOREINFO, no_volatility};
use linpmem_capture::source::{ImageSourceError, complete_image, read_aff4, read_image};
use linpmem_cli::{ExitStatus, SignedHex};
use linpmem_formats::{ImageReader, OpenError, Truncation};
use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::paths::manifest_beside;
use linpmem_manifest::{Address, Manifest, ReadError};
use linpmem_phys::num::len_bytes;
use std::path::{Path, PathBuf};

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
    let reading = args.raw.with(args.reading.reading());
    let manifest = match &args.manifest {
        Some(path) => Some(reading.manifest(path)?),
        None => Some(manifest_beside(&args.image))
            .filter(|path| path.exists())
            .map(|path| reading.manifest(&path))
            // What it says up to there is part of the image.
            .filter(|manifest| !matches!(manifest, Err(ReadError::Truncated { .. })))
            .transpose()?,
    };
    // The artifacts are closed before the image is opened: the budget is for one of them.
    let found = match Artifacts::read(&args.image, &reading) {
        // The image will not open either.
        Err(ArtifactsError::Aff4 { path, source })
            if path == args.image && reading.raw.is_none() =>
        {
            let source = ImageSourceError::Open(source.into());
            return Err(InfoError::Image { path, source });
        }
        read => Found::of(&read, &args.image),
    };
    let (image, properties) =
        open(args, manifest.as_ref(), &reading).map_err(|source| InfoError::Image {
            path: args.image.clone(),
            source,
        })?;
    let machine = machine_facts(&*image, &found, manifest.as_ref());
    let mut notes = image.warnings().to_vec();
    let is_arm64 = machine.architecture.as_deref() == Some(Architecture::Aarch64.name());
    notes.extend(no_volatility(is_arm64, machine.paging_levels).map(str::to_owned));
    // The ranges of an image do not overlap.
    let sizes = image.ranges().iter().map(|stored| stored.range.len().get());
    let total_bytes = sizes.sum();
    Ok(InfoDocument {
        image: args.image.to_string_lossy().into_owned(),
        image_format: image.format().to_string(),
        machine,
        notes,
        truncation: image.truncation().map(truncation_facts),
        ranges: ImageRanges(image),
        total_bytes,
        artifacts: found.facts,
        artifacts_error: found.error,
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

/// An open image, and what an AFF4 volume says about it.
type Opened = (Box<dyn ImageReader>, Vec<(String, String)>);

/// Opens the image of `args`.
fn open(
    args: &InfoArgs,
    manifest: Option<&Manifest>,
    reading: &Reading,
) -> Result<Opened, ImageSourceError> {
    let path = &args.image;
    if reading.raw.is_none() {
        if let Some(volume) = read_aff4(path, reading).map_err(OpenError::from)? {
            let properties = volume.properties();
            let image = complete_image(path, Box::new(volume), manifest, reading)?;
            return Ok((image, properties));
        }
    }
    Ok((read_image(path, manifest, reading)?, Vec::new()))
}

/// What the artifacts of an image tell.
#[derive(Default)]
struct Found {
    facts: Option<ArtifactsFacts>,
    error: Option<String>,
    machine: Option<Machine>,
    vmcoreinfo: Option<Vec<u8>>,
}

impl Found {
    fn of(artifacts: &Result<Option<Artifacts>, ArtifactsError>, image: &Path) -> Self {
        let artifacts = match artifacts {
            Ok(Some(artifacts)) => artifacts,
            Ok(None) => return Self::default(),
            Err(error) => {
                return Self {
                    error: Some(error.to_string()),
                    ..Self::default()
                };
            }
        };
        let machine = artifacts.machine().ok();
        Self {
            facts: Some(artifacts_facts(artifacts, image, machine.as_ref())),
            error: None,
            vmcoreinfo: artifacts.bytes(VMCOREINFO, MAX_VMCOREINFO_BYTES).ok(),
            machine,
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

/// What `image` records about its machine; what it lacks comes from its artifacts, or from the
/// manifest (`listed`).
fn machine_facts(
    image: &dyn ImageReader,
    found: &Found,
    listed: Option<&Manifest>,
) -> MachineFacts {
    let in_image = image.machine();
    let text = in_image.vmcoreinfo.clone();
    let text = text.or_else(|| found.vmcoreinfo.clone());
    let known = found.machine.as_ref();
    let note = text.as_deref().map(Vmcoreinfo::new);
    let memory = known.map(|machine| &machine.memory);
    let in_artifacts =
        |field: fn(&Machine) -> &Option<String>| known.and_then(|m| field(m).clone());
    let listed = listed.map(|manifest| &manifest.header.machine);
    let memory_or_listed = || memory.into_iter().chain(listed);
    let named = || memory_or_listed().find_map(|memory| memory.architecture.clone());
    MachineFacts {
        architecture: in_image
            .known_architecture()
            .or_else(|| note?.architecture())
            .map(|known| known.name().to_owned())
            .or_else(named),
        page_bytes: note
            .and_then(Vmcoreinfo::page_size)
            .or_else(|| memory_or_listed().find_map(|memory| memory.page_bytes)),
        va_bits: note
            .and_then(Vmcoreinfo::va_bits)
            .or_else(|| memory_or_listed().find_map(|memory| memory.va_bits)),
        kimage_voffset: note.and_then(Vmcoreinfo::kimage_voffset).map(Address),
        pointer_auth_mask: note
            .and_then(Vmcoreinfo::pointer_auth_mask)
            .map(Address)
            .or_else(|| memory_or_listed().find_map(|memory| memory.pointer_auth_mask)),
        cpu_features: memory_or_listed()
            .map(|memory| memory.cpu_features.clone())
            .find(|features| !features.is_empty())
            .unwrap_or_default(),
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

fn artifacts_facts(artifacts: &Artifacts, image: &Path, known: Option<&Machine>) -> ArtifactsFacts {
    let (missing, remarks) = known
        .map(|machine| (machine.missing.clone(), machine.remarks.clone()))
        .unwrap_or_default();
    ArtifactsFacts {
        ls_command: own_command("ls", image),
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
        custody: header.custody,
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
