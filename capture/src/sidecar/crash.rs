// SPDX-License-Identifier: MIT OR Apache-2.0
//! What crash needs to open a padded raw image, which has no metadata.

use crate::sink::{PartialError, PartialFile};
use linpmem_formats::MachineFacts;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_manifest::paths::with_suffix;
use std::fmt;
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

/// What crash has to be told of a padded raw image: it cannot find the KASLR offset in one by
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashOptions {
    kaslr_offset: u64,
    phys_base: i64,
}

impl CrashOptions {
    /// The options for an image of `machine`; `None` if VMCOREINFO lacks what they need.
    #[must_use]
    pub fn of(machine: &MachineFacts) -> Option<Self> {
        let info = Vmcoreinfo::new(machine.vmcoreinfo.as_deref()?);
        let (kaslr_offset, phys_base) = info.kaslr_offset().zip(info.phys_base())?;
        Some(Self {
            kaslr_offset,
            phys_base,
        })
    }
}

impl fmt::Display for CrashOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kaslr_offset,
            phys_base,
        } = self;
        write!(f, "--kaslr={kaslr_offset:#x} -m phys_base={phys_base:#x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_have_the_values_in_vmcoreinfo() {
        let machine = |text: &str| MachineFacts {
            vmcoreinfo: Some(text.as_bytes().to_vec()),
            ..MachineFacts::default()
        };
        let complete = machine("KERNELOFFSET=1a000000\nNUMBER(phys_base)=-16777216\n");
        assert_eq!(
            CrashOptions::of(&complete).unwrap().to_string(),
            "--kaslr=0x1a000000 -m phys_base=0xffffffffff000000"
        );
        let incomplete = machine("KERNELOFFSET=1a000000\n");
        assert_eq!(CrashOptions::of(&incomplete), None);
    }
}
