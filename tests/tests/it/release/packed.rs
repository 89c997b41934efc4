// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in the files. Nothing is compiled for this, and nothing boots.

use super::files::{find, in_tree, made, names, output, release, same};
use crate::contains::contains;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::checkout;
use linpmem_testkit::cross;
use linpmem_testkit::vouchers::Vouchers;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The programs of x86-64.
const PROGRAMS: [&str; 3] = ["linpmem-dump", "linpmem-fit", "pmem"];

/// Sums, a signature that minisign checks, and the same bytes in another folder.
#[test]
fn packing_again_gives_the_same_bytes_and_they_are_signed() -> Result<()> {
    let first = made()?;
    let work = tempfile::tempdir()?;
    let key = work.path().join("key");
    let public = work.path().join("key.pub");
    output(
        Vouchers::open()?
            .minisign()
            .args(["-G", "-W", "-p"])
            .arg(&public)
            .arg("-s")
            .arg(&key),
    )?;
    let second = work.path().join("another folder");
    let key = key.to_str().context("the path of the key")?;
    release(&second, &["--sign-key", key])?;
    same(&first, &second, &["SHA256SUMS.minisig"])?;

    let sums = |folder: &Path| {
        let mut sha256sum = Command::new("sha256sum");
        sha256sum.args(["--check", "--strict", "SHA256SUMS"]);
        output(sha256sum.current_dir(folder))
    };
    let listed = sums(&second)?.lines().count();
    ensure!(listed + 2 == names(&second)?.len(), "{listed} are listed");
    let verify = |folder: &Path| {
        let mut minisign = Vouchers::open()?.minisign();
        minisign.args(["-V", "-p"]).arg(&public);
        output(minisign.arg("-m").arg(folder.join("SHA256SUMS")))
    };
    let commit = output(
        Command::new("git")
            .current_dir(checkout::dir())
            .args(["rev-parse", "HEAD"]),
    )?;
    contains(&verify(&second)?, &["verified", commit.trim()])?;

    // Both notice a change.
    let bom = find(&second, "linpmem-", ".cdx.json")?;
    fs::write(&bom, "{}")?;
    ensure!(sums(&second).is_err());
    fs::write(second.join("SHA256SUMS"), "")?;
    ensure!(verify(&second).is_err());
    Ok(())
}

#[test]
fn the_archive_has_all_that_a_user_needs() -> Result<()> {
    let archive = find(&made()?, "linpmem-", "-linux-x86_64.tar.gz")?;
    let work = tempfile::tempdir()?;
    let listing = output(Command::new("tar").arg("-tvf").arg(&archive))?;
    for line in listing.lines() {
        ensure!(
            line.contains(" root/root ") || line.contains(" 0/0 "),
            "{line}"
        );
    }
    output(
        Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(work.path()),
    )?;
    let top = find(work.path(), "linpmem-", "-linux-x86_64")?;
    for program in PROGRAMS {
        let version = output(Command::new(top.join("bin").join(program)).arg("--version"))?;
        ensure!(version.starts_with(&format!("{program} ")), "{version}");
        for path in [
            format!("share/man/man1/{program}.1"),
            format!("share/bash-completion/completions/{program}"),
            format!("share/fish/vendor_completions.d/{program}.fish"),
            format!("share/zsh/site-functions/_{program}"),
        ] {
            let text = fs::read_to_string(top.join(&path)).with_context(|| path.clone())?;
            ensure!(text.contains(program), "{path}");
        }
    }
    for path in [
        "LICENSE-GPL-2.0",
        "LICENSE-MIT",
        "README.md",
        "docs/fit.md",
        "docs/release.md",
    ] {
        let text = fs::read(top.join(path)).with_context(|| path.to_owned())?;
        ensure!(text == fs::read(checkout::dir().join(path))?, "{path}");
    }
    third_party(&fs::read_to_string(top.join("THIRD-PARTY"))?)
}

/// Every crate that cargo links is there, with its licence and the text of that.
fn third_party(text: &str) -> Result<()> {
    let mut tree = checkout::cargo();
    tree.args([
        "tree",
        "--locked",
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
    ]);
    tree.args([
        "--target",
        "x86_64-unknown-linux-gnu",
        "--format",
        "{p}\t{l}",
    ]);
    for package in [
        "linpmem-dump",
        "linpmem-pmem",
        "linpmem-fit-cli",
        "linpmem-capi",
    ] {
        tree.args(["--package", package]);
    }
    let tree = output(&mut tree)?;
    let rule = format!("\n{}\n", "-".repeat(78));
    let (_, texts) = text.split_once(&rule).context("no text of a licence")?;
    let has_text = |name: &str| {
        let mut names = texts.split(&rule).filter_map(|part| part.lines().next());
        names.any(|line| line.split(", ").any(|one| one == name))
    };
    for name in ["GNU C library", "Rust's standard library"] {
        ensure!(has_text(name), "no text of the licence of {name}");
    }
    let mut seen = 0;
    // An empty line separates two packages.
    let others = tree.lines().filter(|line| !line.is_empty());
    for line in others.filter(|line| !line.contains("(/")) {
        let (package, licence) = line.split_once('\t').with_context(|| line.to_owned())?;
        let package = package.trim_end_matches(" (*)").replacen(" v", " ", 1);
        let licence = licence.trim_end_matches(" (*)").replace('/', " OR ");
        let row = format!("\n{package}\n    licence: {licence}\n");
        ensure!(text.contains(&row), "THIRD-PARTY has no{row}");
        ensure!(has_text(&package), "no text of the licence of {package}");
        seen += 1;
    }
    ensure!(seen > 100, "{seen} crates");
    contains(
        text,
        &[
            "GNU C library (glibc 2.",
            "LGPL-2.1-or-later",
            "Permission is hereby granted",
        ],
    )
}

#[test]
fn the_packages_are_what_dpkg_installs_and_removes() -> Result<()> {
    let folder = made()?;
    let programs = find(&folder, "linpmem_", "_amd64.deb")?;
    let field = |deb: &Path, name: &str| -> Result<String> {
        let text = output(in_tree("dpkg-deb")?.arg("--field").arg(deb).arg(name))?;
        Ok(text.trim_end().to_owned())
    };
    ensure!(field(&programs, "Architecture")? == "amd64");
    ensure!(
        field(&programs, "Depends")?.is_empty(),
        "static programs need nothing"
    );
    let runtime = find(&folder, "liblinpmem0_", "_amd64.deb")?;
    contains(&field(&runtime, "Depends")?, &["libc6 (>= 2.", "libgcc-s1"])?;
    let development = find(&folder, "liblinpmem-dev_", "_amd64.deb")?;
    let version = field(&runtime, "Version")?;
    ensure!(field(&development, "Depends")? == format!("liblinpmem0 (= {version})"));

    let listing = output(in_tree("dpkg-deb")?.arg("--contents").arg(&programs))?;
    for line in listing.lines() {
        ensure!(line.contains(" root/root "), "{line}");
    }
    for program in PROGRAMS {
        let line = listing
            .lines()
            .find(|line| line.ends_with(&format!(" ./usr/bin/{program}")));
        let line = line.with_context(|| format!("no {program}"))?;
        ensure!(line.starts_with("-rwxr-xr-x "), "{line}");
        contains(&listing, &[&format!("./usr/share/man/man1/{program}.1.gz")])?;
    }
    contains(
        &output(in_tree("dpkg-deb")?.arg("--contents").arg(&development))?,
        &[
            "./usr/include/linpmem.h",
            "./usr/lib/x86_64-linux-gnu/liblinpmem.a",
            "liblinpmem.so -> liblinpmem.so.0",
            "./usr/lib/x86_64-linux-gnu/pkgconfig/linpmem.pc",
        ],
    )?;
    in_an_empty_root(&programs)
}

/// Installs into a root that has nothing but dpkg's lists, and removes all again.
fn in_an_empty_root(deb: &Path) -> Result<()> {
    let root = tempfile::tempdir()?;
    let lists = root.path().join("var/lib/dpkg");
    for folder in ["info", "updates", "triggers"] {
        fs::create_dir_all(lists.join(folder))?;
    }
    for list in ["status", "available"] {
        fs::write(lists.join(list), "")?;
    }
    let dpkg = |words: &[&str]| -> Result<_> {
        let mut dpkg = in_tree("dpkg")?;
        dpkg.arg(format!("--root={}", root.path().display()));
        // A tree has its own idea of what to leave out.
        dpkg.args(["--force-script-chrootless", "--path-include=*"]);
        output(dpkg.args(words))
    };
    dpkg(&[
        "--install",
        deb.to_str().context("the path of the package")?,
    ])?;
    let version = output(Command::new(root.path().join("usr/bin/linpmem-dump")).arg("--version"))?;
    ensure!(version.starts_with("linpmem-dump "), "{version}");
    // dpkg compares what it installed with the sums in the package.
    ensure!(dpkg(&["--verify", "linpmem"])?.is_empty());
    dpkg(&["--purge", "linpmem"])?;
    let left: BTreeSet<String> = names(root.path())?;
    ensure!(
        left.iter()
            .all(|name| ["var", "etc"].contains(&name.as_str())),
        "{left:?} are left"
    );
    Ok(())
}

/// The bill of materials has the sums of Cargo.lock, and what it was made from is said.
#[test]
fn origin_and_materials_are_those_of_the_checkout() -> Result<()> {
    let folder = made()?;
    let read = |path: &Path| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let text = |value: &Value, name: &str| -> Result<String> {
        let text = value.get(name).and_then(Value::as_str);
        Ok(text
            .with_context(|| format!("no {name} in {value}"))?
            .to_owned())
    };
    let provenance = read(&folder.join("provenance.json"))?;
    let git = |args: &[&str]| output(Command::new("git").current_dir(checkout::dir()).args(args));
    ensure!(text(&provenance, "commit")? == git(&["rev-parse", "HEAD"])?.trim());
    let is_clean = git(&["status", "--porcelain"])?.is_empty();
    ensure!(provenance.get("is_clean") == Some(&Value::Bool(is_clean)));
    let lock = checkout::dir().join("Cargo.lock");
    let sum = output(Command::new("sha256sum").arg(&lock))?;
    ensure!(sum.starts_with(&text(&provenance, "cargo_lock_sha256")?));
    let builds = provenance.get("builds").and_then(Value::as_array);
    let [build] = builds.context("no builds")?.as_slice() else {
        anyhow::bail!("not one build: {builds:?}");
    };
    let rustc = output(Command::new("rustc").arg("--version"))?;
    ensure!(text(build, "rustc")? == rustc.trim());

    let bom = read(&find(&folder, "linpmem-", "-linux-x86_64.cdx.json")?)?;
    let lock = fs::read_to_string(lock)?;
    let components = bom.get("components").and_then(Value::as_array);
    let mut summed = 0;
    for component in components.context("no components")? {
        let Some(hash) = component
            .pointer("/hashes/0/content")
            .and_then(Value::as_str)
        else {
            continue;
        };
        let package = format!(
            "name = \"{}\"\nversion = \"{}\"\n",
            text(component, "name")?,
            text(component, "version")?
        );
        let entry = lock
            .split("[[package]]\n")
            .find(|entry| entry.starts_with(&package));
        contains(entry.with_context(|| package.clone())?, &[hash])?;
        summed += 1;
    }
    ensure!(summed > 100, "{summed} crates have a sum");
    Ok(())
}

/// What names the folders of this machine would differ on another one.
#[test]
fn what_is_packed_names_no_folder_of_this_machine() -> Result<()> {
    let folders = [
        checkout::dir().display().to_string(),
        checkout::target_dir().display().to_string(),
        cross::cargo_home()?.display().to_string(),
    ];
    let work = tempfile::tempdir()?;
    let archive = find(&made()?, "linpmem-", "-linux-x86_64.tar.gz")?;
    let mut tar = Command::new("tar");
    output(tar.arg("-xf").arg(&archive).arg("-C").arg(work.path()))?;
    let top = find(work.path(), "linpmem-", "-linux-x86_64")?;
    let mut files: Vec<_> = PROGRAMS.map(|name| top.join("bin").join(name)).to_vec();
    for (start, name) in [
        ("liblinpmem0_", "liblinpmem.so.0"),
        ("liblinpmem-dev_", "liblinpmem.a"),
    ] {
        let root = work.path().join(start);
        let deb = find(&made()?, start, "_amd64.deb")?;
        output(in_tree("dpkg-deb")?.arg("--extract").arg(deb).arg(&root))?;
        files.push(root.join("usr/lib/x86_64-linux-gnu").join(name));
    }
    for file in files {
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        for folder in &folders {
            let needle = folder.as_bytes();
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            ensure!(!found, "{} names {folder}", file.display());
        }
    }
    Ok(())
}
