// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chromium without windows, from a Debian tree. It shows pages that we wrote, and has no network.

use crate::cache::Cache;
use crate::debian_tree::DebianTree;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program itself: what is in /usr/bin is a script, and the tree has no shell.
const PROGRAM: &str = "/usr/lib/chromium/chromium-headless-shell";

/// How long a page and its scripts may take, in milliseconds of the page's own clock.
const BUDGET: &str = "--virtual-time-budget=20000";

/// A browser.
#[derive(Clone, Debug)]
pub struct Browser {
    tree: DebianTree,
}

/// What the user prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Dark letters on a light page.
    Light,
    /// Light letters on a dark page.
    Dark,
}

impl Browser {
    /// Opens it.
    ///
    /// # Errors
    /// When the set-up has not made it yet.
    pub fn open() -> Result<Self> {
        let cache = Cache::open()?;
        let tree = DebianTree::at(&cache.browser(), &cache);
        ensure!(
            tree.outside(PROGRAM).exists(),
            "no browser in {}: run `cargo xtask setup`",
            cache.browser().display()
        );
        Ok(Self { tree })
    }

    /// The file `page`, whose folder is the temporary one or below it, as it is when its scripts
    /// have run: HTML. Pages in the same folder may look into each other.
    ///
    /// # Errors
    /// When the browser fails.
    pub fn dom(&self, page: &Path, scheme: Scheme) -> Result<String> {
        let profile: PathBuf = page.with_extension("profile");
        let scheme = match scheme {
            Scheme::Dark => 0,
            Scheme::Light => 1,
        };
        let mut command: Command = self.tree.command(PROGRAM, &[]);
        command
            // It is root's, in a place of its own.
            .arg("--no-sandbox")
            .arg("--disable-gpu")
            .arg("--disable-dev-shm-usage")
            .arg("--host-resolver-rules=MAP * ~NOTFOUND")
            .arg("--disable-web-security")
            .arg("--allow-file-access-from-files")
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .arg(BUDGET)
            .arg("--dump-dom")
            .arg(format!("file://{}", page.display()));
        let output = command.output().context("cannot start the browser")?;
        ensure!(
            output.status.success(),
            "the browser ended with {}:\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}
