// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that match a pattern, as shells match. Their names need not be UTF-8, which the search
//! of the crate `glob` passes over, or does not survive: only its comparison of names is used.

use glob::{MatchOptions, Pattern, PatternError};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Matches as shells do.
const LIKE_A_SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// What a pattern matches.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// Files, folders and everything else, by path.
    pub(super) found: Vec<PathBuf>,
    /// Folders that could not be searched.
    pub(super) failed: Vec<(PathBuf, io::Error)>,
}

/// A part of a path.
enum Part<'a> {
    /// This name.
    Name(Component<'a>),
    /// Any name like this one.
    Like(Pattern),
    /// Any number of folders.
    Folders,
}

/// Finds what `pattern` matches.
///
/// # Errors
/// If it is malformed.
pub(super) fn matches(pattern: &str) -> Result<Matches, PatternError> {
    let parts: Vec<Part<'_>> = Path::new(pattern)
        .components()
        .map(|component| match component.as_os_str().to_str() {
            Some("**") => Ok(Part::Folders),
            Some(text) if text.contains(['*', '?', '[']) => Pattern::new(text).map(Part::Like),
            _ => Ok(Part::Name(component)),
        })
        .collect::<Result<_, PatternError>>()?;
    let mut matches = Matches::default();
    matches.walk(PathBuf::new(), &parts);
    matches.found.sort_unstable();
    // Two ways through folders may lead to the same.
    matches.found.dedup();
    Ok(matches)
}

impl Matches {
    fn walk(&mut self, at: PathBuf, parts: &[Part<'_>]) {
        match parts.split_first() {
            None => {
                if at.symlink_metadata().is_ok() {
                    self.found.push(at);
                }
            }
            Some((Part::Name(name), rest)) => self.walk(at.join(name), rest),
            Some((Part::Like(pattern), rest)) => {
                for name in self.names(&at) {
                    if pattern.matches_with(&name.to_string_lossy(), LIKE_A_SHELL) {
                        self.walk(at.join(name), rest);
                    }
                }
            }
            Some((Part::Folders, rest)) => {
                for name in self.names(&at) {
                    let path = at.join(&name);
                    // A link may lead back.
                    let is_folder = path.symlink_metadata().is_ok_and(|it| it.is_dir());
                    if is_folder && !name.to_string_lossy().starts_with('.') {
                        self.walk(path, parts);
                    }
                }
                self.walk(at, rest);
            }
        }
    }

    /// The names in a folder.
    fn names(&mut self, folder: &Path) -> Vec<OsString> {
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        if !folder.is_dir() {
            return Vec::new();
        }
        let names = fs::read_dir(folder).and_then(|entries| {
            let names = entries.map(|entry| Ok(entry?.file_name()));
            names.collect::<io::Result<Vec<OsString>>>()
        });
        names.unwrap_or_else(|error| {
            self.failed.push((folder.to_path_buf(), error));
            Vec::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn every_name_can_match() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let put = |name: &[u8]| {
            let path = root.join(OsStr::from_bytes(name));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"x").unwrap();
            path
        };
        let plain = put(b"plain.log");
        let odd = put(b"\xfe.log");
        let within = put(b"o\xffd/plain.log");
        let deep = put(b"sub/o\xffd/\xfe.log");
        put(b".\xfe.log");
        put(b".hidden/plain.log");
        std::os::unix::fs::symlink(root, root.join("loop")).unwrap();
        let found = |pattern: &str| {
            let matches = matches(&format!("{}/{pattern}", root.display())).unwrap();
            assert!(matches.failed.is_empty());
            matches.found
        };
        assert_eq!(found("*.log"), [plain.clone(), odd.clone()]);
        assert_eq!(found("?.log"), std::slice::from_ref(&odd));
        assert_eq!(found("[a-p]lain.log"), std::slice::from_ref(&plain));
        assert_eq!(found("o*/*.log"), std::slice::from_ref(&within));
        assert_eq!(found("sub/*/*"), std::slice::from_ref(&deep));
        assert_eq!(found("*/plain.log").len(), 2, "a link to a folder is one");
        assert_eq!(found("**/*.log"), [within, plain, deep, odd]);
        assert!(found("none*").is_empty());
        assert!(matches("a[").is_err());
    }
}
