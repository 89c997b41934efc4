// SPDX-License-Identifier: MIT OR Apache-2.0
//! What crash needs to open a padded raw image, which has no metadata.

use crate::sink::{PartialError, PartialFile};
use linpmem_formats::MachineFacts;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::paths::with_suffix;
use std::path::{Path, PathBuf};

/// The file for VMCOREINFO next to the image at `image`.
#[must_use]
pub fn vmcoreinfo_of(image: &Path) -> PathBuf {
    with_suffix(image, ".vmcoreinfo.txt")
}

/// Writes VMCOREINFO, if it is known, to a file next to the image at `image`.
///
/// # Errors
/// If the file cannot be written.
pub fn write_vmcoreinfo(
    image: &Path,
    machine: &MachineFacts,
    force: bool,
) -> Result<(), PartialError> {
    let Some(text) = &machine.vmcoreinfo else {
        return Ok(());
    };
    PartialFile::write(&vmcoreinfo_of(image), text, force)
}

/// The command that opens the padded raw image at `image`; `None` if VMCOREINFO lacks what
/// it needs. crash cannot find the KASLR offset in such an image by itself.
#[must_use]
pub fn crash_command(image: &Path, machine: &MachineFacts) -> Option<String> {
    let info = Vmcoreinfo::new(machine.vmcoreinfo.as_deref()?);
    let (offset, base) = info.kaslr_offset().zip(info.phys_base())?;
    let image = image.display();
    Some(format!(
        "crash --kaslr={offset:#x} -m phys_base={base:#x} vmlinux {image}@0"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_has_the_values_in_vmcoreinfo() {
        let machine = |text: &str| MachineFacts {
            vmcoreinfo: Some(text.as_bytes().to_vec()),
            ..MachineFacts::default()
        };
        let complete = machine("KERNELOFFSET=1a000000\nNUMBER(phys_base)=-16777216\n");
        assert_eq!(
            crash_command(Path::new("a.padded"), &complete).unwrap(),
            "crash --kaslr=0x1a000000 -m phys_base=0xffffffffff000000 vmlinux a.padded@0"
        );
        let incomplete = machine("KERNELOFFSET=1a000000\n");
        assert_eq!(crash_command(Path::new("a"), &incomplete), None);
    }
}
