// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the registry and its readers ask of a package.

use super::published::{is_published, text, workspace};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Packages that nobody else has a use for: tests, tools, and the C library, whose users need it
/// built.
const PRIVATE: &[&str] = &[
    "linpmem-architecture",
    "linpmem-capi",
    "linpmem-guest",
    "linpmem-probe",
    "linpmem-testkit",
    "linpmem-tests",
    "xtask",
];

/// Categories of crates.io, of which the registry drops those that it does not know.
const CATEGORIES: &[&str] = &[
    "algorithms",
    "authentication",
    "command-line-interface",
    "command-line-utilities",
    "cryptography",
    "data-structures",
    "development-tools::debugging",
    "encoding",
    "filesystem",
    "hardware-support",
    "network-programming",
    "no-std",
    "os::linux-apis",
    "parser-implementations",
    "visualization",
];

#[test]
fn all_but_tests_and_tools_are_published() -> Result<()> {
    let packages = workspace()?;
    let private: BTreeSet<&str> = packages
        .iter()
        .filter(|package| !is_published(package))
        .map(|package| text(package, "name"))
        .collect::<Result<_>>()?;
    ensure!(private == PRIVATE.iter().copied().collect(), "{private:?}");
    Ok(())
}

#[test]
fn each_says_what_it_is() -> Result<()> {
    for package in workspace()?.iter().filter(|package| is_published(package)) {
        let name = text(package, "name")?;
        describes_itself(package).with_context(|| format!("the package {name}"))?;
    }
    Ok(())
}

fn describes_itself(package: &Value) -> Result<()> {
    for key in ["description", "license", "rust_version"] {
        ensure!(!text(package, key)?.is_empty(), "no {key}");
    }
    let list = |key: &str| -> Result<Vec<String>> {
        let list = package.get(key).context("no such list")?;
        Ok(serde_json::from_value(list.clone())?)
    };
    let keywords = list("keywords")?;
    ensure!((1..=5).contains(&keywords.len()), "{keywords:?}");
    let is_keyword = |word: &String| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte);
        word.len() <= 20
            && word.bytes().all(is_part)
            && word.starts_with(|first: char| first.is_ascii_alphanumeric())
    };
    ensure!(keywords.iter().all(is_keyword), "{keywords:?}");
    let categories = list("categories")?;
    ensure!((1..=5).contains(&categories.len()), "{categories:?}");
    let is_known = |slug: &String| CATEGORIES.contains(&slug.as_str());
    ensure!(categories.iter().all(is_known), "{categories:?}");

    let folder = Path::new(text(package, "manifest_path")?).parent();
    let readme = folder.context("no folder")?.join(text(package, "readme")?);
    let readme = fs::read_to_string(readme)?;
    // The registry shows it without the files around it.
    let relative: Vec<&str> = readme
        .split("](")
        .skip(1)
        .filter(|target| !target.starts_with("https://") && !target.starts_with('#'))
        .map(|target| target.split(')').next().unwrap_or_default())
        .collect();
    ensure!(relative.is_empty(), "its README links to {relative:?}");
    ensure!(readme.contains("Apache-2.0"), "its README names no licence");
    ensure!(
        readme.matches("\n```").count() >= 2 || readme.contains("\n\n    "),
        "its README has no example"
    );
    Ok(())
}
