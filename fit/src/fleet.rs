// SPDX-License-Identifier: MIT OR Apache-2.0
//! A folder with the files of many kernels.

use crate::error::FitError;
use crate::sources::Sources;
use std::fs;
use std::path::{Path, PathBuf};

/// A kernel of a fleet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Member {
    /// The kernel's release where the folder tells it, else the folder's name.
    pub name: String,
    /// The kernel's folder.
    pub folder: PathBuf,
    /// Its files.
    pub sources: Sources,
}

/// The kernels whose files are in the folders below `folder`, sorted by their folders.
///
/// A folder is one of:
///
/// - a system's root or an unpacked package, with /boot or /lib/modules, and one or more
///   kernels;
/// - files of one kernel side by side: `vmlinuz*` or `vmlinux*`, the folder `modules`,
///   `Module.symvers`, `config*`, and `btf`.
///
/// # Errors
/// If a folder cannot be read. One without any of this is no member.
pub fn fleet(folder: &Path) -> Result<Vec<Member>, FitError> {
    let mut members = Vec::new();
    let mut seen = Vec::new();
    for path in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        // A link to another of these folders is no second kernel.
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        let releases = releases(&path)?;
        members.extend(releases.iter().map(|release| Member {
            name: release.clone(),
            folder: path.clone(),
            sources: Sources::installed(&path, release),
        }));
        if releases.is_empty() {
            members.extend(side_by_side(&path)?);
        }
    }
    Ok(members)
}

/// The releases of the kernels that are installed below `root`.
fn releases(root: &Path) -> Result<Vec<String>, FitError> {
    let mut releases = Vec::new();
    for folder in ["lib/modules", "usr/lib/modules"].map(|path| root.join(path)) {
        if folder.is_dir() {
            let found = entries(&folder)?.into_iter();
            releases.extend(found.filter(|path| path.is_dir()).map(|path| name(&path)));
        }
    }
    let boot = root.join("boot");
    if boot.is_dir() {
        let names = entries(&boot)?.into_iter().map(|path| name(&path));
        releases.extend(names.filter_map(|name| Some(name.strip_prefix("vmlinuz-")?.to_owned())));
    }
    releases.sort();
    releases.dedup();
    Ok(releases)
}

/// The files of one kernel.
fn side_by_side(folder: &Path) -> Result<Option<Member>, FitError> {
    type Add = fn(Sources, &Path) -> Sources;
    let kinds: [(&[&str], Add); 5] = [
        (&["vmlinuz", "vmlinux"], Sources::kernel),
        (&["modules"], Sources::modules),
        (&["Module.symvers"], Sources::symvers),
        (&["config"], Sources::config),
        (&["btf"], Sources::btf),
    ];
    let files = entries(folder)?;
    let mut sources = Sources::of_files();
    let mut is_kernel = false;
    for (prefixes, add) in kinds {
        let mut found = prefixes.iter().filter_map(|prefix| {
            let mut files = files.iter();
            files.find(|path| name(path).starts_with(prefix))
        });
        if let Some(path) = found.next() {
            sources = add(sources, path);
            is_kernel = true;
        }
    }
    Ok(is_kernel.then(|| Member {
        name: name(folder),
        folder: folder.to_path_buf(),
        sources,
    }))
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The entries of a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, FitError> {
    let unreadable = |source| FitError::File {
        path: folder.to_path_buf(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        found.push(entry.map_err(unreadable)?.path());
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_loose_files_are_found_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "a/boot/vmlinuz-6.1.0",
            "a/lib/modules/6.1.0/kernel/x.ko",
            "a/lib/modules/5.10.0/kernel/x.ko",
            "b/usr/lib/modules/7.3.4/vmlinuz",
            "c/vmlinuz-6.12.9",
            "c/modules/kernel/x.ko",
            "d/notes.txt",
            "e.txt",
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("c", root.path().join("default")).unwrap();
        let found = fleet(root.path()).unwrap();
        let names: Vec<_> = found.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["5.10.0", "6.1.0", "7.3.4", "c"]);
        assert!(fleet(&root.path().join("none")).is_err());
    }
}
