// SPDX-License-Identifier: MIT OR Apache-2.0
//! The writer of an image, for what was typed.

use crate::acquire::AcquireError;
use crate::aff4;
use crate::args::AcquireArgs;
use crate::evidence::{Kept, members};
use crate::manifest::{MachineRecord, SoFar};
use crate::naming::{ImageFormat, Shape};
use linpmem_formats::{
    ImagePlan, ImageWriter, aff4::Writer as Aff4Writer, avml, elf, kdump, lime, raw,
};
use linpmem_phys::PhysLen;

const AVML_WARNING: &str = "Volatility 3 hangs on AVML images of memory that does not compress; \
    unless something else asks for AVML, use --format lime";

/// What an image is made of, beside its memory.
pub(crate) struct Ingredients<'a> {
    pub(crate) args: &'a AcquireArgs,
    pub(crate) shape: Shape,
    pub(crate) file_name: Option<String>,
    pub(crate) machine: &'a MachineRecord,
    pub(crate) evidence: Option<&'a Kept>,
    /// The manifest of the image.
    pub(crate) manifest: &'a SoFar,
}

impl Ingredients<'_> {
    /// The writer of an image of `plan`. Adds to `warnings` what the user should
    /// know of the format.
    pub(crate) fn writer(
        self,
        plan: &ImagePlan,
        warnings: &mut Vec<String>,
    ) -> Result<Box<dyn ImageWriter>, AcquireError> {
        Ok(match self.shape.format {
            ImageFormat::Elf => {
                let gap = self.args.image.merge_gaps.unwrap_or(PhysLen::ZERO);
                let writer = match self.evidence.and_then(Kept::note) {
                    Some(archive) => elf::Writer::with_artifacts(plan, gap, archive)?,
                    None => elf::Writer::merging(plan, gap)?,
                };
                warnings.extend(elf_warning(writer.segments()));
                Box::new(writer)
            }
            ImageFormat::Raw(layout) => Box::new(raw::Writer::new(plan, layout)),
            ImageFormat::Lime => Box::new(lime::Writer::new(plan)?),
            ImageFormat::Kdump(within) => Box::new(kdump::Writer::new(plan, within)?),
            ImageFormat::Avml => {
                warnings.push(AVML_WARNING.to_owned());
                Box::new(avml::Writer::new(plan))
            }
            ImageFormat::Aff4(compression) => {
                let options = aff4::options(
                    &self.args.image.evidence,
                    &self.args.image.hashes.hash,
                    compression,
                    self.file_name,
                    self.machine,
                    plan.total(),
                    members(self.evidence, self.manifest),
                )
                .map_err(|source| AcquireError::Io {
                    action: "reading /dev/urandom",
                    source,
                })?;
                let writer = Aff4Writer::new(plan, options)?;
                warnings.extend(aff4::lacks_linear_hash(&writer));
                Box::new(writer)
            }
        })
    }
}

/// What opens a core of so many segments and what does not.
fn elf_warning(segments: usize) -> Option<String> {
    // LeechCore keeps no more than 144; PN_XNUM is beyond Volatility 3, too.
    let tools = match segments {
        0..=144 => return None,
        145..=65_532 => "LeechCore does",
        _ => "Volatility 3 and LeechCore do",
    };
    Some(format!(
        "the image has {segments} segments, and {tools} not open so many; --merge-gaps SIZE makes \
         fewer of them, and crash, drgn and makedumpfile need none of that"
    ))
}
