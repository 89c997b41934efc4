// SPDX-License-Identifier: MIT OR Apache-2.0
//! Choosing the writer for the planned image.

mod aff4;

use crate::artifacts::{CollectedArtifacts, LateArtifacts, members};
use crate::embedded_manifest::EmbeddedManifest;
use crate::error::AcquireError;
use crate::image_format::{ImageFormat, Shape};
use crate::plan::Plan;
use crate::source::SourceSpec;
use crate::warnings::Warnings;
use linpmem_formats::{
    CoreNote, ImagePlan, ImageWriter, MachineFacts, aff4::Writer as Aff4Writer, avml, elf, kdump,
    lime, raw,
};
use linpmem_manifest::MachineRecord;

const AVML_WARNING: &str = "Volatility 3 hangs on AVML images of memory that does not compress: \
    use --format lime unless another tool needs AVML";

/// What an image contains besides memory.
pub(crate) struct ImageParts<'a> {
    /// The image's own name; `None` for stdout.
    pub(crate) file_name: Option<String>,
    pub(crate) machine: &'a MachineRecord,
    pub(crate) artifacts: Option<&'a CollectedArtifacts>,
    /// Artifacts that are collected before the image ends.
    pub(crate) late: Option<&'a LateArtifacts<'a>>,
    pub(crate) manifest: &'a EmbeddedManifest,
}

/// The writer for `image`. Warns about limits of the format.
pub(crate) fn open_writer(
    plan: &Plan,
    shape: Shape,
    image: &ImagePlan,
    parts: ImageParts<'_>,
    warnings: &mut Warnings<'_>,
) -> Result<Box<dyn ImageWriter>, AcquireError> {
    if !matches!(shape.format, ImageFormat::Elf | ImageFormat::Kdump(_)) {
        warnings.extend(lost_notes(shape.format, &image.machine().notes));
    } else if matches!(plan.source, SourceSpec::Image(_)) {
        warnings.extend(unknown_machine(image.machine()));
    }
    Ok(match shape.format {
        ImageFormat::Elf => {
            let gap = plan.image.merge_gaps;
            let note = parts.artifacts.and_then(CollectedArtifacts::note);
            let writer = match (note, parts.late.and_then(LateArtifacts::tail)) {
                (Some(archive), _) => elf::Writer::with_artifacts(image, gap, archive)?,
                (None, Some(tail)) => elf::Writer::with_tail(image, gap, tail)?,
                (None, None) => elf::Writer::merging(image, gap)?,
            };
            warnings.extend(elf_warning(writer.segments()));
            Box::new(writer)
        }
        ImageFormat::Raw(layout) => Box::new(raw::Writer::new(image, layout)),
        ImageFormat::Lime => Box::new(lime::Writer::new(image)?),
        ImageFormat::Kdump(within) => Box::new(kdump::Writer::new(image, within)?),
        ImageFormat::Avml => {
            warnings.add(AVML_WARNING.to_owned());
            Box::new(avml::Writer::new(image))
        }
        ImageFormat::Aff4(compression) => {
            let mut options = aff4::options(
                plan,
                compression,
                parts.file_name,
                parts.machine,
                image.total(),
                members(parts.artifacts, parts.manifest),
            )
            .map_err(AcquireError::io("reading /dev/urandom"))?;
            if let Some(files) = parts.late.and_then(LateArtifacts::members) {
                options.late_files = files;
            }
            let is_wanted = !options.linear_hashes.is_empty();
            let writer = Aff4Writer::new(image, options)?;
            warnings.extend(aff4::lacks_linear_hash(is_wanted, &writer));
            Box::new(writer)
        }
    })
}

/// A warning if the image has to name a machine that nothing tells.
fn unknown_machine(machine: &MachineFacts) -> Option<String> {
    machine.known_architecture().is_none().then(|| {
        let named = machine.named_architecture();
        format!(
            "neither the input nor a manifest says what kind of machine it is of: the image will \
             say {named}. Tools will not open it if that is wrong; LiME and raw images name no \
             machine"
        )
    })
}

/// A warning if `notes` are lost in a format that has no room for them.
fn lost_notes(format: ImageFormat, notes: &[CoreNote]) -> Option<String> {
    let registers = notes.iter().filter(|note| note.is_registers()).count();
    let others = notes.len() - registers;
    let mut lost = Vec::new();
    if registers > 0 {
        lost.push(match registers {
            1 => "the registers of a processor (NT_PRSTATUS)".to_owned(),
            _ => format!("the registers of {registers} processors (NT_PRSTATUS)"),
        });
    }
    if others > 0 {
        let mut owners: Vec<_> = notes
            .iter()
            .filter(|note| !note.is_registers())
            .map(|note| String::from_utf8_lossy(&note.name))
            .collect();
        owners.sort_unstable();
        owners.dedup();
        owners.truncate(5);
        lost.push(match others {
            1 => format!("a note ({})", owners.join(", ")),
            _ => format!("{others} notes ({})", owners.join(", ")),
        });
    }
    (!lost.is_empty()).then(|| {
        format!(
            "lost from the input: {}; {} has no room for that, but elf and kdump have",
            lost.join(" and "),
            format.name()
        )
    })
}

/// A warning if some tools cannot open a core with this many segments.
fn elf_warning(segments: usize) -> Option<String> {
    // LeechCore reads at most 144, and Volatility 3 does not support PN_XNUM.
    let tools = match segments {
        0..=144 => return None,
        145..=65_532 => "LeechCore",
        _ => "Volatility 3 and LeechCore",
    };
    Some(format!(
        "the image will have {segments} segments, too many for {tools}; crash, drgn and \
         makedumpfile can open it. --merge-gaps SIZE makes fewer segments"
    ))
}
