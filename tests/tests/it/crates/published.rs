// SPDX-License-Identifier: MIT OR Apache-2.0
//! The packages, made as for the registry.

use anyhow::{Context, Result, ensure};
use linpmem_testkit::checkout;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// A package as the registry gets it.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    /// The compressed archive.
    pub archive: PathBuf,
}

/// All packages of the workspace, as cargo describes them.
pub fn workspace() -> Result<Vec<Value>> {
    let output = checkout::cargo()
        .args(["metadata", "--locked", "--no-deps", "--format-version", "1"])
        .output()?;
    ensure!(output.status.success(), "cargo metadata: {output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata.get("packages").and_then(Value::as_array);
    Ok(packages.context("no packages")?.clone())
}

/// The text `key` of a package.
pub fn text<'p>(package: &'p Value, key: &str) -> Result<&'p str> {
    let text = package.get(key).and_then(Value::as_str);
    text.with_context(|| format!("no {key} in {package}"))
}

/// Whether a package is published.
pub fn is_published(package: &Value) -> bool {
    // Null is every registry; an empty list is none.
    package.get("publish").is_some_and(Value::is_null)
}

/// Publishes them all, but for the last step: cargo packs each, and builds what it has packed.
/// Once for all tests.
pub fn packages() -> Result<Vec<Package>> {
    static MADE: Mutex<Option<Vec<Package>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(packages) = made.as_ref() {
        return Ok(packages.clone());
    }
    // Other tests build meanwhile, and profiles of the workspace are not the packages'.
    let target = checkout::target_dir().join("published");
    let output = checkout::cargo()
        // Who works on a crate has not committed it yet.
        .args([
            "publish",
            "--dry-run",
            "--workspace",
            "--locked",
            "--allow-dirty",
        ])
        .arg("--target-dir")
        .arg(&target)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo publish failed:\n{said}");
    let folder = target.join("package/tmp-registry");
    let mut packages = Vec::new();
    for package in workspace()?.iter().filter(|package| is_published(package)) {
        let (name, version) = (text(package, "name")?, text(package, "version")?);
        let line = format!("Uploading {name} v{version}");
        ensure!(
            said.contains(&line),
            "{name} would not be uploaded:\n{said}"
        );
        let line = format!("Verifying {name} v{version}");
        ensure!(said.contains(&line), "{name} was not built:\n{said}");
        let archive = folder.join(format!("{name}-{version}.crate"));
        ensure!(fs::exists(&archive)?, "no {}", archive.display());
        packages.push(Package {
            name: name.to_owned(),
            archive,
        });
    }
    ensure!(!packages.is_empty(), "nothing is published");
    *made = Some(packages.clone());
    Ok(packages)
}

#[test]
fn the_registry_would_take_every_crate_and_each_builds_from_its_package() -> Result<()> {
    let names: Vec<String> = packages()?
        .into_iter()
        .map(|package| package.name)
        .collect();
    println!("{} packages: {}", names.len(), names.join(", "));
    for program in ["linpmem-dump", "linpmem-pmem", "linpmem-fit-cli"] {
        ensure!(names.iter().any(|name| name == program), "no {program}");
    }
    Ok(())
}
