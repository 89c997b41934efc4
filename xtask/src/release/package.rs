// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is installed as one: a package, before it becomes a `.deb` or an `.rpm`.

use super::content::{Built, Shared, completion_path, program_of};
use super::glibc;
use super::item::{Item, gzip, read};
use super::origin::Origin;
use crate::dist::pkg_config;
use crate::dkms;
use anyhow::{Context, Result};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::checkout;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The licences of what has the module.
pub const MODULE_LICENCE: &str = "(MIT OR Apache-2.0) AND GPL-2.0-only";

/// Those of what has not.
pub const OWN_LICENCE: &str = "MIT OR Apache-2.0";

/// Whether programs for `arch` carry the module.
pub fn carries_module(arch: Arch) -> bool {
    arch == Arch::X86_64
}

/// The licences of the programs for `arch`, as an SPDX expression.
pub fn licence_of(arch: Arch) -> &'static str {
    match carries_module(arch) {
        true => MODULE_LICENCE,
        false => OWN_LICENCE,
    }
}

/// What a package is, apart from its format.
#[derive(Debug)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// The same in a paragraph, of lines.
    pub description: &'static [&'static str],
    /// Debian's section.
    pub section: &'static str,
    /// Debian's architecture; `all` if it runs on every one.
    pub architecture: String,
    /// Packages that it needs, as Debian writes them.
    pub depends: Vec<String>,
    /// Whether Debian may install it for several architectures side by side.
    pub is_for_several_architectures_at_once: bool,
    /// Whom it names.
    pub maintainer: String,
    /// Its licences, as an SPDX expression.
    pub licence: &'static str,
    /// The files that it installs, with paths below the root.
    pub items: Vec<Item>,
    /// More files of Debian's control archive: maintainer scripts, triggers and the like.
    pub control: Vec<Item>,
}

/// Names in Debian's control archive that are programs.
const SCRIPTS: [&str; 5] = ["config", "postinst", "postrm", "preinst", "prerm"];

/// Other names that a folder of [`Package::with_control`] may have.
const CONTROL_FILES: [&str; 4] = ["conffiles", "shlibs", "templates", "triggers"];

/// What the package manager says of the programs.
const PROGRAMS_TEXT: &[&str] = &[
    "linpmem-dump acquires memory: it reads, hashes, compresses and writes at the",
    "same time, and leaves a manifest of what was read and what could not be. pmem",
    "reads and translates addresses. The programs are static and need no other",
    "package.",
];

/// The same where the programs carry the module.
const PROGRAMS_WITH_MODULE_TEXT: &[&str] = &[
    "linpmem-dump acquires memory: it reads, hashes, compresses and writes at the",
    "same time, and leaves a manifest of what was read and what could not be. pmem",
    "reads and translates addresses. linpmem-fit fits the kernel module that these",
    "programs carry to a kernel. The programs are static and need no other package.",
];

/// What it says of the module's package.
const DKMS_TEXT: &[&str] = &[
    "DKMS makes the linpmem module for each kernel that is installed: linpmem-fit",
    "fits it from the kernel's own files, without a compiler, and DKMS signs it. A",
    "rule for udev gives /dev/linpmem to the group linpmem, once that exists.",
];

/// Static programs are what the package is for: they are carried to other systems.
const LINTIAN_OVERRIDES: &str = "\
# They are copied to systems of any kind, and depend on nothing there.
linpmem: statically-linked-binary [usr/bin/*]
";

/// What it says of the library.
const LIBRARY_TEXT: &[&str] = &[
    "Reads physical memory through the linpmem kernel module: bytes at physical",
    "addresses, page-table walks, and loading or unloading the module.",
];

/// The Debian packages of what was built. A new one is added here.
pub fn debian(built: &Built, shared: &Shared, origin: &Origin) -> Result<Vec<Package>> {
    let mut programs = programs(built, shared, origin, "vendor-completions")?;
    programs.items.push(Item::file(
        "usr/share/lintian/overrides/linpmem",
        LINTIAN_OVERRIDES,
    ));
    let mut packages = vec![programs];
    if let Some(dist) = &built.library {
        packages.extend(library(built, dist, origin)?);
    }
    if built.carries_module() {
        packages.push(dkms(origin)?);
    }
    for package in &mut packages {
        package.add_documents(built, origin)?;
    }
    Ok(packages)
}

/// The programs, with manual pages and completions; `zsh` is the distribution's folder for those.
pub fn programs(built: &Built, shared: &Shared, origin: &Origin, zsh: &str) -> Result<Package> {
    let mut items = Vec::new();
    for (name, bytes) in &built.programs {
        items.push(Item::program(format!("usr/bin/{name}"), bytes.as_slice()));
    }
    let has = |program: &str| built.programs.iter().any(|(name, _)| name == program);
    for (page, bytes) in &shared.manuals {
        if has(program_of(page)) {
            items.push(Item::file(
                format!("usr/share/man/man1/{page}.gz"),
                gzip(bytes)?,
            ));
        }
    }
    for (shell, program, bytes) in &shared.completions {
        if has(program) {
            let path = completion_path(shell, program, zsh);
            items.push(Item::file(format!("usr/share/{path}"), bytes.as_slice()));
        }
    }
    for (path, bytes) in shared.docs.iter().chain(&shared.front) {
        // This one has a place of its own.
        if path != "CHANGELOG.md" {
            let path = format!("usr/share/doc/linpmem/{path}");
            items.push(Item::file(path, bytes.as_slice()));
        }
    }
    Ok(Package {
        name: "linpmem",
        summary: "acquires the physical memory of a running machine",
        description: match built.carries_module() {
            true => PROGRAMS_WITH_MODULE_TEXT,
            false => PROGRAMS_TEXT,
        },
        section: "admin",
        architecture: built.arch.debian().to_owned(),
        depends: Vec::new(),
        is_for_several_architectures_at_once: false,
        maintainer: origin.maintainer.clone(),
        licence: licence_of(built.arch),
        items,
        control: Vec::new(),
    })
}

/// The module, made for each kernel when that is installed, and who may open its device.
fn dkms(origin: &Origin) -> Result<Package> {
    let folder = dkms::assemble()?;
    let mut items = Vec::new();
    collect(&folder.join("root"), "", &mut items)?;
    let udev = checkout::dir().join("packaging/udev");
    items.push(Item::copy(
        "usr/lib/udev/rules.d/60-linpmem.rules",
        &udev.join("60-linpmem.rules"),
    )?);
    items.push(Item::copy(
        "usr/lib/sysusers.d/linpmem.conf",
        &udev.join("linpmem.sysusers.conf"),
    )?);
    let package = Package {
        name: "linpmem-dkms",
        summary: "module that reads the physical memory of a machine, for DKMS",
        description: DKMS_TEXT,
        section: "kernel",
        architecture: "all".to_owned(),
        depends: vec![
            "dkms".to_owned(),
            "kmod".to_owned(),
            format!("linpmem (= {})", debian_version()),
        ],
        is_for_several_architectures_at_once: false,
        maintainer: origin.maintainer.clone(),
        licence: MODULE_LICENCE,
        items,
        control: Vec::new(),
    };
    package.with_control(&folder)
}

/// Adds the files below `folder`, whose path is `path` where they are installed.
fn collect(folder: &Path, path: &str, items: &mut Vec<Item>) -> Result<()> {
    let failed = || format!("cannot list {}", folder.display());
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let (from, name) = (entry.path(), entry.file_name());
        let path = match path {
            "" => name.to_string_lossy().into_owned(),
            above => format!("{above}/{}", name.to_string_lossy()),
        };
        if from.is_dir() {
            collect(&from, &path, items)?;
            continue;
        }
        let mode = fs::metadata(&from)
            .with_context(failed)?
            .permissions()
            .mode();
        items.push(match mode & 0o111 {
            0 => Item::copy(path, &from)?,
            _ => Item::program(path, read(&from)?),
        });
    }
    Ok(())
}

/// The library for C in the folder `dist`: what programs need, and what it takes to make them.
fn library(built: &Built, dist: &Path, origin: &Origin) -> Result<[Package; 2]> {
    let version = env!("CARGO_PKG_VERSION");
    let folder = format!("usr/lib/{}-linux-gnu", built.arch.name());
    let real = format!("liblinpmem.so.{version}");
    let bytes = read(&dist.join("lib").join(&real))?;
    let needs = glibc::Needs::of(&bytes)?;
    let at = |name: &str| format!("{folder}/{name}");
    let config = pkg_config("/usr", &format!("/{folder}"), version);
    let runtime = Package {
        name: "liblinpmem0",
        summary: "reads physical memory through the linpmem kernel module",
        description: LIBRARY_TEXT,
        section: "libs",
        architecture: built.arch.debian().to_owned(),
        depends: vec![
            format!("libc6 (>= {})", needs.glibc),
            "libgcc-s1 (>= 4.2)".to_owned(),
        ],
        is_for_several_architectures_at_once: true,
        maintainer: origin.maintainer.clone(),
        licence: OWN_LICENCE,
        items: vec![
            Item::file(at(&real), bytes),
            Item::link(at("liblinpmem.so.0"), real),
        ],
        control: vec![
            Item::file(
                "shlibs",
                format!("liblinpmem 0 liblinpmem0 (>= {version})\n"),
            ),
            Item::file("triggers", "activate-noawait ldconfig\n"),
        ],
    };
    let header = |name: &str| {
        Item::copy(
            format!("usr/include/{name}"),
            &dist.join("include").join(name),
        )
    };
    let example = checkout::dir().join("examples/c/memory.c");
    let development = Package {
        name: "liblinpmem-dev",
        summary: "reads physical memory through the linpmem kernel module: development files",
        description: LIBRARY_TEXT,
        section: "libdevel",
        architecture: built.arch.debian().to_owned(),
        depends: vec![format!("liblinpmem0 (= {})", debian_version())],
        is_for_several_architectures_at_once: false,
        maintainer: origin.maintainer.clone(),
        licence: OWN_LICENCE,
        items: vec![
            header("linpmem.h")?,
            header("linpmem/ioctl.h")?,
            Item::copy(at("liblinpmem.a"), &dist.join("lib/liblinpmem.a"))?,
            Item::link(at("liblinpmem.so"), "liblinpmem.so.0"),
            Item::file(at("pkgconfig/linpmem.pc"), config),
            Item::copy("usr/share/doc/liblinpmem-dev/examples/memory.c", &example)?,
        ],
        control: Vec::new(),
    };
    Ok([runtime, development])
}

/// The version of the Debian packages.
pub fn debian_version() -> String {
    format!("{}-1", env!("CARGO_PKG_VERSION"))
}

impl Package {
    /// Takes maintainer scripts and the like from `folder`, if they are there.
    fn with_control(mut self, folder: &Path) -> Result<Self> {
        let failed = || format!("cannot list {}", folder.display());
        for entry in fs::read_dir(folder).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if SCRIPTS.contains(&&*name) {
                self.control.push(Item::program(name, read(&path)?));
            } else if CONTROL_FILES.contains(&&*name) {
                self.control.push(Item::file(name, read(&path)?));
            }
        }
        self.control.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(self)
    }

    /// What Debian wants every package to say.
    fn add_documents(&mut self, built: &Built, origin: &Origin) -> Result<()> {
        let folder = format!("usr/share/doc/{}", self.name);
        let top = checkout::dir();
        let changes = read(&top.join("CHANGELOG.md"))?;
        let time = jiff::Timestamp::from_second(i64::try_from(origin.source_date_epoch)?)?;
        let debian_changes = format!(
            "linpmem ({}) unstable; urgency=medium\n\n  * Built from the commit {}.\n\n -- {}  {}\n",
            debian_version(),
            origin.commit,
            self.maintainer,
            time.strftime("%a, %d %b %Y %H:%M:%S +0000")
        );
        let copyright = copyright(built, self.licence)?;
        let mut documents = vec![
            ("changelog.gz", gzip(&changes)?),
            ("changelog.Debian.gz", gzip(debian_changes.as_bytes())?),
            ("copyright", copyright.into_bytes()),
        ];
        // The module's source has nobody else's code.
        if self.section != "kernel" {
            documents.push(("THIRD-PARTY.gz", gzip(built.third_party.as_bytes())?));
        }
        let documents = documents
            .into_iter()
            .map(|(name, bytes)| Item::file(format!("{folder}/{name}"), bytes));
        self.items.extend(documents);
        Ok(())
    }
}

/// The file `copyright`: the licences, of which a Debian system has some.
fn copyright(built: &Built, licence: &str) -> Result<String> {
    let mit = read(&checkout::dir().join("LICENSE-MIT"))?;
    let mit = String::from_utf8(mit)?;
    let holder = mit
        .lines()
        .find(|line| line.starts_with("Copyright"))
        .context("LICENSE-MIT has no line that begins with Copyright")?;
    let indent = |text: &str| -> String {
        let line = |line: &str| match line.trim_end() {
            "" => " .\n".to_owned(),
            line => format!(" {line}\n"),
        };
        text.trim_end().lines().map(line).collect()
    };
    let holder = holder
        .trim_start_matches("Copyright")
        .trim_start_matches(" (c)")
        .trim();
    let module = match licence == MODULE_LICENCE {
        true => format!(
            "Files: kmod/*\nCopyright: {holder}\nLicense: GPL-2\n The programs carry the kernel \
             module as an object file; the package for DKMS has its source.\n On Debian systems, the text of the licence is in\n \
             /usr/share/common-licenses/GPL-2.\n\n"
        ),
        false => String::new(),
    };
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: linpmem\n\
         Comment: Built for {}. THIRD-PARTY.gz lists other people's code that is linked in.\n\n\
         Files: *\nCopyright: {holder}\nLicense: Expat or Apache-2.0\n\n{module}\
         License: Expat\n{}\n\
         License: Apache-2.0\n On Debian systems, the text of the licence is in\n \
         /usr/share/common-licenses/Apache-2.0.\n",
        built.compiler.target,
        indent(&mit)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_a_folder_are_programs_and_other_files_stay_there() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["postinst", "triggers", "README.md"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let package = Package {
            name: "p",
            summary: "",
            description: &[],
            section: "kernel",
            architecture: "all".to_owned(),
            depends: Vec::new(),
            is_for_several_architectures_at_once: false,
            maintainer: String::new(),
            licence: OWN_LICENCE,
            items: Vec::new(),
            control: Vec::new(),
        };
        let package = package.with_control(folder.path()).unwrap();
        let expected = [
            Item::program("postinst", "postinst"),
            Item::file("triggers", "triggers"),
        ];
        assert_eq!(package.control, expected);
    }
}
