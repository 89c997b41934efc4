// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cargo made of the crates of others, kept in the cache for a fresh clone.
//!
//! `.ci/run` copies it into a target folder that is not there yet. Cargo finds it by
//! its own fingerprints (compiler, flags, features, version), as in any target folder
//! that was moved, and compiles what does not fit. Of this workspace's own crates
//! nothing is kept: cargo takes those for fresh by the times of their sources, which
//! say nothing in another clone.
//!
//! One set is kept, the last one. Its stamp holds all that it depends on, and is left
//! in the target folder by `.ci/run`, which alone knows that nothing older is in there.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::checkout;

/// In the target folder, and in the cache.
const STAMP: &str = "dependencies.stamp";

/// How deep below the target folder cargo's own folders begin, as in
/// `fuzz/x86_64-unknown-linux-gnu/release`.
const DEPTH: u32 = 3;

/// Keeps what this target folder has, if it was filled from nothing and the cache has
/// another set or none. Says how much.
///
/// # Errors
/// When it cannot be read or written; the set that was there stays.
pub fn keep(cache: &Cache) -> Result<Option<u64>> {
    let target = checkout::target_dir();
    let kept = cache.dependencies();
    let Ok(stamp) = fs::read(target.join(STAMP)) else {
        return Ok(None);
    };
    if fs::read(kept.join(STAMP)).is_ok_and(|known| known == stamp) {
        return Ok(None);
    }
    let foreign = foreign(&checkout::dir())?;
    let partial = kept.with_extension("partial");
    remove(&partial)?;
    let mut bytes = 0;
    for profile in profiles(&target, DEPTH)? {
        let place = partial.join(profile.strip_prefix(&target)?);
        bytes += keep_profile(&profile, &place, &foreign)?;
    }
    fs::create_dir_all(&partial)?;
    fs::write(partial.join(STAMP), stamp)?;
    let old = kept.with_extension("old");
    remove(&old)?;
    if kept.exists() {
        fs::rename(&kept, &old)?;
    }
    fs::rename(&partial, &kept).with_context(|| format!("cannot write {}", kept.display()))?;
    remove(&old)?;
    Ok(Some(bytes))
}

/// The names of all packages that come from elsewhere.
fn foreign(checkout: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let locks = ["Cargo.lock", "formats/fuzz/Cargo.lock", "manifest/fuzz/Cargo.lock"];
    for lock in locks {
        let path = checkout.join(lock);
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        names.extend(packages_with_a_source(&text).map(str::to_owned));
    }
    Ok(names)
}

/// Of a `Cargo.lock`; packages of the checkout itself have no `source`.
fn packages_with_a_source(lock: &str) -> impl Iterator<Item = &str> {
    lock.split("[[package]]").filter_map(|package| {
        let value = |key: &str| {
            let mut lines = package.lines();
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
        };
        value("source")?;
        Some(value("name")?.trim_matches('"'))
    })
}

/// The folders below `target` that cargo builds in.
fn profiles(target: &Path, depth: u32) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in folders(target)? {
        if entry.join(".fingerprint").is_dir() {
            found.push(entry);
        } else if depth > 1 {
            found.extend(profiles(&entry, depth - 1)?);
        }
    }
    Ok(found)
}

fn folders(of: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(of).with_context(|| format!("listing {}", of.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Copies the units of `foreign` packages from one of cargo's folders to `place`.
fn keep_profile(profile: &Path, place: &Path, foreign: &BTreeSet<String>) -> Result<u64> {
    let (mut bytes, mut hashes) = (0, BTreeSet::new());
    for part in [".fingerprint", "build"] {
        let Ok(units) = folders(&profile.join(part)) else {
            continue;
        };
        for unit in units {
            let name = unit.file_name().unwrap_or_default().to_string_lossy();
            // NAME-HASH.
            let Some((package, hash)) = name.rsplit_once('-') else {
                continue;
            };
            if foreign.contains(package) {
                hashes.insert(hash.to_owned());
                bytes += copy_all(&unit, &place.join(part).join(&*name))?;
            }
        }
    }
    let deps = profile.join("deps");
    fs::create_dir_all(place.join("deps"))?;
    for entry in fs::read_dir(&deps).with_context(|| format!("listing {}", deps.display()))? {
        let entry = entry?;
        let file_name = entry.file_name();
        let name = file_name.to_string_lossy();
        let stem = name.split_once('.').map_or(&*name, |(stem, _)| stem);
        // libNAME-HASH.rlib, NAME-HASH.d.
        let hash = stem.rsplit_once('-').map(|(_, hash)| hash);
        if hash.is_some_and(|hash| hashes.contains(hash)) && entry.file_type()?.is_file() {
            bytes += copy(&entry.path(), &place.join("deps").join(&file_name))?;
        }
    }
    Ok(bytes)
}

/// Copies a folder.
fn copy_all(from: &Path, to: &Path) -> Result<u64> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut bytes = 0;
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            bytes += copy_all(&entry.path(), &to)?;
        } else if kind.is_file() {
            bytes += copy(&entry.path(), &to)?;
        }
    }
    Ok(bytes)
}

/// Copies a file with its time, which cargo compares with those of other units.
fn copy(from: &Path, to: &Path) -> Result<u64> {
    let copied = || -> std::io::Result<u64> {
        let modified = fs::metadata(from)?.modified()?;
        let bytes = fs::copy(from, to)?;
        let times = FileTimes::new().set_modified(modified);
        File::open(to)?.set_times(times)?;
        Ok(bytes)
    };
    copied().with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_the_checkout_are_not_foreign() {
        let lock = "version = 4\n\n[[package]]\nname = \"anyhow\"\nversion = \"1.0.0\"\n\
                    source = \"registry+here\"\n\n[[package]]\nname = \"xtask\"\n\
                    version = \"0.1.0\"\ndependencies = [\n \"anyhow\",\n]\n";
        assert_eq!(packages_with_a_source(lock).collect::<Vec<_>>(), ["anyhow"]);
        let own = foreign(&checkout::dir()).unwrap();
        assert!(own.contains("libfuzzer-sys") && own.contains("clap"));
        assert!(!own.iter().any(|name| name.starts_with("linpmem")));
    }

    #[test]
    fn units_of_others_are_kept_with_their_times_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let profile = target.join("fuzz/triple/release");
        for (path, content) in [
            (".fingerprint/serde-core-0011/lib", "1"),
            (".fingerprint/own-0022/lib", "2"),
            ("build/serde-core-0011/out/made.rs", "3"),
            ("deps/libserde_core-0011.rlib", "4"),
            ("deps/serde_core-0011.d", "5"),
            ("deps/libown-0022.rlib", "6"),
            ("own", "7"),
        ] {
            let path = profile.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let made = File::options()
            .append(true)
            .open(profile.join("deps/serde_core-0011.d"))
            .unwrap();
        made.set_times(FileTimes::new().set_modified(old)).unwrap();

        let found = profiles(&target, DEPTH).unwrap();
        assert_eq!(found.as_slice(), std::slice::from_ref(&profile));
        let place = folder.path().join("kept");
        let foreign = BTreeSet::from(["serde-core".to_owned()]);
        assert_eq!(keep_profile(&profile, &place, &foreign).unwrap(), 4);
        let kept = fs::metadata(place.join("deps/serde_core-0011.d")).unwrap();
        assert_eq!(kept.modified().unwrap(), old);
        assert!(place.join("build/serde-core-0011/out/made.rs").exists());
        assert!(!place.join("deps/libown-0022.rlib").exists());
        assert!(!place.join(".fingerprint/own-0022").exists());
    }
}
