// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump info`: what an image holds.

use crate::args::InfoArgs;
use crate::text::table::{self, Align};
use crate::text::{draw_memory_map, printable};
use linpmem_capture::artifacts::{Artifacts, ArtifactsError, FIVE_LEVELS, VMCOREINFO};
use linpmem_capture::source::{ImageSourceError, open_aff4, open_reader_at, vmcoreinfo_record};
use linpmem_formats::{ImageReader, MachineFacts, StoredRange};
use linpmem_manifest::paths::manifest_of;
use linpmem_manifest::{HashRecord, Manifest, ReadError};
use linpmem_phys::{Content, PhysLen};
use std::io::{self, Write};
use std::path::PathBuf;

/// The kernel's own limit is a page.
const MAX_VMCOREINFO_BYTES: u64 = 64 << 10;

/// The image cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// It does not open.
    #[error("{path}: {source}")]
    Image {
        /// The image.
        path: PathBuf,
        /// Why.
        source: ImageSourceError,
    },
    /// The manifest that was named does not open.
    #[error(transparent)]
    Manifest(#[from] ReadError),
    /// stdout failed.
    #[error("writing to stdout: {0}")]
    Output(#[from] io::Error),
}

/// Shows what the image of `args` holds.
///
/// # Errors
/// If it cannot be read.
pub fn info(args: &InfoArgs, out: &mut dyn Write) -> Result<(), InfoError> {
    let manifest = match &args.manifest {
        Some(path) => Some(linpmem_manifest::read(path)?),
        None => Some(manifest_of(&args.image))
            .filter(|path| path.exists())
            .map(|path| linpmem_manifest::read(&path))
            .transpose()?,
    };
    let image =
        open_reader_at(&args.image, manifest.as_ref()).map_err(|source| InfoError::Image {
            path: args.image.clone(),
            source,
        })?;
    let artifacts = Artifacts::of_image(&args.image);
    let machine = machine(&*image, artifacts.as_ref().ok().and_then(Option::as_ref));
    write_image(&*image, &machine, out)?;
    writeln!(out)?;
    draw_memory_map(&*image, manifest.as_ref(), out)?;
    writeln!(out)?;
    write_artifacts(artifacts, out)?;
    if let Ok(Some(image)) = open_aff4(&args.image, &[]) {
        writeln!(out)?;
        for (name, value) in image.properties() {
            writeln!(out, "{name}: {value}")?;
        }
    }
    if let Some(manifest) = &manifest {
        writeln!(out)?;
        write_manifest(manifest, out)?;
    }
    Ok(())
}

/// What `image` tells of the machine, or if it tells nothing, its artifacts.
fn machine(image: &dyn ImageReader, artifacts: Option<&Artifacts>) -> MachineFacts {
    let told = image.machine().clone();
    let known = artifacts.and_then(|artifacts| artifacts.machine().ok());
    let memory = known.map(|machine| machine.memory).unwrap_or_default();
    MachineFacts {
        vmcoreinfo: told
            .vmcoreinfo
            .or_else(|| artifacts?.bytes(VMCOREINFO, MAX_VMCOREINFO_BYTES).ok()),
        direct_map_base: told
            .direct_map_base
            .or(memory.direct_map_base.map(|base| base.0)),
        paging_levels: told.paging_levels.or(memory.paging_levels),
    }
}

fn write_image(
    image: &dyn ImageReader,
    machine: &MachineFacts,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "format:           {}", image.format())?;
    match &machine.vmcoreinfo {
        Some(text) => {
            let record = vmcoreinfo_record(text);
            let release = record.release.as_deref().unwrap_or("unknown release");
            writeln!(
                out,
                "kernel:           {release} (VMCOREINFO, {} bytes)",
                text.len()
            )?;
        }
        None => writeln!(out, "kernel:           unknown (no VMCOREINFO)")?,
    }
    if let Some(base) = machine.direct_map_base {
        writeln!(out, "direct map base:  {base:#x}")?;
    }
    if let Some(levels) = machine.paging_levels {
        writeln!(out, "paging levels:    {levels}")?;
        if levels == 5 {
            writeln!(out, "note:             {FIVE_LEVELS}")?;
        }
    }
    let told = |key| machine.vmcoreinfo_value(key);
    if let Some(offset) = told("KERNELOFFSET") {
        writeln!(out, "KASLR offset:     0x{offset}")?;
    }
    if let Some(base) = told("NUMBER(phys_base)").and_then(|base| base.parse::<i64>().ok()) {
        writeln!(out, "phys_base:        {base:#x}")?;
    }
    if let Some(id) = told("BUILD-ID") {
        writeln!(out, "build id:         {id}")?;
    }
    for oddity in image.warnings() {
        writeln!(out, "note:             {oddity}")?;
    }
    writeln!(out)?;
    let rows: Vec<_> = image.ranges().iter().map(row).collect();
    let columns = [
        ("START", Align::Right),
        ("LAST", Align::Right),
        ("SIZE", Align::Right),
        ("OFFSET", Align::Right),
        ("KIND", Align::Left),
        ("CONTENT", Align::Left),
    ];
    table::write(out, columns, &rows)?;
    let total = image.ranges().iter().fold(0, |sum: u64, stored| {
        sum.saturating_add(stored.range.len().get())
    });
    writeln!(
        out,
        "{} in {} ranges",
        PhysLen::new(total),
        image.ranges().len()
    )
}

/// What lies beside the memory, and what else it tells.
fn write_artifacts(
    artifacts: Result<Option<Artifacts>, ArtifactsError>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let artifacts = match artifacts {
        Ok(Some(artifacts)) => artifacts,
        Ok(None) => return writeln!(out, "artifacts:        none"),
        Err(error) => return writeln!(out, "artifacts:        {error}"),
    };
    let files = artifacts.entries().len();
    writeln!(out, "artifacts:        {files} files (linpmem-dump ls)")?;
    if let Some(damage) = artifacts.damage() {
        writeln!(out, "                  damaged: {}", printable(damage))?;
    }
    let Ok(machine) = artifacts.machine() else {
        return Ok(());
    };
    let facts = [
        ("banner:", machine.banner),
        ("command line:", machine.command_line),
        (
            "page table:",
            machine
                .memory
                .kernel_page_table
                .map(|at| format!("{:#x}", at.0)),
        ),
        ("processors:", machine.cpus.online),
        ("boot id:", machine.host.boot_id),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            writeln!(out, "{name:<17} {}", printable(&value))?;
        }
    }
    for gap in &machine.missing {
        let (name, reason) = (printable(&gap.name), printable(&gap.reason));
        writeln!(out, "missing:          {name}: {reason}")?;
    }
    for remark in &machine.remarks {
        let (name, text) = (printable(&remark.name), printable(&remark.text));
        writeln!(out, "note:             {name}: {text}")?;
    }
    Ok(())
}

fn row(stored: &StoredRange) -> [String; 6] {
    [
        stored.range.start().to_string(),
        stored.range.last().to_string(),
        stored.range.len().to_string(),
        stored
            .offset
            .map_or_else(|| "-".to_owned(), |offset| format!("{offset:#x}")),
        stored
            .kind
            .map_or_else(|| "-".to_owned(), |kind| kind.to_string()),
        match stored.content {
            Content::Data => "data".to_owned(),
            Content::Zero => "zero".to_owned(),
            Content::Unreadable { errno } => format!("unreadable: {errno}"),
            Content::Skipped { reason } => format!("absent: {reason}"),
        },
    ]
}

fn write_manifest(manifest: &Manifest, out: &mut dyn Write) -> io::Result<()> {
    let Manifest { header, footer, .. } = manifest;
    let (tool, host) = (&header.tool, &header.host);
    writeln!(out, "acquired by:      {} {}", tool.name, tool.version)?;
    writeln!(out, "command:          {}", header.command.join(" "))?;
    writeln!(
        out,
        "host:             {}, {} {}",
        host.hostname, host.kernel_release, host.machine
    )?;
    let source = &header.source;
    let detail = source.detail.as_deref().unwrap_or("-");
    writeln!(
        out,
        "source:           {} {} ({detail})",
        source.kind, source.path
    )?;
    if let Some(sum) = footer.source_sha256 {
        writeln!(out, "                  sha256 {sum}")?;
    }
    writeln!(
        out,
        "time:             {} to {}",
        header.started.utc, footer.ended.utc
    )?;
    writeln!(out, "state:            {}", footer.state.name())?;
    if let Some(error) = &footer.error {
        writeln!(out, "error:            {error}")?;
    }
    writeln!(out, "unreadable pages: {}", footer.unreadable_pages)?;
    for warning in &footer.warnings {
        writeln!(out, "warning:          {warning}")?;
    }
    match footer.file.sha256 {
        Some(sum) => writeln!(out, "sha256:           {sum}")?,
        None => writeln!(out, "sha256:           unknown")?,
    }
    for HashRecord { algorithm, digest } in &footer.file.hashes {
        writeln!(out, "{:<17} {digest}", format!("{}:", algorithm.name()))?;
    }
    writeln!(out)?;
    let rows: Vec<_> = manifest
        .ranges
        .iter()
        .map(|range| {
            [
                range.record.index.to_string(),
                range.addresses.start().to_string(),
                range.chunks.to_string(),
                range.end.unreadable_pages.to_string(),
                range.end.sha256_tree.to_string(),
            ]
        })
        .collect();
    let columns = [
        ("RANGE", Align::Right),
        ("START", Align::Right),
        ("CHUNKS", Align::Right),
        ("UNREADABLE", Align::Right),
        ("SHA-256 TREE", Align::Left),
    ];
    table::write(out, columns, &rows)?;
    for range in manifest.ranges.iter() {
        for part in &range.unreadable {
            let (pages, errno) = (part.range.len().pages(), part.errno);
            let name = errno.name().unwrap_or("errno");
            writeln!(
                out,
                "unreadable: {}, {pages} pages: {name} ({})",
                part.range,
                errno.get()
            )?;
        }
    }
    Ok(())
}
