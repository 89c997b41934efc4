// SPDX-License-Identifier: MIT OR Apache-2.0
//! The writer of the planned image.

mod aff4;

use crate::acquire::AcquireError;
use crate::artifacts::{CollectedArtifacts, members};
use crate::embedded_manifest::EmbeddedManifest;
use crate::image_format::{ImageFormat, Shape};
use crate::plan::Plan;
use crate::warnings::Warnings;
use linpmem_formats::{
    ImagePlan, ImageWriter, aff4::Writer as Aff4Writer, avml, elf, kdump, lime, raw,
};
use linpmem_manifest::MachineRecord;

const AVML_WARNING: &str = "Volatility 3 hangs on AVML images of memory that does not compress; \
    unless another tool needs AVML, use --format lime";

/// What an image holds besides memory.
pub(crate) struct ImageParts<'a> {
    /// The image's own name; `None` for stdout.
    pub(crate) file_name: Option<String>,
    pub(crate) machine: &'a MachineRecord,
    pub(crate) artifacts: Option<&'a CollectedArtifacts>,
    pub(crate) manifest: &'a EmbeddedManifest,
}

/// The writer of an image of `image`. Warns of what the user should know about the
/// format.
pub(crate) fn open_writer(
    plan: &Plan,
    shape: Shape,
    image: &ImagePlan,
    parts: ImageParts<'_>,
    warnings: &mut Warnings<'_>,
) -> Result<Box<dyn ImageWriter>, AcquireError> {
    Ok(match shape.format {
        ImageFormat::Elf => {
            let gap = plan.image.merge_gaps;
            let writer = match parts.artifacts.and_then(CollectedArtifacts::note) {
                Some(archive) => elf::Writer::with_artifacts(image, gap, archive)?,
                None => elf::Writer::merging(image, gap)?,
            };
            warnings.extend(elf_warning(writer.segments()));
            Box::new(writer)
        }
        ImageFormat::Raw(layout) => Box::new(raw::Writer::new(image, layout)?),
        ImageFormat::Lime => Box::new(lime::Writer::new(image)?),
        ImageFormat::Kdump(within) => Box::new(kdump::Writer::new(image, within)?),
        ImageFormat::Avml => {
            warnings.add(AVML_WARNING.to_owned());
            Box::new(avml::Writer::new(image))
        }
        ImageFormat::Aff4(compression) => {
            let options = aff4::options(
                plan,
                compression,
                parts.file_name,
                parts.machine,
                image.total(),
                members(parts.artifacts, parts.manifest),
            )
            .map_err(AcquireError::io("reading /dev/urandom"))?;
            let writer = Aff4Writer::new(image, options)?;
            warnings.extend(aff4::lacks_linear_hash(&writer));
            Box::new(writer)
        }
    })
}

/// Which tools do not open a core with this many segments.
fn elf_warning(segments: usize) -> Option<String> {
    // LeechCore keeps no more than 144; PN_XNUM is beyond Volatility 3, too.
    let tools = match segments {
        0..=144 => return None,
        145..=65_532 => "LeechCore does",
        _ => "Volatility 3 and LeechCore do",
    };
    Some(format!(
        "the image has {segments} segments; {tools} not open that many, but crash, drgn and \
         makedumpfile do. --merge-gaps SIZE makes fewer segments"
    ))
}
