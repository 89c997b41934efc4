// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump symbols`, and `--symbols`: a file of symbols for Volatility 3, made
//! of the evidence.

use crate::args::AcquireArgs;
use crate::checksum::check_free;
use crate::evidence::{Evidence, EvidenceError};
use crate::manifest::MachineRecord;
use crate::naming::{Target, partial_of, with_suffix};
use crate::notation::SourceSpec;
use crate::sink::{PartialError, PartialFile, folder_of};
use clap::{ArgGroup, Args};
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

/// What a symbol file is made of.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("kernel").required(true))]
pub struct SymbolsArgs {
    /// The image, with the evidence in it or beside it; or a file of evidence
    #[arg(group = "kernel")]
    pub image: Option<PathBuf>,

    /// Of this machine, as it runs
    #[arg(long, group = "kernel")]
    pub live: bool,

    /// The file [default: IMAGE.isf.json.xz, or RELEASE.isf.json.xz here]
    ///
    /// Volatility finds files that end in .json or .json.xz; .json is not compressed.
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// Take symbols from this System.map, not from kallsyms
    ///
    /// For kernels that hid their addresses (kernel.kptr_restrict=2) or list functions
    /// only. It must be that very kernel's.
    #[arg(long, value_name = "PATH")]
    pub system_map: Option<PathBuf>,

    /// Replace a file that exists
    #[arg(long)]
    pub force: bool,
}

/// A symbol file that was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SymbolsError {
    /// The image tells nothing of its kernel.
    #[error(
        "{0} has no evidence in it or beside it: a symbol file needs the kernel's BTF, symbols and \
         banner; take them on the machine itself with `linpmem-dump symbols --live`"
    )]
    NoEvidence(PathBuf),
    /// What it is made of is missing.
    #[error(
        "{0}; a symbol file needs the kernel's BTF, symbols and banner: take them on the machine \
         itself with `linpmem-dump symbols --live`"
    )]
    Evidence(#[from] EvidenceError),
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
pub struct Made {
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
/// If the evidence does not suffice, or the file cannot be written.
pub fn symbols(args: &SymbolsArgs, out: &mut dyn Write) -> Result<(), SymbolsError> {
    let (evidence, path) = match &args.image {
        Some(image) => (of_image(image)?, symbols_of(image)),
        None => {
            let release = rustix::system::uname()
                .release()
                .to_string_lossy()
                .replace('/', "_");
            let path = PathBuf::from(format!("{release}{ENDING}"));
            (Evidence::live(None), path)
        }
    };
    let path = args.output.clone().unwrap_or(path);
    let made = make(&evidence, args.system_map.as_deref(), &path, args.force)?;
    let levels = evidence.machine().ok().and_then(|m| m.memory.paging_levels);
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

/// The evidence in `image` or beside it.
fn of_image(image: &Path) -> Result<Evidence, SymbolsError> {
    Evidence::of_image(image)?.ok_or_else(|| SymbolsError::NoEvidence(image.to_path_buf()))
}

/// A symbol file that is to be made once the memory has been read.
#[derive(Clone, Debug)]
pub struct Wish {
    path: PathBuf,
    /// The image that is read instead of this machine.
    image: Option<PathBuf>,
    force: bool,
}

impl Wish {
    /// What `args` ask for: beside the image, or beside the manifest of an image that
    /// goes to stdout.
    ///
    /// # Errors
    /// If there is such a file already.
    pub fn of(args: &AcquireArgs, target: &Target) -> Result<Option<Self>, PartialError> {
        let place = match target {
            Target::File(path) => Some(path),
            Target::Stdout => args.run.manifest.as_ref(),
        };
        let Some(place) = place.filter(|_| args.symbols) else {
            return Ok(None);
        };
        let (path, force) = (symbols_of(place), args.run.force);
        check_free(&path, force)?;
        let image = match &args.selection.source {
            SourceSpec::Image(image) => Some(image.clone()),
            _ => None,
        };
        Ok(Some(Self { path, image, force }))
    }

    /// Makes the file for this machine. An image is whole without it: what is in
    /// the way is only told.
    pub fn grant(self, memory: &MachineRecord, mut warn: impl FnMut(&str)) -> Option<Made> {
        let evidence = match &self.image {
            Some(image) => of_image(image),
            None => Ok(Evidence::live(Some(memory))),
        };
        evidence
            .and_then(|evidence| make(&evidence, None, &self.path, self.force))
            .map_err(|error| warn(&format!("no symbol file was made: {error}")))
            .ok()
    }
}

/// The image that a file of evidence lies beside; the image itself if it is one.
fn image_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    match name.strip_suffix(".evidence.tar.zst") {
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
    evidence: &Evidence,
    system_map: Option<&Path>,
    path: &Path,
    force: bool,
) -> Result<Made, SymbolsError> {
    let parts = Parts {
        banner: evidence.banner()?,
        btf: evidence.btf("vmlinux")?,
        modules: modules(evidence),
    };
    if let Some(map) = system_map {
        let text = std::fs::read(map).map_err(|source| SymbolsError::SystemMap {
            path: map.to_path_buf(),
            source,
        })?;
        return write(&parts.file(&text, 0)?, path, force);
    }
    let error = match kernel_symbols(evidence) {
        Ok((listed, offset)) => match parts.file(&listed, offset) {
            Ok(file) => return write(&file, path, force),
            Err(error) => SymbolsError::from(error),
        },
        Err(error) => error,
    };
    // A kernel that hides its addresses, or lists functions alone, may have left its
    // System.map in /boot.
    let mut entries = evidence.entries().iter();
    if let Some(map) = entries.find(|entry| entry.name.contains("System.map")) {
        if let Ok(text) = evidence.bytes(&map.name, MAX_SYMBOLS_BYTES) {
            if let Ok(file) = parts.file(&text, 0) {
                return write(&file, path, force);
            }
        }
    }
    Err(error)
}

/// kallsyms, and how far KASLR has moved what is in it.
fn kernel_symbols(evidence: &Evidence) -> Result<(Vec<u8>, u64), SymbolsError> {
    let listed = evidence.bytes("proc/kallsyms", MAX_SYMBOLS_BYTES)?;
    let offset = evidence.machine()?.kaslr_offset();
    Ok((listed, offset.ok_or(SymbolsError::NoKaslrOffset)?))
}

/// The types of modules, as many as there is room for: a file is of use without.
fn modules(evidence: &Evidence) -> Vec<(String, Vec<u8>)> {
    let mut modules = Vec::new();
    let mut room = MAX_MODULES_BYTES;
    for entry in evidence.entries() {
        let Some(name) = entry.name.strip_prefix("sys/kernel/btf/") else {
            continue;
        };
        if name == "vmlinux" {
            continue;
        }
        if let Ok(btf) = evidence.btf(name) {
            if let Some(left) = room.checked_sub(btf.len()) {
                room = left;
                modules.push((name.to_owned(), btf));
            }
        }
    }
    modules
}

fn write(file: &SymbolFile<'_>, path: &Path, force: bool) -> Result<Made, SymbolsError> {
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
    match size {
        Ok(size) => {
            partial.commit()?;
            Ok(Made {
                path: path.to_path_buf(),
                size: PhysLen::new(size),
                counts: (file.type_count(), file.symbol_count()),
            })
        }
        Err(error) => {
            partial.discard();
            Err(error.into())
        }
    }
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
        let beside = image_of(Path::new("a/x.raw.evidence.tar.zst"));
        assert_eq!(beside, Some(PathBuf::from("a/x.raw")));
        let told = usage(Path::new("x.isf.json.xz"), None, Some(5));
        assert!(
            told.starts_with("vol -s . -f IMAGE linux.pslist\n"),
            "{told}"
        );
        assert!(told.contains("5 levels"));
    }
}
