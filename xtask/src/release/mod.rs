// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a release (docs/release.md). Whoever builds the same commit with the same
//! compilers gets the same bytes.

mod bom;
mod content;
mod crates;
mod deb;
mod glibc;
mod item;
mod notices;
mod origin;
mod package;
mod rpm;
mod sums;
mod tarball;
mod wheel;

use crate::setup::{self, Part};
use anyhow::{Context, Result, bail, ensure};
use content::{Built, Shared};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::checkout;
use origin::Origin;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The command line of `cargo xtask release`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The architectures: x86_64, aarch64, or both, separated by a comma
    #[arg(
        long,
        default_value = "x86_64",
        value_delimiter = ',',
        value_name = "ARCH"
    )]
    target: Vec<Arch>,
    #[command(flatten)]
    sign: sums::SignArgs,
    /// Whom the packages name, as `NAME <ADDRESS>`
    #[arg(long, default_value = origin::NOBODY, value_name = "NAME <ADDRESS>")]
    maintainer: String,
    /// The folder for the files; one of an earlier release is replaced
    /// [default: target/release-files]
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// A file that every release has, by which its folder is known.
const PROVENANCE: &str = "provenance.json";

const SUMS: &str = "SHA256SUMS";

/// Makes the files for x86-64 in their usual folder, without a signature.
pub fn make_default() -> Result<()> {
    run(&Args {
        target: vec![Arch::HOST],
        sign: sums::SignArgs::default(),
        maintainer: origin::NOBODY.to_owned(),
        output: None,
    })
}

/// Runs `cargo xtask release`.
pub fn run(args: &Args) -> Result<()> {
    let default = || checkout::target_dir().join("release-files");
    let folder = std::path::absolute(args.output.clone().unwrap_or_else(default))?;
    check_replaceable(&folder)?;
    let cache = Cache::open()?;
    setup::ensure(&cache, &[Part::Tree])?;
    // What the caller wants of compilers is in no commit.
    for name in ["CARGO_ENCODED_RUSTFLAGS", "CFLAGS", "RUSTFLAGS"] {
        ensure!(
            env::var_os(name).is_none_or(|value| value.is_empty()),
            "{name} is set, which changes the bytes of a release: unset it"
        );
    }
    let origin = Origin::find(&args.maintainer)?;
    if args.maintainer == origin::NOBODY {
        eprintln!("warning: the packages name nobody who can be reached (--maintainer)");
    }
    if !origin.is_clean {
        eprintln!(
            "warning: the checkout has changes that are in no commit: nobody can build this again, \
             and provenance.json says so"
        );
    }
    let mut files = Vec::new();
    let mut compilers = Vec::new();
    let host = Built::build(Arch::HOST, &origin)?;
    let shared = Shared::collect()?;
    for &arch in &args.target {
        let other;
        let built = match arch {
            Arch::HOST => &host,
            _ => {
                setup::ensure(&cache, &[Part::Arm64Tree])?;
                other = Built::build(arch, &origin)?;
                &other
            }
        };
        files.extend(pack(built, &shared, &origin)?);
        compilers.push(built.compiler.clone());
    }
    let version = env!("CARGO_PKG_VERSION");
    let top = format!("linpmem-{version}");
    let source = item::gzip(&origin.source(&top)?)?;
    files.push((format!("{top}.tar.gz"), source));
    files.push((
        PROVENANCE.to_owned(),
        origin.provenance(&compilers)?.into_bytes(),
    ));
    let sums = sums::text(&files);
    let comment = format!("linpmem {version}, commit {}", origin.commit);
    let public_key = match args.sign.sign(&sums, &comment)? {
        None => None,
        Some((signature, public_key)) => {
            files.push((format!("{SUMS}.minisig"), signature.into_bytes()));
            Some(public_key)
        }
    };
    files.push((SUMS.to_owned(), sums.into_bytes()));
    write(&folder, &files)?;
    files.sort();
    println!("{}", folder.display());
    for (name, bytes) in &files {
        println!("    {name} ({} KiB)", bytes.len().div_ceil(1024));
    }
    if let Some(key) = public_key {
        println!("Check the signature: minisign -Vm {SUMS} -P {key}");
    }
    Ok(())
}

/// The files for one architecture.
fn pack(built: &Built, shared: &Shared, origin: &Origin) -> Result<Vec<(String, Vec<u8>)>> {
    let (version, arch) = (env!("CARGO_PKG_VERSION"), built.arch.name());
    let top = format!("linpmem-{version}-linux-{arch}");
    let archive = content::archive(built, shared);
    let archive = tarball::pack(&top, &archive, origin.source_date_epoch)?;
    let mut files = vec![
        (format!("{top}.tar.gz"), archive),
        (format!("{top}.cdx.json"), built.bom.clone().into_bytes()),
        rpm::pack(built, shared, origin)?,
    ];
    for package in package::debian(built, shared, origin)? {
        files.push(deb::pack(&package, origin.source_date_epoch)?);
    }
    if let Some(dist) = &built.library {
        files.push(wheel::pack(dist, built.arch, origin.source_date_epoch)?);
    }
    Ok(files)
}

/// Refuses a folder that has something else than a release.
fn check_replaceable(folder: &Path) -> Result<()> {
    if !folder.exists() || folder.join(PROVENANCE).is_file() {
        return Ok(());
    }
    let mut entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    if entries.next().is_some() {
        bail!(
            "{} has files, but no {PROVENANCE}, so it is no earlier release: name a new folder",
            folder.display()
        );
    }
    Ok(())
}

/// Replaces `folder` by one with `files`.
fn write(folder: &Path, files: &[(String, Vec<u8>)]) -> Result<()> {
    let partial = setup::folder::begin(folder)?;
    for (name, bytes) in files {
        let path = partial.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    setup::folder::finish(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_earlier_release_is_replaced() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("release");
        check_replaceable(&folder).unwrap();
        let file = |name: &str| (name.to_owned(), b"content".to_vec());
        write(&folder, &[file(PROVENANCE), file("old")]).unwrap();
        check_replaceable(&folder).unwrap();
        write(&folder, &[file(PROVENANCE), file("new")]).unwrap();
        assert!(folder.join("new").is_file() && !folder.join("old").exists());
        fs::remove_file(folder.join(PROVENANCE)).unwrap();
        let error = check_replaceable(&folder).unwrap_err().to_string();
        assert!(error.contains("no earlier release"), "{error}");
        assert!(folder.join("new").is_file());
    }
}
