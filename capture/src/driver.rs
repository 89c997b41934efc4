// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module, loaded for one run.

use linpmem::{LoadError, LoadOptions, UnloadError};
use std::path::PathBuf;
use std::str::FromStr;

/// Whether the module is loaded for this run, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DriverSpec {
    /// From `linpmem.ko` beside the program, if it is there and can be loaded.
    Auto,
    /// Not at all; one that is loaded is used.
    #[default]
    Never,
    /// From this file, or the run fails.
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

/// A module that this run has loaded. It is unloaded by
/// [`unload`](Self::unload), or when this is dropped.
#[derive(Debug)]
pub struct LoadedDriver {
    is_ours: bool,
}

impl LoadedDriver {
    /// Loads what `spec` says, unless a module is loaded already. `warn` is told
    /// why `auto` loads none.
    ///
    /// # Errors
    /// If the file that was named cannot be loaded.
    pub fn load(spec: &DriverSpec, mut warn: impl FnMut(&str)) -> Result<Self, LoadError> {
        let path = match spec {
            DriverSpec::Never => return Ok(Self { is_ours: false }),
            DriverSpec::File(path) => path.clone(),
            DriverSpec::Auto => match beside_the_program() {
                Some(path) => path,
                None => return Ok(Self { is_ours: false }),
            },
        };
        if linpmem::is_loaded() {
            warn("a linpmem module is loaded already: it is used, and stays loaded");
            return Ok(Self { is_ours: false });
        }
        match linpmem::load(&path, &LoadOptions::default()) {
            Ok(_) => Ok(Self { is_ours: true }),
            Err(error) => {
                // It may be loaded, and only its node be missing.
                let mut loaded = Self {
                    is_ours: matches!(error, LoadError::NoNode { .. }),
                };
                let _ = loaded.take_away();
                if *spec != DriverSpec::Auto {
                    return Err(error);
                }
                warn(&format!("going on without the module: {error}"));
                Ok(loaded)
            }
        }
    }

    /// Unloads it, if this run loaded it. Nobody may have its device open.
    ///
    /// # Errors
    /// If it stays loaded.
    pub fn unload(mut self) -> Result<(), UnloadError> {
        self.take_away()
    }

    fn take_away(&mut self) -> Result<(), UnloadError> {
        if std::mem::take(&mut self.is_ours) {
            linpmem::unload()
        } else {
            Ok(())
        }
    }
}

impl Drop for LoadedDriver {
    fn drop(&mut self) {
        // On the way out of a failure that is told already.
        let _ = self.take_away();
    }
}

fn beside_the_program() -> Option<PathBuf> {
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
    fn a_file_that_is_no_module_is_an_error_and_none_beside_the_program_is_not() {
        let missing = DriverSpec::File("/nonexistent/linpmem.ko".into());
        let error = LoadedDriver::load(&missing, |_| {}).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
        let none = LoadedDriver::load(&DriverSpec::Auto, |_| {}).unwrap();
        assert!(!none.is_ours);
    }
}
