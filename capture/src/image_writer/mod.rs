// SPDX-License-Identifier: MIT OR Apache-2.0
//! Choosing the writer for the planned image.

mod aff4;

use crate::artifacts::{CollectedArtifacts, members};
use crate::embedded_manifest::EmbeddedManifest;
use crate::error::AcquireError;
use crate::image_format::{ImageFormat, Shape};
use crate::plan::Plan;
use crate::warnings::Warnings;
use linpmem_formats::{
    ImagePlan, ImageWriter, aff4::Writer as Aff4Writer, avml, elf, kdump, lime, raw,
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
        ImageFormat::Raw(layout) => Box::new(raw::Writer::new(image, layout)),
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
