// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading the module for one run.

use crate::sink::{exposed_folder, folder_of};
use linpmem::{LoadError, LoadOptions, UnloadError};
use linpmem_fit::{FitError, Refusal, Sources};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Whether the module is loaded for this run, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DriverSpec {
    /// From `linpmem.ko` in the program's folder, if it exists, nobody but root (or the
    /// user who runs the program) can write to it, and it can be loaded.
    Auto,
    /// Never; a module that is already loaded is used.
    #[default]
    Never,
    /// The module inside this program, fitted to the running kernel; if that fails, so
    /// does the run. Nothing is written to a disk.
    Fit,
    /// From this file; if that fails, so does the run.
    File(PathBuf),
}

/// The module could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The kernel does not take it.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It does not fit the running kernel.
    #[error("the module inside this program cannot be fitted to this kernel: {0}")]
    Fit(Box<FitError>),
    /// This system takes no module, whatever it is like.
    #[error("{0}")]
    Refused(Box<Refusal>),
}

impl From<FitError> for DriverError {
    fn from(error: FitError) -> Self {
        Self::Fit(Box::new(error))
    }
}

impl FromStr for DriverSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "never" => Ok(Self::Never),
            "fit" => Ok(Self::Fit),
            "" => Err("give fit, auto, never or the path of linpmem.ko".to_owned()),
            path => Ok(Self::File(PathBuf::from(path))),
        }
    }
}

/// The module, if this run loaded it: unloaded by [`unload`](Self::unload), or when this
/// is dropped.
#[derive(Debug)]
pub struct LoadedDriver {
    was_loaded_here: bool,
}

impl LoadedDriver {
    /// Loads the module as `spec` says, unless one is loaded already. If `auto` fails to
    /// load it, `warn` gets the reason.
    ///
    /// # Errors
    /// If the file that the user named cannot be loaded.
    pub fn load(spec: &DriverSpec, mut warn: impl FnMut(&str)) -> Result<Self, DriverError> {
        let none = Self {
            was_loaded_here: false,
        };
        let path = match spec {
            DriverSpec::Never => return Ok(none),
            DriverSpec::Fit => None,
            DriverSpec::File(path) => Some(path.clone()),
            DriverSpec::Auto => match in_program_folder() {
                Ok(Some(path)) => Some(path),
                Ok(None) => return Ok(none),
                Err(exposed) => {
                    warn(&format!("continuing without the module: {exposed}"));
                    return Ok(none);
                }
            },
        };
        if linpmem::is_loaded() {
            warn("a linpmem module is already loaded: it will be used, and stay loaded afterwards");
            return Ok(none);
        }
        let loaded = match path {
            Some(path) => linpmem::load(&path, &LoadOptions::default()),
            None => {
                let module = fitted()?;
                linpmem::load_image(
                    module,
                    "the module inside this program",
                    &LoadOptions::default(),
                )
            }
        };
        match loaded {
            Ok(_) => Ok(Self {
                was_loaded_here: true,
            }),
            Err(error) => {
                // The module may be loaded, and only its device node be missing.
                let mut loaded = Self {
                    was_loaded_here: matches!(error, LoadError::NoNode { .. }),
                };
                // Why loading failed matters more than whether unloading does.
                let _ = loaded.unload_own();
                if *spec != DriverSpec::Auto {
                    return Err(error.into());
                }
                warn(&format!("continuing without the module: {error}"));
                Ok(loaded)
            }
        }
    }

    /// Unloads the module if this run loaded it. Its device must not be open.
    ///
    /// # Errors
    /// If it stays loaded.
    pub fn unload(mut self) -> Result<(), UnloadError> {
        self.unload_own()
    }

    fn unload_own(&mut self) -> Result<(), UnloadError> {
        if std::mem::take(&mut self.was_loaded_here) {
            linpmem::unload()
        } else {
            Ok(())
        }
    }
}

impl Drop for LoadedDriver {
    fn drop(&mut self) {
        // Dropped without `unload` only after a failure, which is reported.
        let _ = self.unload_own();
    }
}

/// The module inside this program, fitted to the running kernel.
pub(crate) fn fitted() -> Result<Vec<u8>, DriverError> {
    linpmem_fit::check_loadable().map_err(|refusal| DriverError::Refused(Box::new(refusal)))?;
    let object = linpmem_fit::need_object()?;
    Ok(linpmem_fit::fit(object, &Sources::live())?.module)
}

/// The module next to the program, or why it is not to be trusted.
fn in_program_folder() -> Result<Option<PathBuf>, String> {
    match std::env::current_exe() {
        Ok(program) => trusted(&program.with_file_name("linpmem.ko")),
        Err(_) => Ok(None),
    }
}

/// A module runs with all rights of the kernel, so nobody else may choose what it does.
fn trusted(path: &Path) -> Result<Option<PathBuf>, String> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(None);
    };
    let owner = metadata.uid();
    let is_ours = owner == 0 || owner == rustix::process::geteuid().as_raw();
    let reason = if !metadata.is_file() {
        Some("is not a regular file".to_owned())
    } else if !is_ours {
        Some(format!("belongs to the user {owner}"))
    } else if metadata.mode() & 0o022 != 0 {
        Some("can be written to by others".to_owned())
    } else {
        None
    };
    let reason = reason.map(|reason| format!("{} {reason}", path.display()));
    match reason.or_else(|| exposed_folder(folder_of(path))) {
        Some(reason) => Err(format!(
            "{reason}; name the file with --driver if you trust it"
        )),
        None => Ok(Some(path.to_path_buf())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn drivers_as_they_are_typed() {
        assert_eq!("auto".parse(), Ok(DriverSpec::Auto));
        assert_eq!("never".parse(), Ok(DriverSpec::Never));
        assert_eq!("a.ko".parse(), Ok(DriverSpec::File("a.ko".into())));
        assert!("".parse::<DriverSpec>().is_err());
    }

    #[test]
    fn a_missing_file_is_an_error_if_it_was_named_and_is_not_for_auto() {
        let missing = DriverSpec::File("/nonexistent/linpmem.ko".into());
        let error = LoadedDriver::load(&missing, |_| {}).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
        let none = LoadedDriver::load(&DriverSpec::Auto, |_| {}).unwrap();
        assert!(!none.was_loaded_here);
    }

    #[test]
    fn a_module_that_others_can_change_is_not_loaded_by_itself() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("linpmem.ko");
        assert_eq!(trusted(&path), Ok(None));
        fs::write(&path, b"").unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&path, 0o644);
        assert_eq!(trusted(&path), Ok(Some(path.clone())));
        mode(&path, 0o664);
        assert!(trusted(&path).unwrap_err().contains("written to by others"));
        mode(&path, 0o644);
        mode(top.path(), 0o777);
        assert!(trusted(&path).unwrap_err().contains("written to by others"));
        mode(top.path(), 0o700);
        let link = top.path().join("link.ko");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(trusted(&link).unwrap_err().contains("not a regular file"));
    }
}
