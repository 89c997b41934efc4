// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that are printed to be pasted into a shell.

use linpmem_cli::is_harmful;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// How a shell finds this program again: as it was called, if that was by a path.
#[must_use]
pub fn program() -> String {
    let called = std::env::args_os().next();
    match called.filter(|name| name.as_bytes().contains(&b'/')) {
        Some(path) => word(&path),
        None => super::PROGRAM.name.to_owned(),
    }
}

/// The command of this program that does `what` to the file at `path`.
#[must_use]
pub fn own_command(what: &str, path: &Path) -> String {
    format!("{} {what} {}", program(), quoted(path))
}

/// The command that has `program` do something to the file at `path`.
#[cfg(feature = "mount")]
#[must_use]
pub fn command(program: &str, path: &Path) -> String {
    format!("{program} {}", quoted(path))
}

/// `path` as a word for a shell, which no program takes for an option, or for the name of
/// another machine or a URL.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let first = bytes.split(|&byte| byte == b'/').next().unwrap_or_default();
    if first.starts_with(b"-") || first.contains(&b':') {
        return word(&OsString::from_vec([b"./", bytes].concat()));
    }
    word(path.as_os_str())
}

/// `text` as one word for a shell. What a terminal would not show as it is needs `$'…'`, which
/// bash, zsh, ksh and busybox know.
#[must_use]
pub fn word(text: &OsStr) -> String {
    let is_plain = |&byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:@,".contains(&byte);
    let bytes = text.as_bytes();
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return bytes.iter().copied().map(char::from).collect();
    }
    match text.to_str() {
        Some(text) if !text.chars().any(is_harmful) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => format!("$'{}'", escaped(bytes)),
    }
}

/// `bytes` for `$'…'`.
fn escaped(bytes: &[u8]) -> String {
    let octal = |bytes: &[u8]| -> String {
        let digits = bytes.iter().map(|byte| format!("\\{byte:03o}"));
        digits.collect()
    };
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\'' | '\\' => text.extend(['\\', char]),
                char if is_harmful(char) => {
                    text.push_str(&octal(char.encode_utf8(&mut [0; 4]).as_bytes()));
                }
                char => text.push(char),
            }
        }
        text.push_str(&octal(chunk.invalid()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What a shell makes of a word.
    fn read_by_shell(word: &str) -> Vec<u8> {
        let script = format!("printf %s {word}");
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{word}");
        output.stdout
    }

    #[test]
    fn a_shell_reads_every_name_as_it_is() {
        for name in [
            &b"a.core"[..],
            b"a b",
            b"it's",
            b"'",
            b"",
            b"$HOME`id`\\n\"!*?[a]{a,b}~#;&|<>()",
            b"~",
            b"=ls",
            b"a\nb\n",
            b"\x1b[2J",
            b"\xff\xfe'\\9",
            "é🦀".as_bytes(),
            "a\u{202e}b".as_bytes(),
            b"-",
            b"a\xc3",
        ] {
            let quoted = word(OsStr::from_bytes(name));
            assert_eq!(read_by_shell(&quoted), name, "{quoted}");
            assert!(!quoted.chars().any(is_harmful), "{quoted}");
        }
        let all: Vec<u8> = (1..=255).collect();
        assert_eq!(read_by_shell(&word(OsStr::from_bytes(&all))), all);
    }

    #[test]
    fn no_name_is_an_option_or_another_machine() {
        for (name, expected) in [
            ("-rf", "./-rf"),
            ("--help", "./--help"),
            ("-a/b", "./-a/b"),
            ("web:1.core", "./web:1.core"),
            ("a/b:c", "a/b:c"),
            ("/a:b", "/a:b"),
            ("- b", "'./- b'"),
        ] {
            assert_eq!(quoted(Path::new(name)), expected);
        }
    }
}
