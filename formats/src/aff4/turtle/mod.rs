// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a volume says of its objects, in RDF Turtle.

mod graph;
mod text;

pub(super) use graph::{Graph, Term};
pub(super) use text::{Turtle, Value};
