// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading Turtle.

use super::limits::{self, MAX_IRI_BYTES};
use crate::aff4::Error;
use crate::aff4::schema::{self, RDF_TYPE, XSD};
use crate::{Account, OverBudget};
use linpmem_phys::num::{u32_as_usize, usize_as_u64};
use oxttl::TurtleParser;
use oxttl::turtle::SliceTurtleParser;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The triples of one or several volumes: the properties of each subject.
#[derive(Debug, Default)]
pub(in crate::aff4) struct Triples {
    subjects: BTreeMap<Arc<str>, u32>,
    names: Names,
    /// By the numbers of their subjects and names.
    values: BTreeMap<(u32, u32), Values>,
    count: u32,
}

/// The names of properties and types of literals, each once.
#[derive(Debug, Default)]
struct Names {
    list: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

/// The values of a property, each once, with the numbers of their triples, which give the
/// order of the text.
#[derive(Debug)]
enum Values {
    One([(u32, Term); 1]),
    Many(Box<Many>),
}

#[derive(Debug, Default)]
struct Many {
    list: Vec<(u32, Term)>,
    /// All of them, once there are more than a few.
    known: HashSet<Term>,
}

/// More values than this are looked up by their hashes.
const FEW: usize = 8;

/// The value of a property.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::aff4) enum Term {
    /// An IRI: an object, or a name in a vocabulary.
    Iri(Arc<str>),
    /// Text and its type.
    Literal {
        text: Arc<str>,
        /// Without the prefix of AFF4's vocabulary or of XML Schema.
        datatype: Arc<str>,
    },
}

/// What triples are called where they exceed a budget.
const WHAT: &str = "the statements of an AFF4 image's description";

/// What a triple takes besides its texts: its places in lists and tables.
const TRIPLE_BYTES: usize = 112;
/// What a subject takes besides its name.
const SUBJECT_BYTES: usize = 64;
/// Long texts are copied where they are shown; short ones weigh less than their triple.
const LONG_BYTES: usize = 128;
const COPIES: usize = 3;

impl Triples {
    /// Adds the triples of `text`, whose relative names are below `base`.
    pub(in crate::aff4) fn add(
        &mut self,
        text: &[u8],
        base: &str,
        account: &Account,
    ) -> Result<(), Error> {
        limits::check(text)?;
        let parser = TurtleParser::new().unchecked();
        let parser = parser
            .clone()
            .with_base_iri(base)
            .unwrap_or(parser)
            .for_slice(text);
        self.take(parser, account)
    }

    fn take(&mut self, parser: SliceTurtleParser<'_>, account: &Account) -> Result<(), Error> {
        for triple in parser {
            let triple = triple.map_err(|error| Error::Turtle {
                // The parser counts from 0.
                line: error.location().start.line + 1,
                message: error.message().to_owned(),
            })?;
            account.item(WHAT)?;
            let subject = match triple.subject {
                oxrdf::Subject::NamedNode(node) => node.into_string(),
                oxrdf::Subject::BlankNode(node) => node.to_string(),
            };
            let iri = |text: &str| within_limit(text).map(|text| Term::Iri(text.into()));
            let object = match triple.object {
                oxrdf::Term::NamedNode(node) => iri(node.as_str())?,
                oxrdf::Term::BlankNode(node) => iri(&node.to_string())?,
                oxrdf::Term::Literal(literal) => {
                    let (text, datatype, _) = literal.destruct();
                    let datatype = datatype.as_ref().map_or("", |node| {
                        let iri = node.as_str();
                        let short = schema::short(iri).or_else(|| iri.strip_prefix(XSD));
                        short.unwrap_or(iri)
                    });
                    let number = self.names.number(within_limit(datatype)?, account)?;
                    let datatype = self.names.name(number);
                    let text = text.into();
                    Term::Literal { text, datatype }
                }
            };
            let predicate = match triple.predicate.as_str() {
                RDF_TYPE => "a",
                iri => within_limit(schema::short(iri).unwrap_or(iri))?,
            };
            within_limit(&subject)?;
            self.insert(&subject, predicate, object, account)?;
        }
        Ok(())
    }

    fn insert(
        &mut self,
        subject: &str,
        predicate: &str,
        object: Term,
        account: &Account,
    ) -> Result<(), Error> {
        let name = self.names.number(predicate, account)?;
        let known = self.subjects.get(subject).copied();
        let subject = match known {
            Some(number) => number,
            None => {
                hold(account, SUBJECT_BYTES, subject)?;
                let number = number_of(self.subjects.len())?;
                self.subjects.insert(subject.into(), number);
                number
            }
        };
        let triple = (self.count, object);
        let next = self.count.checked_add(1);
        let full = Error::TooLarge("a description of more than 2^32 statements");
        self.count = next.ok_or(full)?;
        let (_, object) = &triple;
        match self.values.entry((subject, name)) {
            Entry::Vacant(free) => {
                hold(account, TRIPLE_BYTES, object.any_text())?;
                free.insert(Values::One([triple]));
            }
            // The volumes of a striped image repeat common properties.
            Entry::Occupied(mut values) => {
                if !values.get().has(object) {
                    hold(account, TRIPLE_BYTES, object.any_text())?;
                    values.get_mut().push(triple);
                }
            }
        }
        Ok(())
    }

    pub(in crate::aff4) fn subjects(&self) -> impl Iterator<Item = &str> {
        self.subjects.keys().map(|subject| &**subject)
    }

    /// All values of a property. Names in AFF4's vocabulary are without its prefix; `a` is
    /// the type.
    pub(in crate::aff4) fn values<'a>(
        &'a self,
        subject: &str,
        property: &str,
    ) -> impl Iterator<Item = &'a Term> + use<'a> {
        let subject = self.subjects.get(subject).copied();
        let values = subject
            .zip(self.names.numbers.get(property).copied())
            .and_then(|key| self.values.get(&key));
        let values = values.map_or(&[][..], Values::list);
        values.iter().map(|(_, term)| term)
    }

    /// The properties of a subject, in the order of the text.
    pub(in crate::aff4) fn properties(&self, subject: &str) -> Vec<(Arc<str>, &Term)> {
        let Some(&subject) = self.subjects.get(subject) else {
            return Vec::new();
        };
        let properties = self.values.range((subject, 0)..=(subject, u32::MAX));
        let mut all: Vec<(u32, u32, &Term)> = properties
            .flat_map(|(&(_, name), values)| {
                let values = values.list().iter();
                values.map(move |(number, value)| (*number, name, value))
            })
            .collect();
        all.sort_unstable_by_key(|(number, ..)| *number);
        all.into_iter()
            .map(|(_, name, value)| (self.names.name(name), value))
            .collect()
    }

    /// The IRIs among the values of a property.
    pub(in crate::aff4) fn iris<'a>(
        &'a self,
        subject: &str,
        property: &str,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        self.values(subject, property).filter_map(Term::iri)
    }

    /// The first text among the values of a property.
    pub(in crate::aff4) fn text(&self, subject: &str, property: &str) -> Option<&str> {
        self.values(subject, property).find_map(Term::text)
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
        self.iris(subject, "a")
            .any(|iri| schema::short(iri).is_some_and(|found| found.eq_ignore_ascii_case(name)))
    }
}

impl Names {
    fn number(&mut self, name: &str, account: &Account) -> Result<u32, Error> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        hold(account, SUBJECT_BYTES, name)?;
        let number = number_of(self.list.len())?;
        let name: Arc<str> = name.into();
        self.list.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        Ok(number)
    }

    fn name(&self, number: u32) -> Arc<str> {
        let name = self.list.get(u32_as_usize(number));
        name.map_or_else(|| "".into(), Arc::clone)
    }
}

impl Values {
    fn list(&self) -> &[(u32, Term)] {
        match self {
            Self::One(one) => one,
            Self::Many(many) => &many.list,
        }
    }

    fn has(&self, term: &Term) -> bool {
        match self {
            Self::Many(many) if many.list.len() > FEW => many.known.contains(term),
            _ => self.list().iter().any(|(_, known)| known == term),
        }
    }

    fn push(&mut self, triple: (u32, Term)) {
        if let Self::One([one]) = self {
            let list = vec![one.clone()];
            let known = HashSet::new();
            *self = Self::Many(Box::new(Many { list, known }));
        }
        if let Self::Many(many) = self {
            many.list.push(triple);
            if many.list.len() > FEW {
                let missing = many.list.get(many.known.len()..).unwrap_or_default();
                let missing = missing.iter().map(|(_, term)| term.clone());
                many.known.extend(missing);
            }
        }
    }
}

/// Holds a text, and `bytes` besides.
fn hold(account: &Account, bytes: usize, text: &str) -> Result<(), OverBudget> {
    let text = match text.len() {
        len @ LONG_BYTES.. => len * COPIES,
        len => len,
    };
    account.hold(WHAT, usize_as_u64(bytes + text))
}

/// The number of the next item.
fn number_of(items: usize) -> Result<u32, Error> {
    u32::try_from(items).map_err(|_| Error::TooLarge("a description of more than 2^32 objects"))
}

/// `iri`, unless it is longer than any name.
fn within_limit(iri: &str) -> Result<&str, Error> {
    if iri.len() > MAX_IRI_BYTES {
        return Err(Error::TooLarge(
            "a name of more than 16,384 bytes in its description",
        ));
    }
    Ok(iri)
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

    /// The IRI or the text.
    fn any_text(&self) -> &str {
        match self {
            Self::Iri(text) | Self::Literal { text, .. } => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Budget;
    use crate::aff4::turtle::{Turtle, Value};

    fn add(text: &str) -> Result<Triples, Error> {
        let account = Budget::default().open(text.as_bytes());
        let mut triples = Triples::default();
        triples.add(text.as_bytes(), "aff4://volume", &account)?;
        Ok(triples)
    }

    fn triples(text: &str) -> Triples {
        add(text).unwrap()
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
        let error = add("\n\n<a> <b> .").unwrap_err();
        assert!(matches!(error, Error::Turtle { line: 3, .. }), "{error}");
    }

    #[test]
    fn a_value_that_is_repeated_is_kept_once_and_in_its_order() {
        let values = (0..40).map(|number| format!("<v{}>", number * 7 % 40));
        let values = values.collect::<Vec<_>>().join(" , ");
        let triples = triples(&format!("<s> <b> 1 . <s> <p> {values} , {values} ."));
        let found: Vec<&str> = triples.iris("aff4://volume/s", "aff4://volume/p").collect();
        assert_eq!(found.len(), 40);
        assert_eq!(found[1], "aff4://volume/v7");
        let properties = triples.properties("aff4://volume/s");
        assert_eq!(properties.len(), 41);
        assert_eq!(&*properties[0].0, "aff4://volume/b");
        assert_eq!(properties[40].1.iri(), Some("aff4://volume/v33"));
    }

    #[test]
    fn statements_and_their_texts_are_weighed() {
        let many: String = (0..700_000)
            .map(|number| format!("<a> <b> {number} .\n"))
            .collect();
        // A file that is small, compared with its text.
        let account = Budget::new(linpmem_phys::PhysLen::new(16 << 20)).open(&b""[..]);
        let error = Triples::default().add(many.as_bytes(), "aff4://volume", &account);
        assert!(matches!(error, Err(Error::Budget(_))), "{error:?}");
        let long = "x".repeat(8000);
        let long: String = (0..1000)
            .map(|at| format!("<a> <b> <{at}{long}> .\n"))
            .collect();
        let error = Triples::default().add(long.as_bytes(), "aff4://volume", &account);
        assert!(matches!(error, Err(Error::Budget(_))), "{error:?}");
        // Statements that are dropped are still work.
        let same = "<a> <b> <c> .\n".repeat(40_000);
        let error = Triples::default().add(same.as_bytes(), "aff4://volume", &account);
        assert!(matches!(error, Err(Error::Budget(_))), "{error:?}");
    }
}
