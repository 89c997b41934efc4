// SPDX-License-Identifier: MIT OR Apache-2.0
//! A module that was built with the kernel, and so is as that kernel wants modules.

use crate::cfi;
use crate::elf::Elf;
use crate::error::FitError;
use crate::unpack::unpack;
use linpmem_phys::num::usize_as_u64;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The most bytes of a module, compressed or not.
const MAX_MODULE: u64 = 64 << 20;

/// The section that becomes the kernel's `struct module`.
pub(crate) const THIS_MODULE: &str = ".gnu.linkonce.this_module";

/// The section with the checksums of imports: records of 64 bytes.
pub(crate) const VERSIONS: &str = "__versions";

/// The bytes of such a record, of which 8 are the checksum.
pub(crate) const VERSION_RECORD: usize = 64;

/// Where a kernel's `struct module` has what a module's file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThisModule {
    /// The size of the struct.
    pub size: u64,
    /// Where the pointer to the function is that is called first.
    pub init: u64,
    /// Where the pointer to the function is that is called last, if there is one.
    pub exit: Option<u64>,
}

/// A module's file, unpacked.
pub(crate) struct ModuleFile {
    bytes: Vec<u8>,
    origin: String,
}

impl ModuleFile {
    /// Reads and unpacks a module's file.
    pub(crate) fn read(path: &Path) -> Result<Self, FitError> {
        let origin = path.display().to_string();
        let unreadable = |source| FitError::File {
            path: path.to_path_buf(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        let mut packed = Vec::new();
        file.take(MAX_MODULE + 1)
            .read_to_end(&mut packed)
            .map_err(unreadable)?;
        Self::of(&packed, &origin)
    }

    /// Unpacks a module's file.
    pub(crate) fn of(packed: &[u8], origin: &str) -> Result<Self, FitError> {
        let bytes = unpack(packed, usize_as_u64(packed.len()), MAX_MODULE)
            .map_err(|why| FitError::unusable(origin, why))?;
        Ok(Self {
            bytes,
            origin: origin.to_owned(),
        })
    }

    /// Where it came from.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    fn elf(&self) -> Result<Elf<'_>, FitError> {
        Elf::parse(&self.bytes).map_err(|why| FitError::unusable(&self.origin, why))
    }

    /// The module's vermagic, which says for which kernel it was built.
    pub(crate) fn vermagic(&self) -> Result<String, FitError> {
        let elf = self.elf()?;
        let fields = elf.section(".modinfo").unwrap_or_default();
        let value = fields
            .split(|byte| *byte == 0)
            .find_map(|field| field.strip_prefix(b"vermagic="));
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        let text = text.ok_or_else(|| FitError::unusable(&self.origin, "it has no vermagic"))?;
        Ok(text.to_owned())
    }

    /// Where it expects the members of `struct module`.
    pub(crate) fn this_module(&self) -> Result<ThisModule, FitError> {
        let elf = self.elf()?;
        let missing = |what: &str| FitError::unusable(&self.origin, what);
        let size = elf
            .size(THIS_MODULE)
            .ok_or_else(|| missing("it has no section .gnu.linkonce.this_module"))?;
        let places = elf.relocations(THIS_MODULE).unwrap_or_default();
        let place = |name: &[u8]| {
            let found = places.iter().find(|place| place.symbol == name);
            found.map(|place| place.offset)
        };
        Ok(ThisModule {
            size,
            init: place(b"init_module").ok_or_else(|| missing("it has no init_module"))?,
            exit: place(b"cleanup_module"),
        })
    }

    /// A symbol that only modules of kernels with kCFI have.
    pub(crate) fn cfi_symbol(&self) -> Result<Option<String>, FitError> {
        let elf = self.elf()?;
        let found = elf.symbol_names().find(|name| cfi::is_symbol(name));
        Ok(found.map(|name| String::from_utf8_lossy(name).into_owned()))
    }

    /// Adds the checksums that it was built with, for the names in `wanted`.
    pub(crate) fn checksums(
        &self,
        is_wanted: impl Fn(&str) -> bool,
        found: &mut BTreeMap<String, u32>,
    ) -> Result<(), FitError> {
        let elf = self.elf()?;
        let records = elf.section(VERSIONS).unwrap_or_default();
        for record in records.chunks_exact(VERSION_RECORD) {
            let Some((crc, name)) = record.split_first_chunk() else {
                continue;
            };
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let Ok(name) = std::str::from_utf8(name) else {
                continue;
            };
            // The upper half is not used on x86-64.
            let crc = u32::try_from(u64::from_le_bytes(*crc));
            if let (true, Ok(crc)) = (is_wanted(name), crc) {
                found.entry(name.to_owned()).or_insert(crc);
            }
        }
        Ok(())
    }
}
