// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crates that are linked into what is released.

use super::origin::output;
use anyhow::{Context, Result, bail};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::checkout;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A crate, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an SPDX expression.
    pub licence: String,
    /// Where its source is kept.
    pub repository: Option<String>,
    /// What it says it is.
    pub description: Option<String>,
    /// The SHA-256 of the file in the registry; those of this workspace have none.
    pub checksum: Option<String>,
    /// The folder with its source.
    pub folder: PathBuf,
    /// The crates that it uses, by position in the list.
    pub uses: Vec<usize>,
}

impl Crate {
    /// Whether it is of this workspace.
    pub fn is_own(&self) -> bool {
        self.checksum.is_none()
    }
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    description: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// The crates that are linked into `packages` of the workspace for `arch`, sorted.
pub fn linked(packages: &[&str], arch: Arch) -> Result<Vec<Crate>> {
    let mut tree = checkout::cargo();
    tree.args(["tree", "--locked", "--edges", "normal,no-proc-macro"])
        .args(["--target", arch.target(), "--prefix", "none"])
        .args(["--format", "{p}"])
        .args(packages.iter().flat_map(|name| ["--package", *name]));
    let names = names(&output(&mut tree)?)?;
    let mut metadata = checkout::cargo();
    metadata.args(["metadata", "--locked", "--format-version", "1"]);
    metadata.args(["--filter-platform", arch.target()]);
    let metadata: Metadata =
        serde_json::from_str(&output(&mut metadata)?).context("reading cargo's metadata")?;
    let lock = std::fs::read_to_string(checkout::dir().join("Cargo.lock"))?;
    list(&names, metadata, &checksums(&lock))
}

/// Names and versions in the output of `cargo tree`.
fn names(tree: &str) -> Result<BTreeSet<(String, String)>> {
    let mut names = BTreeSet::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let name = words.next();
        let version = words.next().and_then(|word| word.strip_prefix('v'));
        let (Some(name), Some(version)) = (name, version) else {
            bail!("cargo tree says `{line}`, which has no version");
        };
        names.insert((name.to_owned(), version.to_owned()));
    }
    Ok(names)
}

/// The checksums in a `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
    };
    let packages = lock.split("[[package]]").skip(1);
    let sums = packages.filter_map(|package| {
        let id = (value(package, "name")?, value(package, "version")?);
        Some((id, value(package, "checksum")?))
    });
    sums.collect()
}

fn list(
    names: &BTreeSet<(String, String)>,
    metadata: Metadata,
    checksums: &BTreeMap<(String, String), String>,
) -> Result<Vec<Crate>> {
    let mut packages = metadata.packages;
    packages.retain(|package| names.contains(&(package.name.clone(), package.version.clone())));
    packages.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    if packages.len() != names.len() {
        bail!(
            "cargo tree has {} crates, and cargo metadata {} of them",
            names.len(),
            packages.len()
        );
    }
    let places: BTreeMap<String, usize> = packages
        .iter()
        .enumerate()
        .map(|(place, package)| (package.id.clone(), place))
        .collect();
    let nodes: BTreeMap<&str, &Node> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node))
        .collect();
    let mut crates = Vec::new();
    for package in packages {
        let id = (package.name.clone(), package.version.clone());
        let checksum = checksums.get(&id).cloned();
        if package.source.is_some() && checksum.is_none() {
            bail!("Cargo.lock has no checksum of {} {}", id.0, id.1);
        }
        let licence = package.license.with_context(|| {
            format!("{} {} states no licence as an SPDX expression", id.0, id.1)
        })?;
        let node = nodes.get(package.id.as_str());
        let used = node.iter().flat_map(|node| &node.deps);
        let used = used.filter(|used| used.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        let uses: BTreeSet<usize> = used
            .filter_map(|used| places.get(&used.pkg).copied())
            .collect();
        crates.push(Crate {
            // An old way to write it.
            licence: licence.replace('/', " OR "),
            repository: package.repository,
            description: package.description,
            checksum,
            folder: package
                .manifest_path
                .parent()
                .map(PathBuf::from)
                .unwrap_or_default(),
            uses: uses.into_iter().collect(),
            name: package.name,
            version: package.version,
        });
    }
    Ok(crates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_of_the_library_for_c_is_listed_and_no_tool_of_its_build() {
        let crates = linked(&["linpmem-capi"], Arch::HOST).unwrap();
        let find = |name: &str| crates.iter().find(|one| one.name == name);
        assert!(find("linpmem-capi").unwrap().is_own());
        let rustix = find("rustix").unwrap();
        assert_eq!(rustix.checksum.as_ref().unwrap().len(), 64);
        assert!(!rustix.licence.contains('/'), "{}", rustix.licence);
        let used: Vec<&str> = rustix
            .uses
            .iter()
            .map(|place| crates[*place].name.as_str())
            .collect();
        assert!(used.contains(&"bitflags"), "{used:?}");
        // A macro, a test's, and the dumper's.
        for absent in ["thiserror-impl", "cbindgen", "clap"] {
            assert!(find(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn a_line_without_a_version_is_refused() {
        let tree = "linpmem v0.1.0 (/somewhere)\nbitflags v2.13.2\n\nbitflags v2.13.2 (*)\n";
        assert_eq!(names(tree).unwrap().len(), 2);
        assert!(names("linpmem\n").is_err());
    }
}
