// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel, as far as its files tell about it. Files are read when they are needed.

use crate::boot_image;
use crate::elf::Elf;
use crate::error::FitError;
use crate::module_file::ModuleFile;
use crate::module_tree::ModuleTree;
use crate::sources::Sources;
use crate::vmlinux::Vmlinux;
use std::cell::OnceCell;
use std::path::Path;

/// The most bytes of a boot image, or of a kernel with debugging information.
const MAX_IMAGE: u64 = 1 << 30;

/// How many of a kernel's modules are tried, if some are damaged.
const MAX_TRIES: usize = 8;

/// The parts of a kernel that more than one fact comes from.
pub(crate) struct Kernel<'s> {
    sources: &'s Sources,
    image: OnceCell<Option<Image>>,
    sample: OnceCell<Option<ModuleFile>>,
}

/// The unpacked kernel.
struct Image {
    bytes: Vec<u8>,
    origin: String,
}

impl<'s> Kernel<'s> {
    pub(crate) fn new(sources: &'s Sources) -> Self {
        Self {
            sources,
            image: OnceCell::new(),
            sample: OnceCell::new(),
        }
    }

    /// Whether the kernel has been unpacked.
    pub(crate) fn is_unpacked(&self) -> bool {
        self.image.get().is_some_and(Option::is_some)
    }

    /// The unpacked kernel and its file, if there is one.
    pub(crate) fn vmlinux(&self) -> Result<Option<(Vmlinux<'_>, &str)>, FitError> {
        let image = match self.image.get() {
            Some(known) => known,
            None => {
                let loaded = self.load()?;
                self.image.get_or_init(|| loaded)
            }
        };
        let Some(image) = image else {
            return Ok(None);
        };
        let vmlinux = Vmlinux::parse(&image.bytes);
        let vmlinux = vmlinux.map_err(|why| FitError::unusable(&image.origin, why))?;
        Ok(Some((vmlinux, &image.origin)))
    }

    /// As [`Self::vmlinux`]. A kernel that cannot be unpacked is an error only if the caller
    /// named it; else the reason is added to what was `tried`.
    pub(crate) fn usable_vmlinux(
        &self,
        tried: &mut Vec<String>,
    ) -> Result<Option<(Vmlinux<'_>, &str)>, FitError> {
        match self.vmlinux() {
            Err(error) if !self.sources.kernel.is_given() => {
                tried.push(error.to_string());
                Ok(None)
            }
            found => found,
        }
    }

    fn load(&self) -> Result<Option<Image>, FitError> {
        let Some((path, bytes)) = self.sources.kernel.read(MAX_IMAGE)? else {
            return Ok(None);
        };
        let origin = path.display().to_string();
        let bytes = boot_image::kernel(bytes).map_err(|why| FitError::unusable(&origin, why))?;
        Ok(Some(Image { bytes, origin }))
    }

    /// A module that was built with this kernel.
    pub(crate) fn sample(&self) -> Result<Option<&ModuleFile>, FitError> {
        let sample = match self.sample.get() {
            Some(known) => known,
            None => {
                let loaded = self.load_sample()?;
                self.sample.get_or_init(|| loaded)
            }
        };
        Ok(sample.as_ref())
    }

    fn load_sample(&self) -> Result<Option<ModuleFile>, FitError> {
        let Some(folder) = self.sources.modules.path() else {
            return Ok(None);
        };
        let mut last = None;
        for path in ModuleTree::new(folder).take(MAX_TRIES) {
            let file = ModuleFile::read(&path?)?;
            // A module need not have an init function.
            match file.this_module() {
                Ok(_) => return Ok(Some(file)),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(error),
            None if self.sources.modules.is_given() => Err(FitError::unusable(
                folder.display().to_string(),
                "there is no module (.ko, .ko.xz, .ko.zst, .ko.gz) in it",
            )),
            None => Ok(None),
        }
    }

    /// The modules that were built with this kernel.
    pub(crate) fn modules(&self) -> Option<(ModuleTree, &Path)> {
        let folder = self.sources.modules.path()?;
        Some((ModuleTree::new(folder), folder))
    }

    /// The kernel's types, and where they came from.
    pub(crate) fn btf(&self) -> Result<(Vec<u8>, String), FitError> {
        if let Some((path, bytes)) = self.sources.btf.read(MAX_IMAGE)? {
            let origin = path.display().to_string();
            if !bytes.starts_with(b"\x7fELF") {
                return Ok((bytes, origin));
            }
            let elf = Elf::parse(&bytes).map_err(|why| FitError::unusable(&origin, why))?;
            let section = elf.section(".BTF");
            let section = section.ok_or_else(|| FitError::unusable(&origin, "it has no BTF"))?;
            return Ok((section.to_vec(), format!(".BTF of {origin}")));
        }
        if let Some((vmlinux, origin)) = self.vmlinux()? {
            if let Some(btf) = vmlinux.btf() {
                return Ok((btf.to_vec(), format!(".BTF of {origin}")));
            }
        }
        Err(FitError::Unknown {
            what: "the kernel's types (BTF)",
            tried: format!(
                "BTF: {}; kernel: {}",
                self.sources.btf.tried(),
                self.sources.kernel.tried()
            ),
            advice: "the kernel is older than 5.8 or was built without CONFIG_DEBUG_INFO_BTF: \
                     build linpmem.ko for it, or read memory without the module (--source kcore)",
        })
    }
}
