// SPDX-License-Identifier: MIT OR Apache-2.0
//! The description of a volume's objects, in RDF Turtle.

mod document;
mod limits;
mod triples;

pub(super) use document::{Turtle, Value};
pub(super) use triples::{Term, Triples};
