// SPDX-License-Identifier: MIT OR Apache-2.0
//! Consumers of images that are Python packages: drgn.

use anyhow::Result;

use super::folder;
use super::stamp::Stamp;
use super::step::step;
use crate::cache::Cache;
use crate::root::Root;

const PACKAGES: &[&str] = &["drgn"];
const STAMP: &str = ".stamp.json";

/// Whether the packages are there.
///
/// # Errors
/// What is the matter with them.
pub fn check(cache: &Cache) -> Result<(), String> {
    let dir = cache.python();
    let stamp = Stamp::read(&dir.join(STAMP)).ok_or("missing or unfinished")?;
    stamp.check(&dir, &PACKAGES.join(" "))
}

/// Installs the packages for the tree's `python3`.
///
/// # Errors
/// When pip cannot fetch them.
pub fn make(cache: &Cache) -> Result<()> {
    step(
        cache,
        "python",
        &format!("{} for the tree's python3", PACKAGES.join(", ")),
        |log| {
            let partial = folder::begin(&cache.python())?;
            let root = Root::open(cache)?;
            let mut pip = root.command("python3", &[]);
            pip.args([
                "-m",
                "pip",
                "install",
                "--no-cache-dir",
                "--root-user-action=ignore",
            ]);
            pip.arg("--disable-pip-version-check")
                .arg("--target")
                .arg(&partial)
                .args(PACKAGES);
            log.run(&mut pip)?;
            let mut import = root.command("python3", &[]);
            import.args(["-c", "import drgn; print('drgn', drgn.__version__)"]);
            log.run(import.env("PYTHONPATH", &partial))?;
            Stamp::take(&partial, &PACKAGES.join(" "), &[], PACKAGES)?
                .write(&partial.join(STAMP))?;
            folder::finish(&cache.python())
        },
    )
}
