// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump symbols`, and `--symbols`: a file of symbols for Volatility 3, made
//! of the artifacts.

use crate::args::SymbolsArgs;
use linpmem_capture::artifacts::{Artifacts, ArtifactsError};
use linpmem_capture::sidecar::check_free;
use linpmem_capture::sink::{PartialError, PartialFile, folder_of};
use linpmem_capture::source::SourceSpec;
use linpmem_capture::{Acquired, Output, Plan};
use linpmem_manifest::paths::{partial_of, with_suffix};
use linpmem_phys::PhysLen;
use linpmem_symbols::{KernelFacts, SymbolFile, SymbolFileError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Volatility looks for files of this ending.
const ENDING: &str = ".isf.json.xz";

/// kallsyms or System.map; a large kernel has 20 MiB of it.
const MAX_SYMBOLS_BYTES: u64 = 128 << 20;

/// All modules' types together.
const MAX_MODULES_BYTES: usize = 64 << 20;

/// A symbol file that was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SymbolsError {
    /// The image tells nothing of its kernel.
    #[error(
        "{0} has no artifacts in it or beside it: a symbol file needs the kernel's BTF, symbols and \
         banner; take them on the machine itself with `linpmem-dump symbols --live`"
    )]
    NoArtifacts(PathBuf),
    /// What it is made of is missing.
    #[error(
        "{0}; a symbol file needs the kernel's BTF, symbols and banner: take them on the machine \
         itself with `linpmem-dump symbols --live`"
    )]
    Artifacts(#[from] ArtifactsError),
    /// The kernel's symbols are not where it was built to be.
    #[error(
        "how far KASLR has moved the kernel is not known: neither VMCOREINFO nor the symbol \
         `_text` tells; name a System.map with --system-map"
    )]
    NoKaslrOffset,
    /// The parts do not make a file.
    #[error(transparent)]
    File(#[from] SymbolFileError),
    /// The file cannot be created or named.
    #[error(transparent)]
    Name(#[from] PartialError),
    /// The list of symbols that was named.
    #[error("{path}: {source}")]
    SystemMap {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// stdout or the disk.
    #[error("writing {path}: {source}")]
    Write {
        /// What.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A symbol file that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenSymbols {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub size: PhysLen,
    /// Types in it, and symbols.
    pub counts: (usize, usize),
}

/// What the symbol file beside `image` is called.
#[must_use]
pub fn symbols_of(image: &Path) -> PathBuf {
    with_suffix(image, ENDING)
}

/// Makes the file that `args` ask for and says how to use it.
///
/// # Errors
/// If the artifacts does not suffice, or the file cannot be written.
pub fn symbols(args: &SymbolsArgs, out: &mut dyn Write) -> Result<(), SymbolsError> {
    let (artifacts, path) = match &args.image {
        Some(image) => (of_image(image)?, symbols_of(image)),
        None => {
            let release = rustix::system::uname()
                .release()
                .to_string_lossy()
                .replace('/', "_");
            let path = PathBuf::from(format!("{release}{ENDING}"));
            (Artifacts::live(None), path)
        }
    };
    let path = args.output.clone().unwrap_or(path);
    let made = make(&artifacts, args.system_map.as_deref(), &path, args.force)?;
    let levels = artifacts
        .machine()
        .ok()
        .and_then(|m| m.memory.paging_levels);
    let (types, symbols) = made.counts;
    let told = writeln!(
        out,
        "{}: {types} types, {symbols} symbols, {}\n{}",
        made.path.display(),
        made.size,
        usage(
            &made.path,
            args.image.as_deref().and_then(image_of).as_deref(),
            levels
        )
    );
    told.map_err(|source| SymbolsError::Write {
        path: PathBuf::from("stdout"),
        source,
    })
}

/// The artifacts in `image` or beside it.
fn of_image(image: &Path) -> Result<Artifacts, SymbolsError> {
    Artifacts::of_image(image)?.ok_or_else(|| SymbolsError::NoArtifacts(image.to_path_buf()))
}

/// A symbol file that is written once memory has been read.
#[derive(Clone, Debug)]
pub struct SymbolFilePlan {
    /// The image that is read instead of this machine.
    source: Option<PathBuf>,
    force: bool,
}

impl SymbolFilePlan {
    /// The symbol file of the run that `plan` describes.
    ///
    /// # Errors
    /// If there is such a file already.
    pub fn new(plan: &Plan) -> Result<Self, PartialError> {
        let image = match &plan.output {
            Output::File { image, .. } => Some(image),
            Output::Stdout { manifest } => Some(manifest),
            // Its name has the time in it.
            Output::Named { .. } => None,
        };
        if let Some(image) = image {
            check_free(&symbols_of(image), plan.force)?;
        }
        let source = match &plan.source {
            SourceSpec::Image(image) => Some(image.clone()),
            _ => None,
        };
        Ok(Self {
            source,
            force: plan.force,
        })
    }

    /// Writes the file next to the image, or next to the manifest of an image that
    /// went to stdout.
    ///
    /// # Errors
    /// If the artifacts do not suffice, or the file cannot be written.
    pub fn write(&self, acquired: &Acquired) -> Result<WrittenSymbols, SymbolsError> {
        let place = match acquired.image.as_os_str() == "-" {
            true => &acquired.manifest,
            false => &acquired.image,
        };
        let artifacts = match &self.source {
            Some(image) => of_image(image)?,
            None => Artifacts::live(Some(&acquired.machine)),
        };
        make(&artifacts, None, &symbols_of(place), self.force)
    }
}

/// The image that a file of artifacts lies beside; the image itself if it is one.
fn image_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    match name.strip_suffix(".artifacts.tar.zst") {
        Some(image) => Some(path.with_file_name(image)),
        None => Some(path.to_path_buf()),
    }
}

/// How Volatility is told to use the file at `path`.
#[must_use]
pub fn usage(path: &Path, image: Option<&Path>, paging_levels: Option<u32>) -> String {
    let folder = quoted(folder_of(path));
    let image = image.map_or("IMAGE".to_owned(), quoted);
    let mut text = format!("vol -s {folder} -f {image} linux.pslist");
    if paging_levels == Some(5) {
        text.push_str(
            "\n  this kernel uses 5 levels of page tables: Volatility 3 up to 2.28 shows an \
             empty list then",
        );
    }
    text
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@%=".contains(letter);
    match text.chars().all(is_plain) && !text.is_empty() {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// What a file is made of, beside the symbols.
struct Parts {
    banner: Vec<u8>,
    btf: Vec<u8>,
    modules: Vec<(String, Vec<u8>)>,
}

impl Parts {
    fn file<'a>(
        &'a self,
        symbols: &'a [u8],
        kaslr_offset: u64,
    ) -> Result<SymbolFile<'a>, SymbolFileError> {
        SymbolFile::of(KernelFacts {
            banner: &self.banner,
            btf: &self.btf,
            modules: &self.modules,
            symbols,
            kaslr_offset,
        })
    }
}

fn make(
    artifacts: &Artifacts,
    system_map: Option<&Path>,
    path: &Path,
    force: bool,
) -> Result<WrittenSymbols, SymbolsError> {
    let parts = Parts {
        banner: artifacts.banner()?,
        btf: artifacts.btf("vmlinux")?,
        modules: modules(artifacts),
    };
    if let Some(map) = system_map {
        let text = std::fs::read(map).map_err(|source| SymbolsError::SystemMap {
            path: map.to_path_buf(),
            source,
        })?;
        return write(&parts.file(&text, 0)?, path, force);
    }
    let error = match kernel_symbols(artifacts) {
        Ok((listed, offset)) => match parts.file(&listed, offset) {
            Ok(file) => return write(&file, path, force),
            Err(error) => SymbolsError::from(error),
        },
        Err(error) => error,
    };
    // A kernel that hides its addresses, or lists functions alone, may have left its
    // System.map in /boot.
    let mut entries = artifacts.entries().iter();
    if let Some(map) = entries.find(|entry| entry.name.contains("System.map")) {
        if let Ok(text) = artifacts.bytes(&map.name, MAX_SYMBOLS_BYTES) {
            if let Ok(file) = parts.file(&text, 0) {
                return write(&file, path, force);
            }
        }
    }
    Err(error)
}

/// kallsyms, and how far KASLR has moved what is in it.
fn kernel_symbols(artifacts: &Artifacts) -> Result<(Vec<u8>, u64), SymbolsError> {
    let listed = artifacts.bytes("proc/kallsyms", MAX_SYMBOLS_BYTES)?;
    let offset = artifacts.machine()?.kaslr_offset();
    Ok((listed, offset.ok_or(SymbolsError::NoKaslrOffset)?))
}

/// The types of modules, as many as there is room for: a file is of use without.
fn modules(artifacts: &Artifacts) -> Vec<(String, Vec<u8>)> {
    let mut modules = Vec::new();
    let mut room = MAX_MODULES_BYTES;
    for entry in artifacts.entries() {
        let Some(name) = entry.name.strip_prefix("sys/kernel/btf/") else {
            continue;
        };
        if name == "vmlinux" {
            continue;
        }
        if let Ok(btf) = artifacts.btf(name) {
            if let Some(left) = room.checked_sub(btf.len()) {
                room = left;
                modules.push((name.to_owned(), btf));
            }
        }
    }
    modules
}

fn write(file: &SymbolFile<'_>, path: &Path, force: bool) -> Result<WrittenSymbols, SymbolsError> {
    let partial = PartialFile::create(path, partial_of(path), force)?;
    let is_plain = path.extension().is_some_and(|ending| ending == "json");
    let mut target = partial.file();
    let written = if is_plain {
        file.write_json(io::BufWriter::new(&mut target))
    } else {
        file.write_xz(&mut target).map(drop)
    };
    let size = written.and_then(|()| {
        target.sync_all()?;
        Ok(target.metadata()?.len())
    });
    let size = size?;
    partial.commit()?;
    Ok(WrittenSymbols {
        path: path.to_path_buf(),
        size: PhysLen::new(size),
        counts: (file.type_count(), file.symbol_count()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted() {
        let told = usage(
            Path::new("a b/x.isf.json.xz"),
            Some(Path::new("it's")),
            None,
        );
        assert_eq!(told, r"vol -s 'a b' -f 'it'\''s' linux.pslist");
        let beside = image_of(Path::new("a/x.raw.artifacts.tar.zst"));
        assert_eq!(beside, Some(PathBuf::from("a/x.raw")));
        let told = usage(Path::new("x.isf.json.xz"), None, Some(5));
        assert!(
            told.starts_with("vol -s . -f IMAGE linux.pslist\n"),
            "{told}"
        );
        assert!(told.contains("5 levels"));
    }
}
