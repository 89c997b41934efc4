// SPDX-License-Identifier: MIT OR Apache-2.0
//! Modules that use each other in a circle.

use crate::modules::Edge;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// A largest set of modules each of which reaches every other one.
#[derive(Clone, Debug)]
pub struct Circle {
    /// The modules, sorted.
    pub modules: Vec<String>,
    /// A shortest way from the first of them back to itself.
    pub hops: Vec<Edge>,
    /// One edge for each pair of modules in the circle that has any.
    pub edges: Vec<Edge>,
}

type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Edge>>;

/// All circles that `edges` form.
#[must_use]
pub fn find(edges: &[Edge]) -> Vec<Circle> {
    let mut graph: Graph<'_> = BTreeMap::new();
    for edge in edges {
        let targets = graph.entry(edge.from.as_str()).or_default();
        targets.entry(edge.to.as_str()).or_insert(edge);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = graph
        .keys()
        .map(|&start| (start, reached_from(&graph, start)))
        .collect();
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|set| set.contains(to));
    let mut circles: Vec<Circle> = Vec::new();
    for &first in graph.keys() {
        let is_known = |circle: &Circle| circle.modules.iter().any(|module| module == first);
        if circles.iter().any(is_known) {
            continue;
        }
        let others = graph.keys().copied();
        let members: BTreeSet<&str> = others
            .filter(|&other| reaches(first, other) && reaches(other, first))
            .collect();
        if members.len() > 1 {
            circles.push(circle(&graph, first, &members));
        }
    }
    circles
}

fn reached_from<'a>(graph: &Graph<'a>, start: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left = vec![start];
    while let Some(module) = left.pop() {
        for &next in graph.get(module).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(next) {
                left.push(next);
            }
        }
    }
    reached
}

fn circle(graph: &Graph<'_>, first: &str, members: &BTreeSet<&str>) -> Circle {
    let inside = |module: &str| -> Vec<Edge> {
        let targets = graph.get(module).into_iter().flat_map(BTreeMap::values);
        let edges = targets.filter(|edge| members.contains(edge.to.as_str()));
        edges.map(|&edge| edge.clone()).collect()
    };
    // Breadth first, until a way leads back to the first module.
    let mut ways: VecDeque<Vec<Edge>> = inside(first).into_iter().map(|edge| vec![edge]).collect();
    let mut hops = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let Some(last) = way.last().map(|edge| edge.to.clone()) else {
            continue;
        };
        if last == first {
            hops = way;
            break;
        }
        if seen.insert(last.clone()) {
            for edge in inside(&last) {
                let mut longer = way.clone();
                longer.push(edge);
                ways.push_back(longer);
            }
        }
    }
    Circle {
        modules: members.iter().map(|&module| module.to_owned()).collect(),
        hops,
        edges: members.iter().flat_map(|&module| inside(module)).collect(),
    }
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} use each other in a circle:", self.modules.join(", "))?;
        for edge in &self.hops {
            writeln!(f, "    {edge}")?;
        }
        if self.edges.len() > self.hops.len() {
            writeln!(f, "  and all edges between them:")?;
            for edge in &self.edges {
                writeln!(f, "    {edge}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(&str, &str)]) -> Vec<Edge> {
        let edge = |&(from, to): &(&str, &str)| Edge {
            from: from.to_owned(),
            to: to.to_owned(),
            place: format!("src/{from}.rs:1"),
            path: format!("crate::{to}"),
        };
        pairs.iter().map(edge).collect()
    }

    #[test]
    fn without_a_circle_there_is_none() {
        assert!(find(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    }

    #[test]
    fn circles_are_largest_and_separate() {
        let found = find(&edges(&[
            ("a", "b"),
            ("b", "c"),
            ("c", "a"),
            ("c", "b"),
            ("c", "x"),
            ("x", "y"),
            ("y", "x"),
        ]));
        let modules: Vec<String> = found.iter().map(|one| one.modules.concat()).collect();
        assert_eq!(modules, ["abc", "xy"]);
        let way: Vec<&str> = found[0].hops.iter().map(|hop| hop.to.as_str()).collect();
        assert_eq!(way, ["b", "c", "a"]);
        assert_eq!(found[0].edges.len(), 4);
        let printed = found[1].to_string();
        assert!(
            printed.contains("x → y (src/x.rs:1: crate::y)"),
            "{printed}"
        );
        assert!(!printed.contains("all edges"), "{printed}");
    }
}
