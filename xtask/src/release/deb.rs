// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian packages, written by dpkg-deb of the Debian tree.

use super::item::{Content, Item};
use super::origin::output;
use super::package::{Package, debian_version};
use anyhow::{Context, Result};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::debian_tree::DebianTree;
use md5::{Digest as _, Md5};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// The package's file name and bytes.
pub fn pack(package: &Package, epoch: u64) -> Result<(String, Vec<u8>)> {
    let name = format!(
        "{}_{}_{}.deb",
        package.name,
        debian_version(),
        package.architecture
    );
    let work = tempfile::tempdir()?;
    let (root, file) = (work.path().join("root"), work.path().join(&name));
    let mut sums = String::new();
    let mut items: Vec<&Item> = package.items.iter().collect();
    items.sort_by(|one, other| one.path.cmp(&other.path));
    for item in &items {
        write(&root, "", item)?;
        if let Content::File { bytes, .. } = &item.content {
            for byte in Md5::digest(bytes) {
                write!(sums, "{byte:02x}")?;
            }
            writeln!(sums, "  {}", item.path)?;
        }
    }
    for item in &package.control {
        write(&root, "DEBIAN/", item)?;
    }
    write(&root, "DEBIAN/", &Item::file("md5sums", sums))?;
    write(&root, "DEBIAN/", &Item::file("control", control(package)?))?;

    let tree = DebianTree::open(&Cache::open()?)?;
    let mut pack = tree.command("dpkg-deb", &[work.path()]);
    // Several threads would write other bytes.
    pack.args(["--root-owner-group", "-Zxz", "--threads-max=1", "--build"])
        .arg(&root)
        .arg(&file)
        .env("SOURCE_DATE_EPOCH", epoch.to_string());
    output(&mut pack).with_context(|| format!("cannot pack {name}"))?;
    let bytes = super::item::read(&file)?;
    Ok((name, bytes))
}

/// Writes an item below `folder` of `root`, with modes that do not depend on the user.
fn write(root: &Path, folder: &str, item: &Item) -> Result<()> {
    let relative = format!("{folder}{}", item.path);
    let path = root.join(&relative);
    let failed = || format!("cannot write {}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(failed)?;
        for above in parent
            .ancestors()
            .take_while(|above| above.starts_with(root))
        {
            fs::set_permissions(above, Permissions::from_mode(0o755)).with_context(failed)?;
        }
    }
    match &item.content {
        Content::File { bytes, mode } => {
            fs::write(&path, bytes).with_context(failed)?;
            fs::set_permissions(&path, Permissions::from_mode(*mode)).with_context(failed)
        }
        Content::Link(to) => symlink(to, &path).with_context(failed),
    }
}

/// The file `control`.
fn control(package: &Package) -> Result<String> {
    let mut text = format!(
        "Package: {}\nSource: linpmem\nVersion: {}\nArchitecture: {}\nMaintainer: {}\n\
         Installed-Size: {}\n",
        package.name,
        debian_version(),
        package.architecture,
        package.maintainer,
        installed_kib(package)?,
    );
    if !package.depends.is_empty() {
        writeln!(text, "Depends: {}", package.depends.join(", "))?;
    }
    if package.is_for_several_architectures_at_once {
        text.push_str("Multi-Arch: same\n");
    }
    write!(
        text,
        "Section: {}\nPriority: optional\nDescription: {}\n",
        package.section, package.summary
    )?;
    for line in package.description {
        writeln!(text, " {line}")?;
    }
    Ok(text)
}

/// As dpkg-gencontrol counts: a KiB for every folder and link, files rounded up.
fn installed_kib(package: &Package) -> Result<u64> {
    let mut folders = BTreeSet::new();
    let mut kib = 0;
    for item in &package.items {
        folders.extend(
            item.path
                .match_indices('/')
                .map(|(end, _)| item.path.split_at(end).0),
        );
        kib += match &item.content {
            Content::File { bytes, .. } => u64::try_from(bytes.len())?.div_ceil(1024),
            Content::Link(_) => 1,
        };
    }
    Ok(kib + u64::try_from(folders.len())?)
}
