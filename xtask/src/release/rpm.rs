// SPDX-License-Identifier: MIT OR Apache-2.0
//! The package of the programs for distributions with RPM.

use super::content::{Built, Shared};
use super::item::{Content, Item};
use super::origin::Origin;
use super::package::{self, Package};
use anyhow::{Context, Result};
use linpmem_testkit::checkout;
use rpm::{
    BuildConfig, CompressionWithLevel, Dependency, FileMode, FileOptions, PackageBuilder, Timestamp,
};

/// The package's file name and bytes.
pub fn pack(built: &Built, shared: &Shared, origin: &Origin) -> Result<(String, Vec<u8>)> {
    let mut package = package::programs(built, shared, origin, "site-functions")?;
    let third_party = built.third_party.as_str();
    let licences = "usr/share/licenses/linpmem";
    package
        .items
        .push(Item::file(format!("{licences}/THIRD-PARTY"), third_party));
    for (name, bytes) in &shared.licences {
        let path = format!("{licences}/{name}");
        package.items.push(Item::file(path, bytes.as_slice()));
    }
    let changes = super::item::read(&checkout::dir().join("CHANGELOG.md"))?;
    package
        .items
        .push(Item::file("usr/share/doc/linpmem/CHANGELOG.md", changes));
    let (version, arch) = (env!("CARGO_PKG_VERSION"), built.arch.name());
    let name = format!("{}-{version}-1.{arch}.rpm", package.name);
    let bytes = write(&package, arch, origin).with_context(|| format!("cannot pack {name}"))?;
    Ok((name, bytes))
}

fn write(package: &Package, arch: &str, origin: &Origin) -> Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let time = Timestamp(u32::try_from(origin.source_date_epoch)?);
    // As in its own sentence.
    let summary = package.summary.replacen('a', "A", 1);
    let mut builder = PackageBuilder::new(package.name, version, package.licence, arch, &summary)
        .using_config(BuildConfig::v4().compression(CompressionWithLevel::Zstd(19)))
        .release("1")
        .description(package.description.join("\n"))
        .source_date(time)
        // The name of no machine.
        .build_host("linpmem")
        .add_changelog_entry(
            format!("{} - {version}-1", package.maintainer),
            format!("- Built from the commit {}.", origin.commit),
            time,
        )
        .requires(Dependency::rpmlib("CompressedFileNames", "3.0.4-1"))
        .requires(Dependency::rpmlib("PayloadFilesHavePrefix", "4.0-1"));
    for folder in [
        "doc/linpmem",
        "doc/linpmem/docs",
        "doc/linpmem/docs/formats",
        "licenses/linpmem",
    ] {
        let folder = FileOptions::new(format!("/usr/share/{folder}")).mode(FileMode::dir(0o755));
        builder = builder.with_file_contents(Vec::new(), folder)?;
    }
    let mut items: Vec<&Item> = package.items.iter().collect();
    items.sort_by(|one, other| one.path.cmp(&other.path));
    for item in items {
        let options = FileOptions::new(format!("/{}", item.path));
        let options = match &item.path {
            path if path.starts_with("usr/share/licenses/") => options.is_license(),
            path if path.starts_with("usr/share/doc/") || path.starts_with("usr/share/man/") => {
                options.is_doc()
            }
            _ => options,
        };
        builder = match &item.content {
            Content::File { bytes, mode } => {
                let mode = FileMode::regular(u16::try_from(*mode)?);
                builder.with_file_contents(bytes.as_slice(), options.mode(mode))?
            }
            Content::Link(to) => builder.with_file_contents(
                Vec::new(),
                options.symlink(to).mode(FileMode::symbolic_link(0o777)),
            )?,
        };
    }
    let mut bytes = Vec::new();
    builder.build()?.write(&mut bytes)?;
    Ok(bytes)
}
