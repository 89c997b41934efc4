// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a description may make its parser do, checked before the parser sees it.
//!
//! A prefix or base is written once and expanded wherever it is used, also in further
//! prefixes and bases: a few bytes each time, and all of it in the parser's memory. So the
//! names in directives are limited to what any description needs.

use crate::aff4::Error;

/// The longest IRI to accept. AFF4's have a few dozen bytes, and a path on the acquired
/// machine has up to 4095, of which each may take three.
pub(super) const MAX_IRI_BYTES: usize = 16 << 10;
/// The most `@prefix` and `@base` directives; a description has about five.
const MAX_DIRECTIVES: usize = 256;
/// The most bytes of the IRIs in all directives together.
const MAX_DIRECTIVE_BYTES: usize = 64 << 10;

/// Checks the IRIs and directives of `text`. What is not Turtle is left to the parser.
pub(super) fn check(text: &[u8]) -> Result<(), Error> {
    let mut scan = Scan {
        rest: text,
        is_new_token: true,
        in_directive: false,
        directives: 0,
        directive_bytes: 0,
    };
    while scan.step()? {}
    Ok(())
}

struct Scan<'a> {
    rest: &'a [u8],
    /// Whether a keyword may begin here.
    is_new_token: bool,
    /// Whether the next IRI belongs to a directive.
    in_directive: bool,
    directives: usize,
    directive_bytes: usize,
}

impl<'a> Scan<'a> {
    /// Passes over one token, or one byte of it; `false` at the end.
    fn step(&mut self) -> Result<bool, Error> {
        let Some((&first, tail)) = self.rest.split_first() else {
            return Ok(false);
        };
        match first {
            b'#' => self.rest = after(tail, b'\n'),
            b'<' => self.iri(tail)?,
            b'"' | b'\'' => self.rest = after_string(tail, first),
            _ => {
                if self.is_new_token && is_directive(self.rest) {
                    self.in_directive = true;
                    self.directives += 1;
                    if self.directives > MAX_DIRECTIVES {
                        return Err(Error::TooLarge(
                            "more than 256 prefixes and bases in its description",
                        ));
                    }
                }
                self.rest = tail;
            }
        }
        self.is_new_token = !(first.is_ascii_alphanumeric() || b":_-%\\@".contains(&first));
        Ok(true)
    }

    fn iri(&mut self, tail: &'a [u8]) -> Result<(), Error> {
        let end = tail.iter().position(|&byte| byte == b'>');
        let len = end.unwrap_or(tail.len());
        if len > MAX_IRI_BYTES {
            return Err(Error::TooLarge(
                "a name of more than 16,384 bytes in its description",
            ));
        }
        if std::mem::take(&mut self.in_directive) {
            self.directive_bytes += len;
            if self.directive_bytes > MAX_DIRECTIVE_BYTES {
                return Err(Error::TooLarge(
                    "prefixes of more than 65,536 bytes in its description",
                ));
            }
        }
        self.rest = after(tail, b'>');
        Ok(())
    }
}

/// Whether `text` begins with `@prefix`, `@base` or their spelling in SPARQL.
fn is_directive(text: &[u8]) -> bool {
    let word = text.strip_prefix(b"@").unwrap_or(text);
    let begins = |name: &[u8]| {
        word.split_at_checked(name.len())
            .is_some_and(|(head, _)| head.eq_ignore_ascii_case(name))
    };
    begins(b"prefix") || begins(b"base")
}

/// What follows the next `byte`.
fn after(text: &[u8], byte: u8) -> &[u8] {
    let end = text.iter().position(|&found| found == byte);
    end.and_then(|end| text.get(end + 1..)).unwrap_or_default()
}

/// What follows the string whose opening `quote` precedes `text`.
fn after_string(text: &[u8], quote: u8) -> &[u8] {
    let long = [quote, quote];
    let (mut rest, is_long) = match text.strip_prefix(&long) {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    // Two quotes are the empty string, unless a third follows.
    if is_long {
        match rest.strip_prefix(&[quote]) {
            Some(inside) => rest = inside,
            None => return rest,
        }
    }
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'\\' {
            rest = rest.get(1..).unwrap_or_default();
        } else if first == quote {
            match is_long {
                false => return rest,
                true => {
                    if let Some(end) = rest.strip_prefix(&long) {
                        return end;
                    }
                }
            }
        } else if first == b'\n' && !is_long {
            // No short string has a line feed: what follows is read as it is.
            return rest;
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_found_wherever_they_are_and_nowhere_else() {
        let long = "x".repeat(MAX_IRI_BYTES + 1);
        for text in [
            format!("<a> <b> <{long}> ."),
            format!("@prefix a: <{long}> ."),
            format!("<a> <b> \"\"\"<\"\"\" , <{long}> ."),
            format!("<a> <b> \"\\\"\" ; <c> <{long}> ."),
            format!("# it's\n<{long}>"),
            format!("<a> <b> '' , <{long}>"),
            format!("<{long}"),
        ] {
            assert!(check(text.as_bytes()).is_err(), "{}", &text[..20]);
        }
        for text in [
            format!("<a> <b> \"<{long}>\" ."),
            format!("<a> <b> \"\"\"\"<\n{long}>\"\"\" ."),
            format!("<a> <b> '''it's <{long}>''' ."),
            format!("# <{long}>\n<a> <b> <c> ."),
            format!("<{}> <b> <c> .", "x".repeat(MAX_IRI_BYTES)),
        ] {
            check(text.as_bytes()).unwrap();
        }
    }

    #[test]
    fn directives_are_counted_in_both_spellings() {
        let long = "y".repeat(MAX_IRI_BYTES);
        for text in [
            "@prefix a: <b> .\n".repeat(MAX_DIRECTIVES + 1),
            "BASE <a/>\n".repeat(MAX_DIRECTIVES + 1),
            "pReFiX a: <b>\n".repeat(MAX_DIRECTIVES + 1),
            format!("@base <{long}> .\n").repeat(5),
        ] {
            assert!(check(text.as_bytes()).is_err(), "{}", &text[..10]);
        }
        let names = "<a> ex:prefix <b> ; ex:base <c> , \"@prefix \"@en .\n".repeat(1000);
        check(names.as_bytes()).unwrap();
        check("@prefix a: <b> .\n".repeat(MAX_DIRECTIVES).as_bytes()).unwrap();
    }
}
