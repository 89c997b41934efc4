// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies of Debian trees, in which packages are installed.

use super::files::output;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::cache::Cache;
use linpmem_testkit::debian_tree::DebianTree;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What dpkg and its triggers write whatever is installed: lists, logs and indexes.
const LISTS: [&str; 5] = [
    "etc/ld.so.cache",
    "var/cache/",
    "var/lib/dpkg/",
    "var/lib/man-db/",
    "var/log/",
];

/// A system of its own, until it is dropped.
pub struct Fresh {
    folder: TempDir,
    tree: DebianTree,
}

impl Fresh {
    /// A copy of the tree of `suite`, as a user finds Debian.
    pub fn of(suite: &str) -> Result<Self> {
        let cache = Cache::open()?;
        let original = cache.fresh(suite);
        ensure!(
            original.join("usr/bin/dpkg").exists(),
            "no fresh tree of {suite} in {}: run `cargo xtask test release`",
            original.display()
        );
        let folder = tempfile::tempdir()?;
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--reflink=auto"]);
        output(copy.arg(original.join(".")).arg(folder.path()))?;
        // The tree was made without manual pages.
        let options = folder.path().join("etc/dpkg/dpkg.cfg.d/99mmdebstrap");
        if options.exists() {
            fs::remove_file(&options)?;
        }
        let tree = DebianTree::at(folder.path(), &cache);
        let fresh = Self { folder, tree };
        // What is mounted gets folders at the first time.
        fresh.run("true", &[])?;
        Ok(fresh)
    }

    /// What `program` prints, which must succeed.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        output(self.command(program).args(args))
    }

    /// A command that runs in it.
    pub fn command(&self, program: &str) -> Command {
        self.tree.command(program, &[])
    }

    /// What a shell prints that runs `script`.
    pub fn shell(&self, script: &str) -> Result<String> {
        self.run("bash", &["-euc", script])
    }

    /// Copies `file` to `/root`, and returns its path there.
    pub fn take(&self, file: &Path) -> Result<String> {
        let name = file.file_name().context("no file name")?.to_string_lossy();
        let inside = format!("root/{name}");
        fs::copy(file, self.folder.path().join(&inside))
            .with_context(|| format!("copying {}", file.display()))?;
        Ok(format!("/{inside}"))
    }

    /// All files with their modes, lengths and times, but for dpkg's own lists and what is mounted.
    pub fn files(&self) -> Result<BTreeMap<PathBuf, String>> {
        let mut files = BTreeMap::new();
        let top = self.folder.path();
        let mut folders = vec![top.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder)? {
                let path = entry?.path();
                let relative = path.strip_prefix(top)?.to_path_buf();
                let name = relative.to_string_lossy();
                if LISTS.iter().any(|list| name.starts_with(list)) || name == "root" {
                    continue;
                }
                let metadata = path.symlink_metadata()?;
                let said = match metadata.is_dir() {
                    // Of a folder, time and length change with what was in it.
                    true => format!("folder {:o}", metadata.mode()),
                    false => format!(
                        "{:o} {} {}",
                        metadata.mode(),
                        metadata.len(),
                        metadata.mtime()
                    ),
                };
                if metadata.is_dir() {
                    folders.push(path);
                }
                files.insert(relative, said);
            }
        }
        Ok(files)
    }
}
