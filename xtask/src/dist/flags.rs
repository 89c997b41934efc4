// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flags that make what is released the same bytes wherever it is built.

use anyhow::Result;
use linpmem_testkit::arch::Arch;
use linpmem_testkit::build_kind::BuildKind;
use linpmem_testkit::checkout;
use linpmem_testkit::cross;
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Between flags in `CARGO_ENCODED_RUSTFLAGS`, so that paths may have blanks.
const SEPARATOR: &str = "\x1f";

/// Has `cargo` compile with the flags `more` and, unless it is for tests alone, without the names of
/// this machine's folders. Tests compile the dependencies of such programs with the same flags, so
/// that they do it once.
pub(super) fn set(cargo: &mut Command, arch: Arch, more: &[&str]) -> Result<()> {
    let folders = match BuildKind::of(arch) {
        BuildKind::Release => folders(arch)?,
        BuildKind::Quick => Vec::new(),
    };
    let given = env::var("RUSTFLAGS").unwrap_or_default();
    let mut flags: Vec<String> = given.split_whitespace().map(str::to_owned).collect();
    // Of those that fit, the last one counts.
    let renamed = folders
        .iter()
        .map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display()));
    flags.extend(renamed);
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join(SEPARATOR));
    cargo.env_remove("RUSTFLAGS");
    if folders.is_empty() {
        return Ok(());
    }
    // The C code of dependencies: its assertions name their files.
    let mut flags = env::var("CFLAGS").unwrap_or_default();
    for (folder, name) in &folders {
        let folder = folder.display().to_string();
        let word = match is_a_word(&folder) {
            true => folder,
            false => {
                cargo.env("CC_SHELL_ESCAPED_FLAGS", "1");
                quoted(&folder)
            }
        };
        flags = format!("{flags} -ffile-prefix-map={word}={name}");
    }
    let variable = format!("CFLAGS_{}", arch.target().replace('-', "_"));
    cargo.env(variable, flags.trim());
    Ok(())
}

/// The folders whose names would get into programs, with what stands for them.
fn folders(arch: Arch) -> Result<Vec<(PathBuf, &'static str)>> {
    Ok(vec![
        (checkout::dir(), "/linpmem"),
        (cross::target_dir(arch), "/target"),
        (cross::cargo_home()?, "/cargo"),
    ])
}

/// Whether a shell takes `text` as it is.
fn is_a_word(text: &str) -> bool {
    text.chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "/._-+".contains(letter))
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
