// SPDX-License-Identifier: MIT OR Apache-2.0
//! `THIRD-PARTY`: other people's code in what is released, with its licences.

use super::crates::Crate;
use super::item::read;
use super::origin::Compiler;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// How the files begin that crates keep their licences in.
const LICENCE_FILES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT"];

/// The content of `THIRD-PARTY`.
pub fn text(crates: &[Crate], compiler: &Compiler) -> Result<String> {
    let mut text = format!(
        "Other people's code in linpmem's programs and libraries for {}, with its licences.\n\n\
         The C library is linked into the static programs. It is free software under the\n\
         LGPL-2.1-or-later; linpmem's source, which is released with the programs, can be linked\n\
         with another version of it.\n\n",
        compiler.target
    );
    let mut row = |name: &str, licence: &str, source: &str| {
        writeln!(
            text,
            "{name}\n    licence: {licence}\n    source:  {source}"
        )
    };
    row(
        &format!("GNU C library ({})", compiler.libc),
        "LGPL-2.1-or-later",
        "https://www.gnu.org/software/libc/",
    )?;
    row(
        &format!("GCC's runtime library ({})", compiler.cc),
        "GPL-3.0-or-later WITH GCC-exception-3.1",
        "https://gcc.gnu.org/",
    )?;
    row(
        &format!("Rust's standard library ({})", compiler.rustc),
        "MIT OR Apache-2.0",
        "https://github.com/rust-lang/rust",
    )?;
    let foreign = || crates.iter().filter(|one| !one.is_own());
    for one in foreign() {
        let registry = format!("https://crates.io/crates/{}/{}", one.name, one.version);
        row(
            &format!("{} {}", one.name, one.version),
            &one.licence,
            one.repository.as_ref().unwrap_or(&registry),
        )?;
    }
    // Many crates have the same text.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in foreign() {
        for file in licence_files(&one.folder)? {
            let bytes = read(&file)?;
            let licence = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            let of = format!("{} {}", one.name, one.version);
            let crates = texts.entry(licence.trim_end().to_owned()).or_default();
            if !crates.contains(&of) {
                crates.push(of);
            }
        }
    }
    let mut texts: Vec<(String, Vec<String>)> = texts.into_iter().collect();
    texts.sort_by(|one, other| (&one.1, &one.0).cmp(&(&other.1, &other.0)));
    for (licence, crates) in texts {
        write!(
            text,
            "\n{}\n{}\n\n{licence}\n",
            "-".repeat(78),
            crates.join(", ")
        )?;
    }
    Ok(text)
}

/// The files in a crate's folder that are licences, sorted.
fn licence_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_uppercase();
        if path.is_file() && LICENCE_FILES.iter().any(|start| name.starts_with(start)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_crates_share_is_there_once() {
        let top = tempfile::tempdir().unwrap();
        let one = |name: &str, text: &str| {
            let folder = top.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("LICENSE-MIT"), text).unwrap();
            fs::write(folder.join("lib.rs"), "no licence").unwrap();
            Crate {
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                licence: "MIT".to_owned(),
                repository: None,
                description: None,
                checksum: Some("0".repeat(64)),
                folder,
                uses: Vec::new(),
            }
        };
        let own = Crate {
            checksum: None,
            ..one("own", "ours alone")
        };
        let crates = [
            one("a", "the text"),
            one("b", "the text\r\n"),
            one("c", "other"),
            own,
        ];
        let compiler = Compiler {
            target: "here",
            rustc: "rustc 1".to_owned(),
            cargo: "cargo 1".to_owned(),
            cc: "cc 1".to_owned(),
            libc: "glibc 1".to_owned(),
        };
        let text = text(&crates, &compiler).unwrap();
        assert_eq!(text.matches("the text").count(), 1);
        assert!(text.contains("\na 1.0.0, b 1.0.0\n\nthe text\n"), "{text}");
        assert!(text.contains(
            "b 1.0.0\n    licence: MIT\n    source:  https://crates.io/crates/b/1.0.0\n"
        ));
        assert!(!text.contains("ours alone") && !text.contains("no licence"));
    }
}
