// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading the module for one run.

use linpmem::{LoadError, LoadOptions, UnloadError};
use std::path::PathBuf;
use std::str::FromStr;

/// Whether the module is loaded for this run, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DriverSpec {
    /// From `linpmem.ko` in the program's folder, if it exists and can be loaded.
    Auto,
    /// Never; a module that is already loaded is used.
    #[default]
    Never,
    /// From this file; if that fails, so does the run.
    File(PathBuf),
}

impl FromStr for DriverSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "never" => Ok(Self::Never),
            "" => Err("give auto, never or the path of linpmem.ko".to_owned()),
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
    pub fn load(spec: &DriverSpec, mut warn: impl FnMut(&str)) -> Result<Self, LoadError> {
        let path = match spec {
            DriverSpec::Never => {
                return Ok(Self {
                    was_loaded_here: false,
                });
            }
            DriverSpec::File(path) => path.clone(),
            DriverSpec::Auto => match in_program_folder() {
                Some(path) => path,
                None => {
                    return Ok(Self {
                        was_loaded_here: false,
                    });
                }
            },
        };
        if linpmem::is_loaded() {
            warn("a linpmem module is already loaded: it will be used, and stay loaded afterwards");
            return Ok(Self {
                was_loaded_here: false,
            });
        }
        match linpmem::load(&path, &LoadOptions::default()) {
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
                    return Err(error);
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

fn in_program_folder() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name("linpmem.ko");
    path.is_file().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
