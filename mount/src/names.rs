// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names from an image, as names of files.

use std::collections::HashMap;

/// Bytes of a name that are kept; file systems allow 255.
const MAX_BYTES: usize = 200;

/// `name` as the name of one file: in it, what separates folders, moves a terminal's cursor or
/// turns its direction around becomes U+FFFD.
pub(crate) fn file_name(name: &str) -> String {
    let mut shown = String::with_capacity(name.len().min(MAX_BYTES));
    let mut is_whole = true;
    for char in name.chars().map(shown_in_a_name) {
        if shown.len() + char.len_utf8() > MAX_BYTES {
            is_whole = false;
            break;
        }
        shown.push(char);
    }
    if !is_whole {
        shown.push('\u{2026}');
    }
    match shown.as_str() {
        "" | "." | ".." => format!("_{shown}"),
        _ => shown,
    }
}

/// `char`, or U+FFFD in place of what is in no name of a file.
pub(crate) const fn shown_in_a_name(char: char) -> char {
    if is_refused(char) { '\u{fffd}' } else { char }
}

const fn is_refused(char: char) -> bool {
    matches!(
        char,
        '/' | '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

/// The names that are taken in a folder.
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: HashMap<String, u64>,
    /// How often each name was asked for.
    asked: HashMap<String, u64>,
}

impl Names {
    /// Gives `node` the name `name`, or, if that is taken, the name with a number.
    pub(crate) fn give(&mut self, name: &str, node: u64) -> String {
        let name = file_name(name);
        let count = self.asked.entry(name.clone()).or_insert(0);
        loop {
            *count += 1;
            let given = match *count {
                1 => name.clone(),
                count => format!("{name}~{count}"),
            };
            if !self.taken.contains_key(&given) {
                self.taken.insert(given.clone(), node);
                return given;
            }
        }
    }

    /// The node of this name.
    pub(crate) fn find(&self, name: &str) -> Option<u64> {
        self.taken.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_of_a_file_becomes_one() {
        for (name, shown) in [
            ("sshd", "sshd"),
            ("../../etc/passwd", "..\u{fffd}..\u{fffd}etc\u{fffd}passwd"),
            ("", "_"),
            (".", "_."),
            ("..", "_.."),
            ("...", "..."),
            ("a\nb\u{1b}[2J\u{7f}", "a\u{fffd}b\u{fffd}[2J\u{fffd}"),
            ("exe\u{202e}gpj", "exe\u{fffd}gpj"),
            ("käse", "käse"),
        ] {
            assert_eq!(file_name(name), shown);
        }
        let long = file_name(&"\u{e4}".repeat(1000));
        assert_eq!(long.len(), 203);
        assert!(long.ends_with("\u{e4}\u{2026}"), "{long}");
        assert_eq!(file_name(&"x".repeat(200)).len(), 200);
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let mut names = Names::default();
        // The third is what the second would be called.
        let given = ["a", "a", "a~2", "a/", "a\n"].map(|name| names.give(name, 7));
        assert_eq!(given, ["a", "a~2", "a~2~2", "a\u{fffd}", "a\u{fffd}~2"]);
        assert_eq!(names.give("a", 9), "a~3");
        assert_eq!((names.find("a~3"), names.find("b")), (Some(9), None));
        let mut names = Names::default();
        names.give("a~2", 1);
        assert_eq!(names.give("a", 2), "a");
        assert_eq!(names.give("a", 3), "a~3");
    }
}
