// SPDX-License-Identifier: MIT OR Apache-2.0
//! `THIRD-PARTY`: other people's code in what is released, with its licences.

use super::crates::Crate;
use super::item::read;
use super::origin::Compiler;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::checkout;
use linpmem_testkit::debian_tree::DebianTree;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// How the files begin that crates keep their licences in.
const LICENCE_FILES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT"];

/// The C library's licence, as Debian has it.
const LGPL: &str = "usr/share/common-licenses/LGPL-2.1";

/// The text of the C library's licence, from a Debian tree.
pub fn lgpl(tree: &DebianTree) -> Result<String> {
    let text = read(&tree.outside(LGPL))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The content of `THIRD-PARTY`; `lgpl` is the C library's licence.
pub fn text(crates: &[Crate], compiler: &Compiler, lgpl: &str) -> Result<String> {
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
    let mut add = |of: &str, licence: &str| {
        let licence = licence.replace("\r\n", "\n");
        let crates = texts.entry(licence.trim_end().to_owned()).or_default();
        if !crates.iter().any(|known| known == of) {
            crates.push(of.to_owned());
        }
    };
    add("GNU C library", lgpl);
    add(
        "Rust's standard library",
        &standard("MIT OR Apache-2.0", "")?,
    );
    for one in foreign() {
        let of = format!("{} {}", one.name, one.version);
        let files = licence_files(&one.folder)?;
        for file in &files {
            add(&of, &String::from_utf8_lossy(&read(file)?));
        }
        if files.is_empty() {
            let text = standard(&one.licence, &one.name);
            add(
                &of,
                &text.with_context(|| format!("{of} has no text of its licence"))?,
            );
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

/// The usual text of a licence, for the crate `name`, which has none.
fn standard(expression: &str, name: &str) -> Result<String> {
    let own = |file: &str| -> Result<String> {
        let text = read(&checkout::dir().join(file))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    if expression.contains("Apache-2.0") {
        return own("LICENSE-APACHE");
    }
    ensure!(
        expression == "MIT",
        "no text of the licence {expression} is known"
    );
    let lines = own("LICENSE-MIT")?;
    let holder = |line: &str| match line.starts_with("Copyright") {
        true => format!("Copyright (c) the authors of {name}"),
        false => line.to_owned(),
    };
    let lines: Vec<String> = lines.lines().map(holder).collect();
    Ok(lines.join("\n"))
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
        let bare = one("d", "");
        fs::remove_file(bare.folder.join("LICENSE-MIT")).unwrap();
        let crates = [
            one("a", "the text"),
            one("b", "the text\r\n"),
            one("c", "other"),
            own,
            bare,
        ];
        let compiler = Compiler {
            target: "here",
            rustc: "rustc 1".to_owned(),
            cargo: "cargo 1".to_owned(),
            cc: "cc 1".to_owned(),
            libc: "glibc 1".to_owned(),
        };
        let text = text(&crates, &compiler, "the library's text").unwrap();
        assert!(
            text.contains("\nGNU C library\n\nthe library's text\n"),
            "{text}"
        );
        assert_eq!(text.matches("the text").count(), 1);
        assert!(text.contains("\na 1.0.0, b 1.0.0\n\nthe text\n"), "{text}");
        assert!(text.contains(
            "b 1.0.0\n    licence: MIT\n    source:  https://crates.io/crates/b/1.0.0\n"
        ));
        assert!(text.contains("\nd 1.0.0\n"), "{text}");
        assert!(text.contains("Copyright (c) the authors of d\n"), "{text}");
        assert!(!text.contains("ours alone") && !text.contains("no licence"));
    }
}
