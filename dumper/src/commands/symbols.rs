// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump symbols`, and `--symbols`: a symbol file for Volatility 3, made from
//! the artifacts.

use crate::args::SymbolsArgs;
use crate::text::symbols::SymbolsDocument;
use crate::text::volatility::VolatilityImage;
use linpmem_capture::artifacts::{Artifacts, ArtifactsError, is_arm64, no_volatility};
use linpmem_capture::sidecar::check_free;
use linpmem_capture::sink::{PartialError, PartialFile};
use linpmem_capture::source::{SourceSpec, Subject, read_image};
use linpmem_capture::{Acquired, ImageFormat, Output, Plan, Reading, Shape, is_encrypted};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_formats::{Codec, Format, ImageReader, open_content_within, raw};
use linpmem_manifest::MachineRecord;
use linpmem_manifest::paths::{partial_of, with_suffix};
use linpmem_symbols::{Architecture, KernelFacts, SymbolFile, SymbolFileError};
use std::io;
use std::path::{Path, PathBuf};

/// Volatility looks for files that end in this.
const ENDING: &str = ".isf.json.xz";

/// kallsyms or System.map; a large kernel has 20 MiB of it.
pub(super) const MAX_SYMBOLS_BYTES: u64 = 128 << 20;

/// The types of all modules together.
const MAX_MODULES_BYTES: usize = 64 << 20;

/// A symbol file that was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum SymbolsError {
    /// The image has no artifacts.
    #[error(
        "{0} has no artifacts, neither inside it nor in a file next to it. A symbol file is made \
         from the kernel's BTF, symbols and banner; if the machine still runs the same kernel, \
         make it there with `linpmem-dump symbols --live`"
    )]
    NoArtifacts(PathBuf),
    /// The artifacts it is made from are missing.
    #[error(
        "{0}. A symbol file is made from the kernel's BTF, symbols and banner; if the machine \
         still runs the same kernel, make it there with `linpmem-dump symbols --live`"
    )]
    Artifacts(#[from] ArtifactsError),
    /// The symbols are at the addresses of one boot, and it is unknown where they
    /// were linked.
    #[error(
        "the KASLR offset is unknown: neither VMCOREINFO nor the symbol `_text` in kallsyms gives \
        it; use the kernel's System.map (--system-map)"
    )]
    NoKaslrOffset,
    /// The artifacts do not make a symbol file.
    #[error(transparent)]
    File(#[from] SymbolFileError),
    /// The file cannot be created, or cannot get its name.
    #[error(transparent)]
    Name(#[from] PartialError),
    /// The System.map cannot be read.
    #[error("{path}: {source}")]
    SystemMap { path: PathBuf, source: io::Error },
}

/// The name of the symbol file of `image`.
#[must_use]
pub fn symbols_of(image: &Path) -> PathBuf {
    with_suffix(image, ENDING)
}

/// Makes the file that `args` ask for. The exit code says whether the image that it is made
/// from is complete; what is odd about the image is said on `stderr`.
///
/// # Errors
/// If the artifacts do not suffice, or the file cannot be written.
pub fn symbols(
    args: &SymbolsArgs,
    stderr: Stderr,
) -> Result<(SymbolsDocument, ExitStatus), SymbolsError> {
    let path = args.image.as_deref().and_then(image_of);
    // First, since what is missing may be the artifacts. The image is closed before they are
    // opened: the budget is for one of them.
    let opened = path.as_deref().and_then(|path| Opened::of(path, args));
    for warning in opened.iter().flat_map(|opened| &opened.warnings) {
        stderr.warn(warning);
    }
    let (artifacts, path) = match &args.image {
        Some(image) => (of_image(image, &args.reading.reading())?, symbols_of(image)),
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
    let memory = artifacts.machine().map(|machine| machine.memory);
    let unsupported = memory.ok().and_then(|memory| unsupported(&memory));
    let status = match opened.as_ref().is_some_and(|opened| opened.is_cut_off) {
        true => ExitStatus::Unreadable,
        false => ExitStatus::Complete,
    };
    let image = opened.map(|opened| opened.image);
    Ok((made.document(&path, image.as_ref(), unsupported), status))
}

/// The image that a symbol file is for.
struct Opened {
    image: VolatilityImage,
    warnings: Vec<String>,
    is_cut_off: bool,
}

impl Opened {
    /// What is known of the image at `path`; none if it does not open.
    fn of(path: &Path, args: &SymbolsArgs) -> Option<Self> {
        let reading = || args.raw.with(args.reading.reading());
        let content = reading().content(path).ok()?;
        let content = open_content_within(content, &reading().budget).ok()?;
        let is_compressed = content.compressed || is_encrypted(path).ok()?;
        drop(content);
        let image = read_image(path, None, &reading()).ok()?;
        let is_cut_off = image.truncation().is_some();
        Some(Self {
            image: VolatilityImage {
                path: path.to_path_buf(),
                is_readable: !is_compressed && !is_cut_off && is_readable(&*image),
                options: args.options_to_read(),
            },
            warnings: image.warnings().to_vec(),
            is_cut_off,
        })
    }
}

/// Whether Volatility opens an image like this.
fn is_readable(image: &dyn ImageReader) -> bool {
    match image.format() {
        Format::Elf | Format::Raw(raw::Layout::Padded) => true,
        // What our reader takes with a remark, Volatility takes for something else.
        Format::Lime => image.warnings().is_empty(),
        _ => false,
    }
}

/// Whether Volatility opens an image that this program writes like this.
fn is_written_readable(shape: Shape) -> bool {
    let padded = ImageFormat::Raw(raw::Layout::Padded);
    let is_format = matches!(shape.format, ImageFormat::Elf | ImageFormat::Lime);
    shape.codec == Codec::None && (is_format || shape.format == padded)
}

/// The artifacts of `image`.
fn of_image(image: &Path, reading: &Reading) -> Result<Artifacts, SymbolsError> {
    Artifacts::read(image, reading)?.ok_or_else(|| SymbolsError::NoArtifacts(image.to_path_buf()))
}

/// A symbol file that is written once memory has been read.
#[derive(Clone, Debug)]
pub struct SymbolFilePlan {
    /// The image that is read instead of this machine.
    source: Option<PathBuf>,
    reading: Reading,
    force: bool,
}

impl SymbolFilePlan {
    /// The symbol file of the run that `plan` describes.
    ///
    /// # Errors
    /// If such a file exists already.
    pub fn new(plan: &Plan) -> Result<Self, PartialError> {
        let image = match &plan.output {
            Output::File { image, .. } => Some(image),
            Output::Stream { manifest, .. } => Some(manifest),
            // Its name has the time in it, or it has none here.
            Output::Named { .. } | Output::Remote(_) | Output::Store(_) => None,
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
            reading: plan.reading.clone(),
            force: plan.force,
        })
    }

    /// Writes the file next to the image, or next to the manifest of an image that
    /// went to stdout.
    ///
    /// # Errors
    /// If the artifacts do not suffice, or the file cannot be written.
    pub fn write(&self, acquired: &Acquired) -> Result<SymbolsDocument, SymbolsError> {
        let image = Some(acquired.image.as_path()).filter(|path| path.as_os_str() != "-");
        let path = symbols_of(image.unwrap_or(&acquired.manifest));
        let artifacts = match &self.source {
            Some(image) => of_image(image, &self.reading)?,
            None if acquired.subject == Subject::CrashedKernel => {
                Artifacts::of_same_build(&acquired.machine)?
            }
            None => Artifacts::live(Some(&acquired.machine)),
        };
        let made = make(&artifacts, None, &path, self.force)?;
        let image = image.map(|image| VolatilityImage {
            path: image.to_path_buf(),
            is_readable: is_written_readable(acquired.shape),
            options: Vec::new(),
        });
        Ok(made.document(&path, image.as_ref(), unsupported(&acquired.machine)))
    }
}

/// What Volatility cannot do with the image of such a machine.
fn unsupported(memory: &MachineRecord) -> Option<&'static str> {
    no_volatility(is_arm64(memory), memory.paging_levels)
}

/// The image that a file of artifacts belongs to; any other file is the image itself.
fn image_of(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_string_lossy();
    match name.strip_suffix(".artifacts.tar.zst") {
        Some(image) => Some(path.with_file_name(image)),
        None => Some(path.to_path_buf()),
    }
}

/// What was written.
struct Made {
    size_bytes: u64,
    types: usize,
    symbols: usize,
}

impl Made {
    fn document(
        &self,
        path: &Path,
        image: Option<&VolatilityImage>,
        unsupported: Option<&str>,
    ) -> SymbolsDocument {
        let counts = [self.types, self.symbols];
        SymbolsDocument::new(path, self.size_bytes, counts, image, unsupported)
    }
}

/// What a file is made from, apart from the symbols.
struct Parts {
    banner: Vec<u8>,
    btf: Vec<u8>,
    modules: Vec<(String, Vec<u8>)>,
    architecture: Architecture,
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
            architecture: self.architecture,
        })
    }
}

fn make(
    artifacts: &Artifacts,
    system_map: Option<&Path>,
    path: &Path,
    force: bool,
) -> Result<Made, SymbolsError> {
    let parts = Parts {
        banner: artifacts.banner()?,
        btf: artifacts.btf("vmlinux")?,
        modules: modules(artifacts),
        architecture: architecture(artifacts),
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
    // A kernel that hides its addresses, or lists nothing but functions, may have its
    // System.map in /boot.
    if let Some(map) = system_map_of(artifacts) {
        if let Ok(text) = artifacts.bytes(map, MAX_SYMBOLS_BYTES) {
            if let Ok(file) = parts.file(&text, 0) {
                return write(&file, path, force);
            }
        }
    }
    Err(error)
}

/// The name of the System.map among the artifacts.
pub(super) fn system_map_of(artifacts: &Artifacts) -> Option<&str> {
    let mut names = artifacts.entries().iter().map(|entry| entry.name.as_str());
    names.find(|name| name.contains("System.map"))
}

/// What kind of machine the artifacts are of: as it is recorded, or as `uname -m` said. Older
/// artifacts without either are of x86-64.
fn architecture(artifacts: &Artifacts) -> Architecture {
    let machine = artifacts.machine().ok();
    let names = machine.into_iter().flat_map(|machine| {
        let host = machine.host.machine;
        machine.memory.architecture.into_iter().chain([host])
    });
    let mut known = names.filter_map(|name| Architecture::from_name(&name));
    known.next().unwrap_or(Architecture::X86_64)
}

/// kallsyms, and how far KASLR moved the symbols in it.
fn kernel_symbols(artifacts: &Artifacts) -> Result<(Vec<u8>, u64), SymbolsError> {
    let listed = artifacts.bytes("proc/kallsyms", MAX_SYMBOLS_BYTES)?;
    let offset = artifacts.machine()?.kaslr_offset();
    Ok((listed, offset.ok_or(SymbolsError::NoKaslrOffset)?))
}

/// The types of modules, as many as fit: the file is useful without them.
fn modules(artifacts: &Artifacts) -> Vec<(String, Vec<u8>)> {
    let mut modules = Vec::new();
    let mut room = MAX_MODULES_BYTES;
    // Where an archive is damaged, what precedes the damage is as useful.
    let _ = artifacts.each_module(&mut |name, btf| {
        if let Some(left) = room.checked_sub(btf.len()) {
            room = left;
            modules.push((name.to_owned(), btf));
        }
    });
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
    let size = size?;
    partial.commit()?;
    Ok(Made {
        size_bytes: size,
        types: file.type_count(),
        symbols: file.symbol_count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_artifacts_names_its_image() {
        let next_to_it = image_of(Path::new("a/x.raw.artifacts.tar.zst"));
        assert_eq!(next_to_it, Some(PathBuf::from("a/x.raw")));
        assert_eq!(
            image_of(Path::new("a/x.core")),
            Some(PathBuf::from("a/x.core"))
        );
    }
}
