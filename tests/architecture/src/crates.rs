// SPDX-License-Identifier: MIT OR Apache-2.0
//! The workspace's crates, and which of them use which.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace.
#[derive(Debug)]
pub struct Workspace {
    /// The folder of its `Cargo.toml`.
    pub root: PathBuf,
    /// Its crates, by name.
    pub crates: Vec<Crate>,
}

/// A package of the workspace.
#[derive(Debug)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its folder, relative to the workspace's.
    pub folder: String,
    /// The crates of the workspace that it is built with.
    pub uses: BTreeSet<String>,
    /// The crates of the workspace that only its tests, examples and benches use.
    pub uses_in_tests: BTreeSet<String>,
    /// The root files of its library and its programs, with a name for each.
    pub roots: Vec<(String, PathBuf)>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

impl Workspace {
    /// The workspace around the folder `dir`, as cargo sees it.
    ///
    /// # Errors
    /// When cargo fails.
    pub fn read(dir: &Path) -> Result<Self> {
        let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "metadata",
                "--offline",
                "--no-deps",
                "--format-version",
                "1",
            ])
            .current_dir(dir)
            .output()
            .context("cannot start cargo metadata")?;
        ensure!(
            output.status.success(),
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).context("reading cargo's metadata")?;
        let root = metadata.workspace_root;
        let packages = metadata.packages.into_iter();
        let crates: Result<Vec<Crate>> =
            packages.map(|package| package.into_crate(&root)).collect();
        let mut crates = crates?;
        crates.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { root, crates })
    }
}

impl Package {
    fn into_crate(self, root: &Path) -> Result<Crate> {
        let folder = self
            .manifest_path
            .parent()
            .context("a crate without a folder")?;
        let folder = folder
            .strip_prefix(root)
            .context("a crate outside the workspace")?;
        let mut uses = BTreeSet::new();
        let mut uses_in_tests = BTreeSet::new();
        for dependency in self.dependencies {
            if dependency.path.is_none() {
                continue;
            }
            match dependency.kind.as_deref() {
                Some("dev") => uses_in_tests.insert(dependency.name),
                _ => uses.insert(dependency.name),
            };
        }
        let is_library = |kind: &String| ["lib", "rlib", "cdylib", "staticlib"].contains(&&**kind);
        let mut roots = Vec::new();
        for target in self.targets {
            if target.kind.iter().any(is_library) {
                roots.push((self.name.clone(), target.src_path));
            } else if target.kind.iter().any(|kind| kind == "bin") {
                roots.push((format!("{} (program)", target.name), target.src_path));
            }
        }
        Ok(Crate {
            name: self.name,
            folder: folder.to_string_lossy().into_owned(),
            uses,
            uses_in_tests,
            roots,
        })
    }
}
