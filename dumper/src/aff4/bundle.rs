// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are kept beside the memory.

use crate::args::EvidenceArgs;
use crate::measure::len_bytes;
use glob::MatchOptions;
use linpmem_formats::Aff4File;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Files that cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// One that was asked for by name.
    #[error("--add {path}: {source}")]
    Add {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A pattern that no file matches.
    #[error("--add {path}: no file matches")]
    NoMatch {
        /// The pattern.
        path: PathBuf,
    },
    /// Too much in all.
    #[error(
        "--add: the files have more than 1 GiB in all, and are held until they are written: \
         copy them apart from the image"
    )]
    TooMuch,
    /// One that is too large.
    #[error(
        "{path} has more than 256 MiB: files beside the memory are held until they are written"
    )]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// No randomness for the names of the image's objects.
    #[error("/dev/urandom: {0}")]
    Random(#[source] io::Error),
}

/// What helps to read the memory; RELEASE stands for the kernel's.
const BUNDLE: [&str; 9] = [
    "/proc/iomem",
    "/proc/kallsyms",
    "/proc/modules",
    "/proc/cmdline",
    "/proc/version",
    "/proc/cpuinfo",
    "/sys/kernel/btf/vmlinux",
    "/boot/System.map-RELEASE",
    "/boot/config-RELEASE",
];

/// The longest file that is added.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// All of them.
const MAX_BUNDLE_BYTES: u64 = 1 << 30;

/// The files that `args` ask for. Those of `--bundle` that are not there or
/// cannot be read are only worth a warning.
///
/// # Errors
/// If one that was asked for by name cannot be read, or one is too large.
pub fn bundle(
    args: &EvidenceArgs,
    warn: &mut dyn FnMut(String),
) -> Result<Vec<Aff4File>, BundleError> {
    let mut files: Vec<Aff4File> = Vec::new();
    if args.bundle {
        let release = rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned();
        for name in BUNDLE {
            let path = PathBuf::from(name.replace("RELEASE", &release));
            match read(&path) {
                Ok(file) => files.push(file),
                Err(BundleError::Add { source, .. }) => {
                    warn(format!("{} is not in the bundle: {source}", path.display()));
                }
                Err(other) => return Err(other),
            }
        }
    }
    let mut total = files.iter().map(|file| len_bytes(&file.content)).sum();
    for path in &args.add {
        for path in matching(path)? {
            let file = read(&path)?;
            if files.iter().any(|known| known.path == file.path) {
                continue;
            }
            total = len_bytes(&file.content).saturating_add(total);
            if total > MAX_BUNDLE_BYTES {
                return Err(BundleError::TooMuch);
            }
            files.push(file);
        }
    }
    Ok(files)
}

/// As a shell does it.
const LIKE_A_SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The files that one `--add` means, by name. What exists under the very name is
/// that; a pattern means regular files only.
fn matching(path: &Path) -> Result<Vec<PathBuf>, BundleError> {
    let is_pattern = path.to_string_lossy().contains(['*', '?', '[']);
    if path.exists() || !is_pattern {
        return Ok(vec![path.to_path_buf()]);
    }
    let failed = |source: io::Error| BundleError::Add {
        path: path.to_path_buf(),
        source,
    };
    let pattern = path
        .to_str()
        .ok_or_else(|| failed(io::Error::other("a pattern is UTF-8")))?;
    let found = glob::glob_with(pattern, LIKE_A_SHELL)
        .map_err(|error| failed(io::Error::other(error)))?
        .collect::<Result<Vec<PathBuf>, _>>()
        .map_err(|error| failed(error.into()))?;
    let files: Vec<PathBuf> = found.into_iter().filter(|path| path.is_file()).collect();
    if files.is_empty() {
        return Err(BundleError::NoMatch {
            path: path.to_path_buf(),
        });
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Aff4File, BundleError> {
    let add = |source| BundleError::Add {
        path: path.to_path_buf(),
        source,
    };
    let whole = std::path::absolute(path).map_err(add)?;
    // A pipe or a device might never end.
    if !path.metadata().map_err(add)?.is_file() {
        return Err(add(io::Error::other("it is not a regular file")));
    }
    let mut content = Vec::new();
    // Files in /proc have no length of their own.
    let file = File::open(path).map_err(add)?;
    file.take(MAX_FILE_BYTES.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(add)?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(BundleError::TooLarge {
            path: path.to_path_buf(),
        });
    }
    Ok(Aff4File {
        path: whole.to_string_lossy().into_owned(),
        content,
    })
}
