// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's initramfs: init, links for its tools, and modules.

use super::cpio::Cpio;
use crate::debian_tree::DebianTree;
use crate::kernel::Kernel;
use crate::modinfo;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The names that init can be called by.
const TOOLS: &[&str] = &[
    "init", "fill", "mark", "hold", "plant", "open", "crowd", "tasks", "fds", "ps", "tick", "rest",
    "kmsg", "cat", "ls", "write", "clear", "mask", "unmask", "insmod", "rmmod", "swapon",
    "swapped",
];

/// The archive with the init `guest` and with those modules of `needed` that `kernel`
/// does not have built in.
pub fn build(
    kernel: &Kernel,
    root: &DebianTree,
    guest: &Path,
    needed: &[String],
) -> Result<Vec<u8>> {
    let mut cpio = Cpio::new();
    for folder in ["bin", "dev", "proc", "sys", "tmp", "modules"] {
        cpio.folder(folder);
    }
    // The kernel opens it for init before devtmpfs is mounted.
    cpio.device("dev/console", 0o600, 5, 1);
    let init = fs::read(guest).with_context(|| format!("reading {}", guest.display()))?;
    cpio.file("init", 0o755, &init);
    for tool in TOOLS {
        cpio.link(&format!("bin/{tool}"), "/init");
    }
    let mut modules = Modules::index(kernel, root)?;
    for name in needed {
        modules.add(name, true)?;
    }
    for (number, (name, module)) in modules.chosen.iter().enumerate() {
        cpio.file(&format!("modules/{number:02}-{name}.ko"), 0o644, module);
    }
    Ok(cpio.finish())
}

/// The kernel's modules by name, and the chosen ones in the order to load them.
struct Modules<'a> {
    kernel: &'a Kernel,
    root: &'a DebianTree,
    files: BTreeMap<String, PathBuf>,
    chosen: Vec<(String, Vec<u8>)>,
}

impl<'a> Modules<'a> {
    fn index(kernel: &'a Kernel, root: &'a DebianTree) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut folders = vec![kernel.modules()];
        while let Some(folder) = folders.pop() {
            let listing = || format!("listing the modules in {}", folder.display());
            for entry in fs::read_dir(&folder).with_context(listing)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let file = entry.file_name().to_string_lossy().into_owned();
                if let Some((name, "" | ".xz" | ".zst" | ".gz")) = file.split_once(".ko") {
                    files.insert(name.replace('-', "_"), entry.path());
                }
            }
        }
        Ok(Self {
            kernel,
            root,
            files,
            chosen: Vec::new(),
        })
    }

    /// Chooses `name` after the modules it depends on. A `wanted` one may be built in;
    /// one that a module depends on cannot be.
    fn add(&mut self, name: &str, wanted: bool) -> Result<()> {
        let name = name.replace('-', "_");
        if self.chosen.iter().any(|(chosen, _)| *chosen == name) {
            return Ok(());
        }
        let Some(path) = self.files.get(&name).cloned() else {
            ensure!(
                wanted,
                "kernel {} has no module {name}",
                self.kernel.release()
            );
            return Ok(());
        };
        let module = self.read(&path)?;
        let depends = modinfo::values(&module, "depends");
        for list in depends.with_context(|| path.display().to_string())? {
            for depended in list.split(',').filter(|name| !name.is_empty()) {
                self.add(depended, false)?;
            }
        }
        self.chosen.push((name, module));
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let program = match path.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => "xz",
            Some("zst") => "zstd",
            Some("gz") => "gzip",
            _ => return fs::read(path).with_context(|| format!("reading {}", path.display())),
        };
        let output = self
            .root
            .command(program, &[])
            .arg("-dc")
            .arg(path)
            .output()
            .with_context(|| format!("running {program}"))?;
        if !output.status.success() {
            bail!(
                "{program} cannot unpack {}: {}",
                path.display(),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(output.stdout)
    }
}
