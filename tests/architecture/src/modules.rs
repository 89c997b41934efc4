// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which top-level modules of a crate use which.
//!
//! A module is top-level if it is declared in `lib.rs` or `main.rs`; everything below it
//! is a part of it. It uses another one if its code names that one: in an import, a path, a
//! macro or an attribute, by `crate::`, `super::` or `self::`, or by a name that the
//! crate's root re-exports from it. Code that only exists in tests does not count.

use crate::source_files::{self, SourceFile, is_only_for_tests, name_of};
use anyhow::{Result, bail};
use proc_macro2::{Span, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree};

/// A module that uses another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The user.
    pub from: String,
    /// The used one.
    pub to: String,
    /// The first place where it does: file and line.
    pub place: String,
    /// The path at that place.
    pub path: String,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            place,
            path,
        } = self;
        write!(f, "{from} → {to} ({place}: {path})")
    }
}

/// The edges between the top-level modules of the crate with the root file `root`. Places
/// are relative to the folder `base`.
///
/// # Errors
/// When a file is missing or is not Rust, or imports everything from the crate's root.
pub fn edges(root: &Path, base: &Path) -> Result<Vec<Edge>> {
    let files = source_files::of_crate(root)?;
    let names = Names::of(&files);
    let mut edges = BTreeMap::new();
    for file in &files {
        let mut finder = Finder {
            names: &names,
            module: file.module.clone(),
            file: file.path.strip_prefix(base).unwrap_or(&file.path),
            edges: &mut edges,
            error: None,
        };
        for item in &file.items {
            finder.visit_item(item);
        }
        if let Some(error) = finder.error {
            bail!(error);
        }
    }
    Ok(edges.into_values().collect())
}

/// The names at the crate's root.
#[derive(Default)]
struct Names {
    modules: BTreeSet<String>,
    /// Other names, and the modules that they come from.
    from: BTreeMap<String, String>,
}

impl Names {
    fn of(files: &[SourceFile]) -> Self {
        let mut names = Self::default();
        let roots = || files.iter().filter(|file| file.module.is_empty());
        for item in roots().flat_map(|file| &file.items) {
            if let Item::Mod(module) = item {
                if !is_only_for_tests(&module.attrs) {
                    names.modules.insert(name_of(&module.ident));
                }
            }
        }
        for item in roots().flat_map(|file| &file.items) {
            let Item::Use(import) = item else { continue };
            if is_only_for_tests(&import.attrs) {
                continue;
            }
            for leaf in leaves(&import.tree) {
                let mut path = leaf.path.iter().map(String::as_str);
                let path: Vec<&str> = path
                    .by_ref()
                    .skip_while(|part| ["crate", "self"].contains(part))
                    .collect();
                let [module, .., last] = path.as_slice() else {
                    continue;
                };
                if !names.modules.contains(*module) {
                    continue;
                }
                let all = match *last {
                    "*" => names_in(files, module),
                    _ => vec![leaf.name.clone()],
                };
                for name in all {
                    names.from.insert(name, (*module).to_owned());
                }
            }
        }
        for file in files {
            for item in &file.items {
                if let (Item::Macro(item), Some(module)) = (item, file.module.first()) {
                    let is_exported = |one: &Attribute| one.path().is_ident("macro_export");
                    if let Some(ident) = item
                        .ident
                        .as_ref()
                        .filter(|_| item.attrs.iter().any(is_exported))
                    {
                        names.from.insert(name_of(ident), module.clone());
                    }
                }
            }
        }
        names
    }

    /// The top-level module that `path` leads to from within `module`, if there is one.
    fn target(&self, path: &[String], module: &[String]) -> Option<&str> {
        let absolute = absolute(path, module)?;
        let first = absolute.first()?;
        match self.modules.get(first) {
            Some(module) => Some(module),
            None => self.from.get(first).map(String::as_str),
        }
    }
}

/// The path from the crate's root, if `path` is relative to it or to `module`.
fn absolute(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module.split_last()?.1.to_vec(),
        _ => return None,
    };
    let mut rest = rest;
    while let Some(("super", more)) = rest.split_first().map(|(one, more)| (one.as_str(), more)) {
        base.pop()?;
        rest = more;
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The names that a glob import of a top-level module may bring.
fn names_in(files: &[SourceFile], module: &str) -> Vec<String> {
    let mut names = Vec::new();
    let of_module = |file: &&SourceFile| file.module == [module];
    for item in files.iter().filter(of_module).flat_map(|file| &file.items) {
        let ident = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Mod(item) => &item.ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Union(item) => &item.ident,
            Item::Use(item) => {
                names.extend(leaves(&item.tree).into_iter().map(|leaf| leaf.name));
                continue;
            }
            _ => continue,
        };
        names.push(name_of(ident));
    }
    names
}

/// One name that an import brings.
struct Leaf {
    path: Vec<String>,
    name: String,
    line: usize,
}

fn leaves(tree: &UseTree) -> Vec<Leaf> {
    fn walk(tree: &UseTree, path: &[String], found: &mut Vec<Leaf>) {
        let mut add = |last: &str, name: &str, span: Span| {
            found.push(Leaf {
                path: [path, &[last.to_owned()]].concat(),
                name: name.to_owned(),
                line: span.start().line,
            });
        };
        match tree {
            UseTree::Path(part) => {
                let path = [path, &[name_of(&part.ident)]].concat();
                walk(&part.tree, &path, found);
            }
            UseTree::Name(name) => {
                let own = name_of(&name.ident);
                add(&own, &own, name.ident.span());
            }
            UseTree::Rename(name) => {
                let own = name_of(&name.ident);
                add(&own, &name_of(&name.rename), name.ident.span());
            }
            UseTree::Glob(glob) => add("*", "*", glob.star_token.spans[0]),
            UseTree::Group(group) => {
                for tree in &group.items {
                    walk(tree, path, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(tree, &[], &mut found);
    found
}

/// Finds the edges in one file.
struct Finder<'a> {
    names: &'a Names,
    module: Vec<String>,
    file: &'a Path,
    edges: &'a mut BTreeMap<(String, String), Edge>,
    error: Option<String>,
}

impl Finder<'_> {
    fn add(&mut self, path: &[String], line: usize) {
        // The root itself may use every module.
        let Some(from) = self.module.first() else {
            return;
        };
        let place = format!("{}:{line}", self.file.display());
        if absolute(path, &self.module).is_some_and(|path| path == ["*"]) {
            let error = format!(
                "{place}: `use {}` hides which modules it uses",
                path.join("::")
            );
            self.error.get_or_insert(error);
        }
        let Some(to) = self.names.target(path, &self.module) else {
            return;
        };
        if to != from {
            let edge = Edge {
                from: from.clone(),
                to: to.to_owned(),
                place,
                path: path.join("::"),
            };
            let key = (edge.from.clone(), edge.to.clone());
            self.edges.entry(key).or_insert(edge);
        }
    }

    /// Paths in the input of a macro or an attribute, and in its texts.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut line = 0;
        for token in tokens {
            match &token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                    path.push(name_of(ident));
                    colons = 0;
                    continue;
                }
                _ => {}
            }
            self.add(&path, line);
            path.clear();
            colons = 0;
            match token {
                TokenTree::Ident(ident) => {
                    line = ident.span().start().line;
                    path.push(name_of(&ident));
                }
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    let text = text.trim_matches('"');
                    if text.starts_with("crate::") {
                        let parts: Vec<String> = text.split("::").map(str::to_owned).collect();
                        self.add(&parts, literal.span().start().line);
                    }
                }
                TokenTree::Punct(_) => {}
            }
        }
        self.add(&path, line);
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Const(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::ExternCrate(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::ForeignMod(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::TraitAlias(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            Item::Union(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &[],
        };
        if !is_only_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(name_of(&item.ident));
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_only_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_only_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_only_for_tests(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !is_only_for_tests(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_only_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for leaf in leaves(&item.tree) {
            self.add(&leaf.path, leaf.line);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let (Some(first), None) = (path.segments.first(), &path.leading_colon) {
            let line = first.ident.span().start().line;
            let parts: Vec<String> = path
                .segments
                .iter()
                .map(|part| name_of(&part.ident))
                .collect();
            self.add(&parts, line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.add_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        match &attribute.meta {
            Meta::List(list) => self.add_tokens(list.tokens.clone()),
            Meta::NameValue(pair) => self.visit_expr(&pair.value),
            Meta::Path(_) => {}
        }
    }

    /// `pub(in crate::a)` restricts who may use an item, and uses nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circles;
    use std::fs;

    /// The edges of a made-up crate, given its files.
    fn found(files: &[(&str, &str)]) -> Result<Vec<Edge>> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        edges(&folder.path().join("lib.rs"), folder.path())
    }

    fn pairs(files: &[(&str, &str)]) -> Vec<String> {
        let edges = found(files).unwrap();
        edges
            .iter()
            .map(|edge| format!("{}{}", edge.from, edge.to))
            .collect()
    }

    const ABC: (&str, &str) = (
        "lib.rs",
        "mod a; mod b; mod c; pub use b::Thing; pub use c::*;",
    );

    #[test]
    fn imports_and_paths_are_edges_with_their_places() {
        let edges = found(&[
            ABC,
            (
                "a.rs",
                "use std::fs;\nuse crate::{b::{self, Y}, c};\nmod b {}\n",
            ),
            ("b.rs", "fn f() {\n    super::c::g(self::x());\n}\n"),
            ("c.rs", "fn g() { b::x(); ::a::x(); std::b::x(); }"),
        ])
        .unwrap();
        let printed: Vec<String> = edges.iter().map(Edge::to_string).collect();
        assert_eq!(
            printed,
            [
                "a → b (a.rs:2: crate::b::self)",
                "a → c (a.rs:2: crate::c)",
                "b → c (b.rs:2: super::c::g)",
            ]
        );
        assert!(circles::find(&edges).is_empty());
    }

    #[test]
    fn a_circle_through_submodules_is_found() {
        let edges = found(&[
            ABC,
            ("a/mod.rs", "mod inner;"),
            (
                "a/inner.rs",
                "mod deep { use super::super::super::b::Y; use super::Z; }",
            ),
            ("b.rs", "mod x;"),
            ("b/x.rs", "impl crate::a::inner::T for X {}"),
            ("c.rs", ""),
        ])
        .unwrap();
        let circles = circles::find(&edges);
        assert_eq!(circles.len(), 1);
        assert_eq!(circles[0].modules, ["a", "b"]);
        let places: Vec<&str> = circles[0]
            .hops
            .iter()
            .map(|hop| hop.place.as_str())
            .collect();
        assert_eq!(places, ["a/inner.rs:1", "b/x.rs:1"]);
    }

    #[test]
    fn names_that_the_root_re_exports_lead_to_their_modules() {
        let files = [
            ABC,
            ("a.rs", "use crate::Thing;"),
            ("b.rs", "fn f(x: &crate::Other) {} use crate::OfTheRoot;"),
            (
                "c.rs",
                "pub use inner::Other; mod inner {} use crate::a::X;",
            ),
        ];
        assert_eq!(pairs(&files), ["ab", "bc", "ca"]);
    }

    #[test]
    fn macros_and_attributes_are_looked_through() {
        let files = [
            ABC,
            ("a.rs", "fn f() { println!(\"{}\", crate::b::x(1)); }"),
            (
                "b.rs",
                "#[serde(with = \"crate::c::hex\")] struct S; #[doc = \"crate::a\"] struct D;",
            ),
            ("c.rs", "macro_rules! m { () => { vec![$crate::a::y()] } }"),
        ];
        assert_eq!(pairs(&files), ["ab", "bc", "ca"]);
    }

    #[test]
    fn exported_macros_lead_to_their_modules() {
        let files = [
            ABC,
            ("a.rs", "#[macro_export] macro_rules! shout { () => {} }"),
            ("b.rs", "fn f() { crate::shout!(); }"),
            ("c.rs", ""),
        ];
        assert_eq!(pairs(&files), ["ba"]);
    }

    #[test]
    fn code_of_tests_does_not_count() {
        let files = [
            (
                "lib.rs",
                "mod a; mod b; #[cfg(test)] mod t; #[cfg(test)] pub use t::Fake;",
            ),
            (
                "a.rs",
                "#[cfg(test)] mod tests { use crate::b::X; } \
                      #[cfg(all(test, unix))] use crate::b; \
                      #[cfg(any(test, not(not(test))))] use crate::b::Y; \
                      impl A { #[cfg(test)] fn f() { crate::b::x() } } \
                      #[test] fn t() { crate::b::x() }",
            ),
            (
                "b.rs",
                "#[cfg(not(test))] use crate::a::X; #[cfg(test)] use crate::Fake;",
            ),
        ];
        assert_eq!(pairs(&files), ["ba"]);
        let any = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "#[cfg(any(test, unix))] use crate::b::X;"),
            ("b.rs", "pub(in crate::a) fn f() {}"),
        ];
        assert_eq!(pairs(&any), ["ab"]);
    }

    #[test]
    fn other_files_are_found_and_missing_ones_are_errors() {
        let files = [
            (
                "lib.rs",
                "#[path = \"odd/name.rs\"] mod a; mod b { mod c; } mod d;",
            ),
            ("odd/name.rs", "mod e;"),
            ("odd/e.rs", "use crate::b;"),
            ("b/c.rs", "use crate::d::X;"),
            ("d.rs", ""),
        ];
        assert_eq!(pairs(&files), ["ab", "bd"]);
        assert!(found(&files[..4]).is_err());
    }

    #[test]
    fn importing_everything_from_the_root_is_an_error() {
        let files = [("lib.rs", "mod a;"), ("a.rs", "\nuse super::*;")];
        let error = found(&files).unwrap_err().to_string();
        assert!(error.contains("a.rs:2: `use super::*`"), "{error}");
        assert!(found(&[("lib.rs", "mod a;"), ("a.rs", "mod b { use super::*; }")]).is_ok());
    }
}
