// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading Turtle.

use crate::aff4::Error;
use crate::aff4::schema::{AFF4, RDF_TYPE, XSD};
use oxttl::TurtleParser;
use oxttl::turtle::SliceTurtleParser;
use std::collections::BTreeMap;

/// The most triples to accept; a range of memory has six.
const MAX_TRIPLES: usize = 4 << 20;

/// The triples of one or several volumes: the properties of each subject.
#[derive(Debug, Default)]
pub(in crate::aff4) struct Triples {
    subjects: BTreeMap<String, Vec<(String, Term)>>,
    count: usize,
}

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::aff4) enum Term {
    /// An IRI: an object, or a name in a vocabulary.
    Iri(String),
    /// Text and its type.
    Literal {
        text: String,
        /// Without the prefix of AFF4's vocabulary or of XML Schema.
        datatype: String,
    },
}

impl Triples {
    /// Adds the triples of `text`, whose relative names are below `base`.
    pub(in crate::aff4) fn add(&mut self, text: &[u8], base: &str) -> Result<(), Error> {
        let parser = TurtleParser::new().unchecked();
        let parser = parser
            .clone()
            .with_base_iri(base)
            .unwrap_or(parser)
            .for_slice(text);
        self.take(parser)
    }

    fn take(&mut self, parser: SliceTurtleParser<'_>) -> Result<(), Error> {
        for triple in parser {
            let triple = triple.map_err(|error| Error::Turtle {
                // The parser counts from 0.
                line: error.location().start.line + 1,
                message: error.message().to_owned(),
            })?;
            self.count += 1;
            if self.count > MAX_TRIPLES {
                return Err(Error::TooLarge("information.turtle"));
            }
            let subject = match triple.subject {
                oxrdf::Subject::NamedNode(node) => node.into_string(),
                oxrdf::Subject::BlankNode(node) => node.to_string(),
            };
            let object = match triple.object {
                oxrdf::Term::NamedNode(node) => Term::Iri(node.into_string()),
                oxrdf::Term::BlankNode(node) => Term::Iri(node.to_string()),
                oxrdf::Term::Literal(literal) => {
                    let (text, datatype, _) = literal.destruct();
                    let datatype = datatype.map_or_else(String::new, |node| {
                        let iri = node.as_str();
                        let short = iri.strip_prefix(AFF4).or_else(|| iri.strip_prefix(XSD));
                        short.unwrap_or(iri).to_owned()
                    });
                    Term::Literal { text, datatype }
                }
            };
            let predicate = match triple.predicate.as_str() {
                RDF_TYPE => "a".to_owned(),
                iri => iri.strip_prefix(AFF4).unwrap_or(iri).to_owned(),
            };
            let properties = self.subjects.entry(subject).or_default();
            // The volumes of a striped image repeat common properties.
            let known = properties.len() < 64
                && properties
                    .iter()
                    .any(|(name, value)| *name == predicate && *value == object);
            if !known {
                properties.push((predicate, object));
            }
        }
        Ok(())
    }

    pub(in crate::aff4) fn subjects(&self) -> impl Iterator<Item = &str> {
        self.subjects.keys().map(String::as_str)
    }

    /// All values of a property. Names in AFF4's vocabulary are without its prefix; `a` is
    /// the type.
    pub(in crate::aff4) fn values<'a>(
        &'a self,
        subject: &str,
        property: &'a str,
    ) -> impl Iterator<Item = &'a Term> + use<'a> {
        self.subjects
            .get(subject)
            .into_iter()
            .flatten()
            .filter_map(move |(name, value)| (name == property).then_some(value))
    }

    pub(in crate::aff4) fn properties(&self, subject: &str) -> &[(String, Term)] {
        self.subjects.get(subject).map_or(&[], Vec::as_slice)
    }

    /// The IRIs among the values of a property.
    pub(in crate::aff4) fn iris<'a>(
        &'a self,
        subject: &str,
        property: &'a str,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        self.values(subject, property).filter_map(Term::iri)
    }

    /// The first text among the values of a property.
    pub(in crate::aff4) fn text(&self, subject: &str, property: &str) -> Option<&str> {
        self.subjects
            .get(subject)?
            .iter()
            .filter(|(name, _)| name == property)
            .find_map(|(_, value)| value.text())
    }

    /// The first number among the values of these properties.
    pub(in crate::aff4) fn number(&self, subject: &str, properties: &[&str]) -> Option<u64> {
        properties
            .iter()
            .find_map(|property| self.text(subject, property)?.trim().parse().ok())
    }

    /// Whether the subject has the type `name` of the vocabulary, which is in lower case in
    /// volumes from before the standard.
    pub(in crate::aff4) fn is_a(&self, subject: &str, name: &str) -> bool {
        self.iris(subject, "a").any(|iri| {
            iri.strip_prefix(AFF4)
                .is_some_and(|found| found.eq_ignore_ascii_case(name))
        })
    }
}

impl Term {
    pub(in crate::aff4) fn iri(&self) -> Option<&str> {
        match self {
            Self::Iri(iri) => Some(iri),
            Self::Literal { .. } => None,
        }
    }

    pub(in crate::aff4) fn text(&self) -> Option<&str> {
        match self {
            Self::Iri(_) => None,
            Self::Literal { text, .. } => Some(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aff4::turtle::{Turtle, Value};

    fn triples(text: &str) -> Triples {
        let mut triples = Triples::default();
        triples.add(text.as_bytes(), "aff4://volume").unwrap();
        triples
    }

    #[test]
    fn turtle_of_other_writers_is_understood() {
        let triples = triples(
            "@prefix : <aff4://volume> .\n@prefix aff4: <http://aff4.org/Schema#> .\n\
             @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n\
             : a aff4:ZipVolume ; aff4:contains <aff4://a> , <aff4://b> .\n\
             @base <aff4://other/> .\n\
             <x/y> a aff4:map ; aff4:size 4096 ; aff4:chunkSize \"32768\"^^xsd:int .\n",
        );
        assert!(triples.is_a("aff4://volume", "ZipVolume"));
        assert_eq!(triples.iris("aff4://volume", "contains").count(), 2);
        assert!(triples.is_a("aff4://other/x/y", "Map"));
        assert_eq!(triples.number("aff4://other/x/y", &["size"]), Some(4096));
        assert_eq!(
            triples.number("aff4://other/x/y", &["chunk_size", "chunkSize"]),
            Some(32768)
        );
    }

    #[test]
    fn every_text_reads_back() {
        let odd = "\u{0}\u{1}\"quoted\" \\ \u{7f}\u{85}\n\r\t\u{2028} é 🦀 ' ^^ . ;";
        let mut turtle = Turtle::new();
        turtle.write_triples(
            "aff4://volume/a b<>\"{}|^`\\%20",
            &[
                ("notes", Value::Text(odd)),
                ("linpmem:x", Value::Long(u64::MAX)),
            ],
        );
        let triples = triples(std::str::from_utf8(&turtle.into_bytes()).unwrap());
        let subject = "aff4://volume/a b<>\"{}|^`\\%20";
        assert_eq!(triples.text(subject, "notes"), Some(odd));
        assert_eq!(
            triples.number(subject, &["urn:linpmem:schema#x"]),
            Some(u64::MAX)
        );
    }

    #[test]
    fn bad_turtle_is_an_error_with_its_line() {
        let mut triples = Triples::default();
        let error = triples.add(b"\n\n<a> <b> .", "aff4://volume").unwrap_err();
        assert!(matches!(error, Error::Turtle { line: 3, .. }), "{error}");
    }
}
