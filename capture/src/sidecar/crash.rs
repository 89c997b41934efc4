// SPDX-License-Identifier: MIT OR Apache-2.0
//! What crash needs to open a padded raw image, which tells it nothing.

use crate::sink::{PartialError, PartialFile};
use linpmem_formats::MachineFacts;
use linpmem_manifest::paths::with_suffix;
use std::path::{Path, PathBuf};

/// Where the kernel's text about itself goes, beside the image at `image`.
#[must_use]
pub fn vmcoreinfo_of(image: &Path) -> PathBuf {
    with_suffix(image, ".vmcoreinfo.txt")
}

/// Writes the kernel's text about itself beside the image at `image`, if it is
/// known.
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

/// The command that opens the padded raw image at `image`; `None` if the kernel
/// does not tell what it needs. crash cannot find KASLR in such an image by itself.
#[must_use]
pub fn crash_command(image: &Path, machine: &MachineFacts) -> Option<String> {
    let offset = machine.vmcoreinfo_value("KERNELOFFSET")?;
    let offset = u64::from_str_radix(offset, 16).ok()?;
    let base: i64 = machine
        .vmcoreinfo_value("NUMBER(phys_base)")?
        .parse()
        .ok()?;
    let image = image.display();
    Some(format!(
        "crash --kaslr={offset:#x} -m phys_base={base:#x} vmlinux {image}@0"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_has_what_the_kernel_tells() {
        let machine = |text: &str| MachineFacts {
            vmcoreinfo: Some(text.as_bytes().to_vec()),
            ..MachineFacts::default()
        };
        let told = machine("KERNELOFFSET=1a000000\nNUMBER(phys_base)=-16777216\n");
        assert_eq!(
            crash_command(Path::new("a.padded"), &told).unwrap(),
            "crash --kaslr=0x1a000000 -m phys_base=0xffffffffff000000 vmlinux a.padded@0"
        );
        let silent = machine("KERNELOFFSET=1a000000\n");
        assert_eq!(crash_command(Path::new("a"), &silent), None);
    }
}
