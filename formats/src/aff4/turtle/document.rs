// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing Turtle.

use crate::aff4::schema::{AFF4, LINPMEM, XSD};
use std::fmt::Write;

/// A document being written.
#[derive(Debug)]
pub(in crate::aff4) struct Turtle(String);

/// The value of a property.
#[derive(Clone, Debug)]
pub(in crate::aff4) enum Value<'a> {
    /// A name in AFF4's own vocabulary.
    Name(&'a str),
    /// Any other IRI.
    Iri(&'a str),
    /// Text.
    Text(&'a str),
    /// A number, as `xsd:long`.
    Long(u64),
    /// A number, as `xsd:int`.
    Int(u64),
    /// A time, as `xsd:dateTime`.
    Time(&'a str),
    /// A digest, and the name of its algorithm in the vocabulary.
    Digest(String, &'a str),
}

impl Turtle {
    pub(in crate::aff4) fn new() -> Self {
        Self(format!(
            "@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .\n\
             @prefix xsd: <{XSD}> .\n\
             @prefix aff4: <{AFF4}> .\n\
             @prefix linpmem: <{LINPMEM}> .\n"
        ))
    }

    /// Adds the triples of `subject` with each of `properties`: names in the vocabulary and
    /// their values. Names that begin with `linpmem:` are linpmem's own.
    pub(in crate::aff4) fn write_triples(
        &mut self,
        subject: &str,
        properties: &[(&str, Value<'_>)],
    ) {
        self.0.push('\n');
        self.iri(subject);
        for (index, (name, value)) in properties.iter().enumerate() {
            self.0
                .push_str(if index == 0 { "\n    " } else { " ;\n    " });
            match *name {
                "a" => self.0.push('a'),
                own if own.contains(':') => self.0.push_str(own),
                name => {
                    self.0.push_str("aff4:");
                    self.0.push_str(name);
                }
            }
            self.0.push(' ');
            self.value(value);
        }
        self.0.push_str(" .\n");
    }

    pub(in crate::aff4) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::Name(name) => {
                self.0.push_str("aff4:");
                self.0.push_str(name);
            }
            Value::Iri(iri) => self.iri(iri),
            Value::Text(text) => self.string(text),
            Value::Long(number) => self.number(*number, "long"),
            Value::Int(number) => self.number(*number, "int"),
            Value::Time(time) => {
                self.string(time);
                self.0.push_str("^^xsd:dateTime");
            }
            Value::Digest(digest, datatype) => {
                self.string(digest);
                self.0.push_str("^^aff4:");
                self.0.push_str(datatype);
            }
        }
    }

    fn number(&mut self, number: u64, datatype: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "\"{number}\"^^xsd:{datatype}");
    }

    /// Writes an IRIREF of the grammar; the characters that it excludes are escaped.
    fn iri(&mut self, iri: &str) {
        self.0.push('<');
        for char in iri.chars() {
            if char <= ' ' || "<>\"{}|^`\\".contains(char) {
                self.escape(char);
            } else {
                self.0.push(char);
            }
        }
        self.0.push('>');
    }

    /// Writes a STRING_LITERAL_QUOTE of the grammar.
    fn string(&mut self, text: &str) {
        self.0.push('"');
        for char in text.chars() {
            match char {
                '"' | '\\' => {
                    self.0.push('\\');
                    self.0.push(char);
                }
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                _ if char.is_control() => self.escape(char),
                _ => self.0.push(char),
            }
        }
        self.0.push('"');
    }

    fn escape(&mut self, char: char) {
        let _ = write!(self.0, "\\u{:04X}", u32::from(char));
    }
}
