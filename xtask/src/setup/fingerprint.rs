// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file in each finished part of the cache that says what the part was made from.
//!
//! It is written last, so a part without it is unfinished. Such a part, and one that was
//! made from something else, is made again.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[derive(Debug, Deserialize, Serialize)]
struct Fingerprint {
    /// What was asked for.
    recipe: String,
    /// Files without which the part is of no use, with their lengths in bytes.
    files: BTreeMap<String, u64>,
}

/// Writes the fingerprint `path` for `recipe`, with the lengths of `files` in the same
/// folder.
pub fn write(path: &Path, recipe: &str, files: &[&str]) -> Result<()> {
    let mut lengths = BTreeMap::new();
    for file in files {
        let file_path = path.with_file_name(file);
        let metadata = file_path.metadata();
        let metadata = metadata.with_context(|| format!("{} is missing", file_path.display()))?;
        lengths.insert((*file).to_owned(), metadata.len());
    }
    let fingerprint = Fingerprint {
        recipe: recipe.to_owned(),
        files: lengths,
    };
    let partial = path.with_extension("partial");
    fs::write(&partial, serde_json::to_vec_pretty(&fingerprint)?)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Checks that the part with the fingerprint `path` is complete and has everything that
/// `recipe` names: it may have more. The error says what is wrong.
pub fn check(path: &Path, recipe: &str) -> Result<(), String> {
    let text = fs::read(path).map_err(|_| "missing or unfinished")?;
    let fingerprint: Fingerprint =
        serde_json::from_slice(&text).map_err(|_| "its fingerprint is damaged")?;
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let made_from = words(&fingerprint.recipe);
    let mut lacking = words(recipe);
    lacking.retain(|word| !made_from.contains(word));
    if !lacking.is_empty() {
        return Err(format!("it lacks {}", lacking.join(", ")));
    }
    for (file, len) in &fingerprint.files {
        match path.with_file_name(file).metadata() {
            Ok(metadata) if metadata.len() == *len => {}
            Ok(_) => return Err(format!("{file} has changed in length")),
            Err(_) => return Err(format!("{file} is missing")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_changed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".stamp.json");
        let file = dir.path().join("a");
        fs::write(&file, "abc").unwrap();
        assert_eq!(check(&path, "x"), Err("missing or unfinished".to_owned()));
        write(&path, "sid: x y", &["a"]).unwrap();
        assert_eq!(check(&path, "sid: y"), Ok(()));
        let lacking = check(&path, "trixie: x z");
        assert_eq!(lacking, Err("it lacks trixie:, z".to_owned()));
        fs::write(&file, "ab").unwrap();
        assert_eq!(check(&path, "x"), Err("a has changed in length".to_owned()));
        fs::remove_file(&file).unwrap();
        assert_eq!(check(&path, "x"), Err("a is missing".to_owned()));
        assert!(write(&path, "x", &["a"]).is_err());
    }
}
