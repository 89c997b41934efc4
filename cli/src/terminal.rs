// SPDX-License-Identifier: MIT OR Apache-2.0
//! What reaches a terminal: files, and the machines that they are of, are not trusted.

use std::io::{self, Write};

/// Characters that are not shown but obeyed, or that change how others are shown: Unicode's
/// classes Cc (control) and Cf (format: bidirectional, zero width and so on), and the two
/// separators of lines and paragraphs.
#[must_use]
pub fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}')
}

/// `text` as one line that a terminal only shows.
#[must_use]
pub fn printable(text: &str) -> String {
    let shown = |char| if is_harmful(char) { '\u{fffd}' } else { char };
    text.chars().map(shown).collect()
}

/// The door to a terminal: every text goes through it. Line feeds and tabs pass, and so
/// does everything that is shown.
#[derive(Debug)]
pub struct Door<W: Write> {
    out: W,
    kind: Kind,
    /// The beginning of a character whose other bytes are still to come.
    begun: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Words,
    Json,
}

impl<W: Write> Door<W> {
    /// For words: harmful characters and invalid bytes become U+FFFD.
    pub const fn for_words(out: W) -> Self {
        Self {
            out,
            kind: Kind::Words,
            begun: Vec::new(),
        }
    }

    /// For JSON: harmful characters become escapes, which mean the same. They occur only
    /// within strings.
    pub const fn for_json(out: W) -> Self {
        Self {
            out,
            kind: Kind::Json,
            begun: Vec::new(),
        }
    }

    /// What it led to.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let mut clean = String::with_capacity(text.len());
        for char in text.chars() {
            let passes = match (char, self.kind) {
                ('\n', _) | ('\t', Kind::Words) => true,
                _ => !is_harmful(char),
            };
            if passes {
                clean.push(char);
            } else if self.kind == Kind::Json {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    clean.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                clean.push('\u{fffd}');
            }
        }
        self.out.write_all(clean.as_bytes())
    }
}

impl<W: Write> Write for Door<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut rest = all.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.text(text)?;
                    return Ok(bytes.len());
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    self.text(&String::from_utf8_lossy(valid))?;
                    let Some(invalid) = error.error_len() else {
                        self.begun = after.to_vec();
                        return Ok(bytes.len());
                    };
                    self.text("\u{fffd}")?;
                    rest = after.get(invalid..).unwrap_or_default();
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(kind: fn(Vec<u8>) -> Door<Vec<u8>>, pieces: &[&[u8]]) -> String {
        let mut door = kind(Vec::new());
        for piece in pieces {
            door.write_all(piece).unwrap();
        }
        String::from_utf8(door.out).unwrap()
    }

    #[test]
    fn nothing_that_a_terminal_obeys_passes() {
        let text = "a\x1b[2J\u{9b}b\u{202e}c\u{2066}d\u{200f}e\u{61c}f\u{200b}g\u{feff}\r\u{7f}\u{ad}h\n\té🦀";
        let words = through(Door::for_words, &[text.as_bytes()]);
        assert_eq!(
            words,
            "a\u{fffd}[2J\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f\u{fffd}g\u{fffd}\u{fffd}\
             \u{fffd}\u{fffd}h\n\té🦀"
        );
        assert_eq!(printable("a\nb\tc\u{2028}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
    }

    #[test]
    fn characters_that_come_in_pieces_are_the_same() {
        let text = "é\u{202e}🦀\u{e0041}x";
        let whole = through(Door::for_words, &[text.as_bytes()]);
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(through(Door::for_words, &bytes), whole);
        assert_eq!(whole, "é\u{fffd}🦀\u{fffd}x");
        assert_eq!(
            through(Door::for_words, &[b"a\xffb\xc3", b"("]),
            "a\u{fffd}b\u{fffd}("
        );
    }

    #[test]
    fn json_means_the_same_with_its_escapes() {
        let text = "\u{1b}\u{7f}\u{9b}\u{202e}\u{e0041}\n\té";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let safe = through(Door::for_json, &[json.as_bytes()]);
        assert!(
            !safe.chars().any(|char| is_harmful(char) && char != '\n'),
            "{safe}"
        );
        assert_eq!(serde_json::from_str::<Vec<String>>(&safe).unwrap(), [text]);
    }
}
