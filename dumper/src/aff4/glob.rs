// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patterns of file names, for shells that are not there: `*`, `?` and `[a-z]`
//! within one part of a path.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Whether `path` has anything to expand.
pub fn is_pattern(path: &Path) -> bool {
    path.as_os_str()
        .as_bytes()
        .iter()
        .any(|byte| b"*?[".contains(byte))
}

/// The files that `pattern` matches, by name; hidden ones only if it says so.
/// Folders are passed over.
///
/// # Errors
/// If a folder that the pattern names outright cannot be listed.
pub fn expand(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str();
        if !matches!(component, Component::Normal(_)) || !is_pattern(Path::new(name)) {
            found.iter_mut().for_each(|path| path.push(component));
            continue;
        }
        // One of several folders that is none, or is closed to us, is no match.
        let is_only = found.len() == 1;
        let mut next = Vec::new();
        for folder in &found {
            match list(folder, name) {
                Ok(names) => next.extend(names),
                Err(error) if is_only => return Err(error),
                Err(_) => {}
            }
        }
        found = next;
    }
    found.retain(|path| path.metadata().is_ok_and(|metadata| !metadata.is_dir()));
    found.sort();
    Ok(found)
}

fn list(folder: &Path, pattern: &OsStr) -> io::Result<Vec<PathBuf>> {
    let open = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(open)? {
        let name = entry?.file_name();
        let is_hidden = name.as_bytes().starts_with(b".");
        if is_hidden && !pattern.as_bytes().starts_with(b".") {
            continue;
        }
        if matches(pattern.as_bytes(), name.as_bytes()) {
            found.push(folder.join(name));
        }
    }
    Ok(found)
}

/// Whether `name` is as `pattern` says. Goes back to the last `*` only, so it takes
/// no more steps than the product of both lengths.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut rest, mut left) = (pattern, name);
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', tail)) = rest.split_first().map(|(first, tail)| (*first, tail)) {
            retry = Some((tail, left));
            rest = tail;
            continue;
        }
        if left.is_empty() && rest.is_empty() {
            return true;
        }
        if let (Some((_, after)), Some(tail)) = (left.split_first(), one(rest, left)) {
            (rest, left) = (tail, after);
            continue;
        }
        // The last star takes one byte more.
        match retry {
            Some((tail, from)) if !from.is_empty() => {
                let from = from.get(1..).unwrap_or_default();
                retry = Some((tail, from));
                (rest, left) = (tail, from);
            }
            _ => return false,
        }
    }
}

/// What is left of `pattern` behind its first sign, if that matches the first byte
/// of `name`.
fn one<'a>(pattern: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let &byte = name.first()?;
    let (&sign, tail) = pattern.split_first()?;
    match sign {
        b'?' => Some(tail),
        b'[' => match set(tail, byte) {
            Some((true, rest)) => Some(rest),
            Some((false, _)) => None,
            // Without its end a bracket is a bracket.
            None => (byte == b'[').then_some(tail),
        },
        _ => (sign == byte).then_some(tail),
    }
}

/// Whether `byte` is in the set that `pattern` begins with, and what follows it.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (is_inverted, body) = match pattern.split_first() {
        Some((b'!' | b'^', body)) => (true, body),
        _ => (false, pattern),
    };
    // A bracket in the first place is one of the set.
    let end = body.iter().skip(1).position(|&sign| sign == b']')? + 1;
    let (mut signs, tail) = body.split_at_checked(end)?;
    let mut is_in = false;
    while let Some((&first, rest)) = signs.split_first() {
        signs = match rest {
            [b'-', last, rest @ ..] => {
                is_in |= (first..=*last).contains(&byte);
                rest
            }
            _ => {
                is_in |= first == byte;
                rest
            }
        };
    }
    Some((is_in != is_inverted, tail.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", "", true),
            ("*.log", "a.log", true),
            ("*.log", "a.log.1", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]x", "]x", true),
            ("[x", "[x", true),
            ("", "a", false),
        ] {
            let found = matches(pattern.as_bytes(), name.as_bytes());
            assert_eq!(found, expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let name = vec![b'a'; 4000];
        let pattern = b"*a".repeat(2000);
        assert!(matches(&pattern, &name));
        assert!(!matches(&[pattern, b"b".to_vec()].concat(), &name));
    }

    #[test]
    fn files_are_found_by_name_and_in_several_folders() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/1.log", "a/2.log", "a/3.txt", "b/1.log", "a/.log"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let found = |pattern: &str| -> Vec<String> {
            let paths = expand(&folder.path().join(pattern)).unwrap();
            let bare = paths.iter().map(|path| path.strip_prefix(folder.path()));
            bare.map(|path| path.unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(found("*/*.log"), ["a/1.log", "a/2.log", "b/1.log"]);
        assert_eq!(found("a/[2-3].*"), ["a/2.log", "a/3.txt"]);
        assert_eq!(found("a/.*"), ["a/.log"]);
        assert!(found("*").is_empty());
        assert!(expand(&folder.path().join("none/*")).is_err());
    }
}
