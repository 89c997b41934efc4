// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a finished part of the cache consists of, written last.
//!
//! A part without its stamp is unfinished. A part that differs from its stamp
//! is broken. Both are made anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The content of a stamp file.
#[derive(Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Stamp {
    /// What was asked for; a changed recipe makes the part anew.
    pub recipe: String,
    /// Files that must be there, with their lengths in bytes.
    files: BTreeMap<String, u64>,
    /// Folders that must be there, with all that is in them.
    trees: BTreeMap<String, Tree>,
}

/// How much a folder holds.
#[derive(Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
struct Tree {
    files: u64,
    len_bytes: u64,
}

impl Stamp {
    /// Takes stock of `files` and `trees`, given relative to `dir`.
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn take(dir: &Path, recipe: &str, files: &[&str], trees: &[&str]) -> Result<Self> {
        let mut stamp = Self {
            recipe: recipe.to_owned(),
            files: BTreeMap::new(),
            trees: BTreeMap::new(),
        };
        for file in files {
            let path = dir.join(file);
            let metadata = path
                .metadata()
                .with_context(|| format!("{} is missing", path.display()))?;
            stamp.files.insert((*file).to_owned(), metadata.len());
        }
        for tree in trees {
            stamp
                .trees
                .insert((*tree).to_owned(), Tree::measure(&dir.join(tree))?);
        }
        Ok(stamp)
    }

    /// Writes it to `path`, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let context = || format!("cannot write {}", path.display());
        fs::write(&partial, serde_json::to_vec_pretty(self)?).with_context(context)?;
        fs::rename(&partial, path).with_context(context)
    }

    /// The stamp at `path`, if there is a sound one.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Whether the part in `dir` was made by `recipe` and is still whole.
    ///
    /// # Errors
    /// What is the matter with it, in words for the user.
    pub fn check(&self, dir: &Path, recipe: &str) -> Result<(), String> {
        if self.recipe != recipe {
            return Err("made by an older recipe".to_owned());
        }
        for (file, len) in &self.files {
            match dir.join(file).metadata() {
                Ok(metadata) if metadata.len() == *len => {}
                Ok(_) => return Err(format!("{file} has another length")),
                Err(_) => return Err(format!("{file} is missing")),
            }
        }
        for (tree, expected) in &self.trees {
            if Tree::measure(&dir.join(tree)).ok().as_ref() != Some(expected) {
                return Err(format!("{tree}/ has changed"));
            }
        }
        Ok(())
    }
}

impl Tree {
    fn measure(dir: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.add(dir)?;
        Ok(tree)
    }

    fn add(&mut self, dir: &Path) -> Result<()> {
        for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                // Python writes these whenever it likes.
                if entry.file_name() != "__pycache__" {
                    self.add(&entry.path())?;
                }
            } else {
                self.files = self.files.saturating_add(1);
                if kind.is_file() {
                    self.len_bytes = self.len_bytes.saturating_add(entry.metadata()?.len());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_found_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        fs::create_dir_all(dir.join("t/u")).unwrap();
        fs::write(dir.join("a"), "abc").unwrap();
        fs::write(dir.join("t/u/b"), "b").unwrap();
        let path = dir.join("stamp.json");
        Stamp::take(dir, "r1", &["a"], &["t"])
            .unwrap()
            .write(&path)
            .unwrap();
        let stamp = Stamp::read(&path).unwrap();
        assert_eq!(stamp.check(dir, "r1"), Ok(()));
        assert_eq!(
            stamp.check(dir, "r2"),
            Err("made by an older recipe".to_owned())
        );
        fs::write(dir.join("t/u/c"), "").unwrap();
        assert_eq!(stamp.check(dir, "r1"), Err("t/ has changed".to_owned()));
        fs::remove_file(dir.join("t/u/c")).unwrap();
        fs::write(dir.join("a"), "ab").unwrap();
        assert_eq!(
            stamp.check(dir, "r1"),
            Err("a has another length".to_owned())
        );
        fs::remove_file(dir.join("a")).unwrap();
        assert_eq!(stamp.check(dir, "r1"), Err("a is missing".to_owned()));
        assert!(Stamp::take(dir, "r1", &["a"], &[]).is_err());
    }
}
