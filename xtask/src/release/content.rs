// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files that archives and packages are made from, by what they are for.

use super::bom;
use super::crates::{self, Crate};
use super::item::{Item, read};
use super::notices;
use super::origin::{Compiler, Origin};
use super::package;
use crate::dist;
use anyhow::{Context, Result};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use linpmem_testkit::debian_tree::DebianTree;
use std::fs;
use std::path::{Path, PathBuf};

/// Licences of the programs, with what they are for.
pub const LICENCES: [&str; 3] = ["LICENSE-APACHE", "LICENSE-GPL-2.0", "LICENSE-MIT"];

/// Pages for those who work on linpmem.
const FOR_DEVELOPERS: [&str; 2] = ["ARCHITECTURE.md", "testing.md"];

/// What was built for an architecture, and what is said about it.
#[derive(Debug)]
pub struct Built {
    /// The architecture.
    pub arch: Arch,
    /// What compiled it.
    pub compiler: Compiler,
    /// The programs by name.
    pub programs: Vec<(String, Vec<u8>)>,
    /// The folder with the library for C.
    pub library: Option<PathBuf>,
    /// The content of `THIRD-PARTY`.
    pub third_party: String,
    /// The content of the bill of materials.
    pub bom: String,
}

/// The shells, with what a program's completions for each are called.
const SHELLS: [(&str, &str, &str); 3] = [
    ("bash", "", ".bash"),
    ("fish", "", ".fish"),
    ("zsh", "_", ""),
];

/// What belongs to the programs and is the same for all architectures.
#[derive(Debug)]
pub struct Shared {
    /// Manual pages by name.
    pub manuals: Vec<(String, Vec<u8>)>,
    /// Completions by shell and program.
    pub completions: Vec<(&'static str, String, Vec<u8>)>,
    /// Pages of documentation by path.
    pub docs: Vec<(String, Vec<u8>)>,
    /// README, CHANGELOG and SECURITY.
    pub front: Vec<(String, Vec<u8>)>,
    /// The licences.
    pub licences: Vec<(String, Vec<u8>)>,
}

impl Built {
    /// Whether the programs carry the kernel module.
    pub fn carries_module(&self) -> bool {
        package::carries_module(self.arch)
    }

    /// Builds the programs, and for the host the library, for `arch`.
    pub fn build(arch: Arch, origin: &Origin) -> Result<Self> {
        let paths = dist::build_programs_for(arch)?;
        let mut programs = Vec::new();
        for path in &paths {
            programs.push((name_of(path), read(path)?));
        }
        let mut packages: Vec<&str> = dist::packages(arch).collect();
        let library = match arch {
            Arch::HOST => {
                dist::build_library(arch)?;
                packages.push(dist::LIBRARY);
                Some(checkout::dist_dir_of(arch))
            }
            _ => None,
        };
        let crates: Vec<Crate> = crates::linked(&packages, arch)?;
        let compiler = Compiler::of(arch)?;
        let tree = DebianTree::open(&Cache::open()?)?;
        Ok(Self {
            arch,
            programs,
            library,
            third_party: notices::text(&crates, &compiler, &notices::lgpl(&tree)?)?,
            bom: bom::document(&crates, origin, &compiler, package::licence_of(arch))?,
            compiler,
        })
    }
}

impl Shared {
    /// Collects the files, which the host's programs write in part.
    pub fn collect() -> Result<Self> {
        dist::manuals()?;
        let share = checkout::dist_dir().join("share");
        let mut completions = Vec::new();
        for (name, bytes) in files(&share.join("completions"))? {
            let shell = SHELLS.iter().find_map(|(shell, start, end)| {
                let program = name.strip_prefix(start)?.strip_suffix(end)?;
                Some((*shell, program.to_owned()))
            });
            let (shell, program) = shell.with_context(|| format!("{name} is for no shell"))?;
            completions.push((shell, program, bytes));
        }
        let top = checkout::dir();
        let named = |names: &[&str]| -> Result<Vec<_>> {
            let read = |name: &&str| Ok(((*name).to_owned(), read(&top.join(name))?));
            names.iter().map(read).collect()
        };
        let mut docs = Vec::new();
        for folder in ["docs", "docs/formats"] {
            for (name, bytes) in files(&top.join(folder))? {
                if !FOR_DEVELOPERS.contains(&name.as_str()) {
                    docs.push((format!("{folder}/{name}"), bytes));
                }
            }
        }
        Ok(Self {
            manuals: files(&share.join("man/man1"))?,
            completions,
            docs,
            front: named(&["CHANGELOG.md", "README.md", "SECURITY.md"])?,
            licences: named(&LICENCES)?,
        })
    }
}

/// The archive of static programs.
pub fn archive(built: &Built, shared: &Shared) -> Vec<Item> {
    let mut items = vec![Item::file("THIRD-PARTY", built.third_party.as_str())];
    for (name, bytes) in &built.programs {
        items.push(Item::program(format!("bin/{name}"), bytes.as_slice()));
    }
    let has = |program: &str| built.programs.iter().any(|(name, _)| name == program);
    for (name, bytes) in &shared.manuals {
        if has(program_of(name)) {
            items.push(Item::file(
                format!("share/man/man1/{name}"),
                bytes.as_slice(),
            ));
        }
    }
    for (shell, program, bytes) in &shared.completions {
        if has(program) {
            let path = format!(
                "share/{}",
                completion_path(shell, program, "site-functions")
            );
            items.push(Item::file(path, bytes.as_slice()));
        }
    }
    for (name, bytes) in [&shared.docs, &shared.front, &shared.licences]
        .into_iter()
        .flatten()
    {
        items.push(Item::file(name, bytes.as_slice()));
    }
    items
}

/// Where below `share` a shell looks for the completions of a program; zsh has a folder
/// for those of packages, which distributions call differently.
pub fn completion_path(shell: &str, program: &str, zsh: &str) -> String {
    match shell {
        "bash" => format!("bash-completion/completions/{program}"),
        "fish" => format!("fish/vendor_completions.d/{program}.fish"),
        _ => format!("zsh/{zsh}/_{program}"),
    }
}

/// The program that a manual page is about: those of its commands have longer names.
pub fn program_of(page: &str) -> &str {
    let is = |program: &&str| {
        let rest = page.strip_prefix(program);
        rest.is_some_and(|rest| rest.starts_with(['-', '.']))
    };
    let programs = ["linpmem-dump", "linpmem-fit", "pmem"];
    programs.into_iter().find(is).unwrap_or(page)
}

/// The files in `folder` with their names, sorted.
fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.is_file() {
            files.push((name_of(&path), read(&path)?));
        }
    }
    files.sort();
    Ok(files)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_belongs_to_the_program_that_its_name_begins_with() {
        for (page, program) in [
            ("linpmem-dump.1", "linpmem-dump"),
            ("linpmem-dump-custody-add.1", "linpmem-dump"),
            ("linpmem-fit-show.1", "linpmem-fit"),
            ("pmem-insmod.1", "pmem"),
            ("pmemory.1", "pmemory.1"),
        ] {
            assert_eq!(program_of(page), program);
        }
    }
}
