// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading and unloading the module.

mod error;
mod file;
pub(crate) mod state;

pub use error::{LoadError, UnloadError};

use crate::node::DEFAULT_PATH;
use file::{ModuleFile, Packing};
use linpmem_core::original::DEFAULT_MAJOR;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::io::Errno;
use rustix::system::{delete_module, finit_module, init_module};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// `MODULE_INIT_COMPRESSED_FILE` of include/uapi/linux/module.h: the kernel
/// decompresses the file, if it was built to (Linux 5.17 and later).
const COMPRESSED_FILE: i32 = 4;

/// How long to wait for the node.
const NODE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long devtmpfs gets to create the node. After that this program creates it.
const DEVTMPFS_TIMEOUT: Duration = Duration::from_millis(500);

/// How the module is loaded.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    parameters: Vec<String>,
}

/// A module that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// The device node to open.
    pub node: PathBuf,
    /// Whether this library created it; otherwise the kernel did, or it existed.
    pub made_node: bool,
    /// The module's parameters, as for insmod.
    pub parameters: String,
}

impl LoadOptions {
    /// Adds a parameter, `NAME=VALUE`: `major=42`, `owner_uid=1000`,
    /// `allow_device=1`.
    #[must_use]
    pub fn parameter(mut self, parameter: &str) -> Self {
        self.parameters.push(parameter.to_owned());
        self
    }
}

/// Whether a module called linpmem is loaded.
#[must_use]
pub fn is_loaded() -> bool {
    state::is_loaded()
}

/// Loads the module file at `path` (`.ko`, or compressed with xz, zstd or gzip), and
/// waits until [`DEFAULT_PATH`] exists.
///
/// The original's module creates no node and needs a device number: it gets `major=42`
/// and a node `c 42 0`, readable by everyone as its own tool makes it. The same holds
/// for ours if `major=` is given, but only root can read the node.
///
/// # Errors
/// See [`LoadError`]: each says what to do.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, LoadError> {
    let unreadable = |source| LoadError::File {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let packed = ModuleFile::read(&file).map_err(unreadable)?;
    let Some(packing) = packed.packing() else {
        return Err(LoadError::NotAModule {
            path: path.to_path_buf(),
            what: "it is neither ELF nor compressed with xz, zstd or gzip".to_owned(),
        });
    };
    let unpacked = packed.unpacked();
    let module = unpacked.as_ref().unwrap_or(&packed);

    let is_ours = unpacked.is_err() || module.has_parameter("allow_device");
    if is_ours {
        check_release(module, path)?;
    }
    let (parameters, c_parameters) = parameters(options, is_ours)?;

    let by_kernel = match packing {
        Packing::None => finit_module(&file, &c_parameters, 0),
        _ => finit_module(&file, &c_parameters, COMPRESSED_FILE),
    };
    let outcome = match (by_kernel, packing) {
        // The kernel does not decompress, or not this format.
        (Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOEXEC), packed)
            if packed != Packing::None =>
        {
            let image = unpacked.as_ref().map_err(|why| LoadError::Compression {
                path: path.to_path_buf(),
                why: why.to_string(),
            })?;
            init_module(image.bytes(), &c_parameters)
        }
        (outcome, _) => outcome,
    };
    outcome.map_err(|errno| LoadError::explain(errno, module, path, &parameters))?;
    loaded(is_ours, parameters)
}

/// Loads a module from memory, without a file: `image` is what an uncompressed `.ko`
/// contains, and `name` what errors call it.
///
/// # Errors
/// See [`LoadError`]: each says what to do.
pub fn load_image(image: Vec<u8>, name: &str, options: &LoadOptions) -> Result<Loaded, LoadError> {
    let module = ModuleFile::from_bytes(image);
    let is_ours = module.has_parameter("allow_device");
    if is_ours {
        check_release(&module, Path::new(name))?;
    }
    let (parameters, c_parameters) = parameters(options, is_ours)?;
    init_module(module.bytes(), &c_parameters)
        .map_err(|errno| LoadError::explain(errno, &module, Path::new(name), &parameters))?;
    loaded(is_ours, parameters)
}

/// Refuses a module of ours for another kernel before the kernel sees it: one that checks
/// imports by sums does not compare releases.
fn check_release(module: &ModuleFile, path: &Path) -> Result<(), LoadError> {
    let running = state::release();
    match module.release() {
        Some(built_for) if built_for != running => Err(LoadError::WrongKernel {
            path: path.to_path_buf(),
            built_for: built_for.to_owned(),
            running,
        }),
        _ => Ok(()),
    }
}

/// The module's parameters. The original's module needs a device number.
fn parameters(options: &LoadOptions, is_ours: bool) -> Result<(String, CString), LoadError> {
    let mut words = options.parameters.clone();
    if !is_ours && error::major(&words.join(" ")).is_none() {
        words.push(format!("major={DEFAULT_MAJOR}"));
    }
    let parameters = words.join(" ");
    let c_parameters =
        CString::new(parameters.clone()).map_err(|_| LoadError::Parameters(parameters.clone()))?;
    Ok((parameters, c_parameters))
}

/// Waits for the node of a module that the kernel has loaded.
fn loaded(is_ours: bool, parameters: String) -> Result<Loaded, LoadError> {
    let mode = if is_ours {
        Mode::RUSR
    } else {
        Mode::RUSR | Mode::RGRP | Mode::ROTH
    };
    let node = Path::new(DEFAULT_PATH);
    let made_node = wait_for_node(node, mode)?;
    Ok(Loaded {
        node: node.to_path_buf(),
        made_node,
        parameters,
    })
}

/// Unloads the module and removes its node, unless the kernel does that.
///
/// # Errors
/// See [`UnloadError`]: each says what to do.
pub fn unload() -> Result<(), UnloadError> {
    // The same bits; delete_module(2) takes them as an `int`.
    let nonblocking = i32::from_ne_bytes(rustix::fs::OFlags::NONBLOCK.bits().to_ne_bytes());
    let node = Path::new(DEFAULT_PATH);
    delete_module(c"linpmem", nonblocking).map_err(|errno| UnloadError::explain(errno, node))?;
    match fs::symlink_metadata(node) {
        // Created by hand, or by `load`.
        Ok(metadata) if metadata.file_type().is_char_device() => match fs::remove_file(node) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(UnloadError::Other(error)),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Waits until `node` is the module's device, and creates it if the kernel does not.
/// Returns whether this function created it.
fn wait_for_node(node: &Path, mode: Mode) -> Result<bool, LoadError> {
    let started = Instant::now();
    loop {
        let wanted = state::device_number().map(|(major, minor)| makedev(major, minor));
        let is_misc = Path::new("/sys/class/misc/linpmem").exists();
        let found = fs::metadata(node).ok();
        let exists = found.is_some_and(|found| {
            found.file_type().is_char_device() && Some(found.rdev()) == wanted
        });
        if exists {
            return Ok(false);
        }
        let waited = started.elapsed();
        let is_ours_to_make = !is_misc || waited > DEVTMPFS_TIMEOUT;
        if let (true, Some(number)) = (is_ours_to_make, wanted) {
            match mknodat(CWD, node, FileType::CharacterDevice, mode, number) {
                Ok(()) => return Ok(true),
                // Another driver's, or created at this moment: look again.
                Err(Errno::EXIST) if waited < NODE_TIMEOUT => {}
                Err(_) => return Err(no_node(node, waited)),
            }
        }
        if waited > NODE_TIMEOUT {
            return Err(no_node(node, waited));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn no_node(node: &Path, waited: Duration) -> LoadError {
    LoadError::NoNode {
        node: node.to_path_buf(),
        waited,
        hint: state::node_hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_for_another_kernel_is_refused_before_the_kernel_sees_it() {
        let image = b"\x7fELF\0parmtype=allow_device:uint\0vermagic=0.0.1 SMP\0".to_vec();
        let refused = load_image(image, "the module", &LoadOptions::default());
        let Err(LoadError::WrongKernel { built_for, .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(built_for, "0.0.1");
    }

    #[test]
    fn what_is_not_a_module_is_refused_before_the_kernel_sees_it() {
        let missing = load(Path::new("/nonexistent.ko"), &LoadOptions::default());
        assert!(matches!(missing, Err(LoadError::File { .. })));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.ko");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        let error = load(&path, &LoadOptions::default()).unwrap_err();
        assert!(error.to_string().contains("neither ELF"), "{error}");
        assert_eq!(error.errno(), linpmem_phys::Errno::ENOEXEC);
    }
}
