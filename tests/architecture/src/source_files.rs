// SPDX-License-Identifier: MIT OR Apache-2.0
//! The source files of a crate, as its modules declare them.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Item, Lit, Meta, Token};

/// A source file.
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    /// The module that it is, from the crate's root.
    pub(crate) module: Vec<String>,
    pub(crate) items: Vec<Item>,
}

/// The files of the crate with the root file `root`, without those that only exist in
/// tests.
///
/// # Errors
/// When a file is missing or is not Rust.
pub(crate) fn of_crate(root: &Path) -> Result<Vec<SourceFile>> {
    let folder = root.parent().context("a root file without a folder")?;
    let mut files = Vec::new();
    load(root, folder, Vec::new(), &mut files)?;
    Ok(files)
}

/// Reads the file `path`, which is `module`, and the files of the modules below it, which
/// are in `folder`.
fn load(
    path: &Path,
    folder: &Path,
    module: Vec<String>,
    files: &mut Vec<SourceFile>,
) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let items = syn::parse_file(&text)
        .with_context(|| format!("parsing {}", path.display()))?
        .items;
    load_children(&items, path, folder, &module, files)?;
    files.push(SourceFile {
        path: path.to_owned(),
        module,
        items,
    });
    Ok(())
}

fn load_children(
    items: &[Item],
    path: &Path,
    folder: &Path,
    module: &[String],
    files: &mut Vec<SourceFile>,
) -> Result<()> {
    for item in items {
        let Item::Mod(child) = item else { continue };
        if is_only_for_tests(&child.attrs) {
            continue;
        }
        let name = name_of(&child.ident);
        let inner = folder.join(&name);
        let child_module = [module, std::slice::from_ref(&name)].concat();
        if let Some((_, items)) = &child.content {
            load_children(items, path, &inner, &child_module, files)?;
            continue;
        }
        let given = child.attrs.iter().find_map(path_attribute);
        let given = given.map(|given| path.with_file_name(given));
        let candidates = [
            given
                .as_ref()
                .map(|given| (given.clone(), given.with_file_name(""))),
            Some((folder.join(format!("{name}.rs")), inner.clone())),
            Some((inner.join("mod.rs"), inner.clone())),
        ];
        let mut candidates = candidates.into_iter().flatten();
        let (file, below) = candidates
            .find(|(file, _)| file.is_file())
            .with_context(|| format!("{} has no file for `mod {name}`", path.display()))?;
        load(&file, &below, child_module, files)?;
    }
    Ok(())
}

/// The value of `#[path = "…"]`.
fn path_attribute(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    match &pair.value {
        syn::Expr::Lit(literal) if pair.path.is_ident("path") => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a `#[cfg(…)]` leaves the code out of everything but tests.
pub(crate) fn is_only_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_test = attribute.path().is_ident("test");
        let condition = attribute.path().is_ident("cfg").then(|| {
            let parsed = attribute.parse_args::<Meta>().ok();
            parsed.and_then(|condition| holds_outside_tests(&condition))
        });
        is_test || condition == Some(Some(false))
    })
}

/// Whether a condition holds where `test` does not; `None` if that depends on more.
fn holds_outside_tests(condition: &Meta) -> Option<bool> {
    let Meta::List(list) = condition else {
        return condition.path().is_ident("test").then_some(false);
    };
    let parts = Punctuated::<Meta, Token![,]>::parse_terminated;
    let parts = parts.parse2(list.tokens.clone()).ok()?;
    let parts: Vec<Option<bool>> = parts.iter().map(holds_outside_tests).collect();
    let combined = |decisive: bool| {
        if parts.contains(&Some(decisive)) {
            Some(decisive)
        } else if parts.contains(&None) {
            None
        } else {
            Some(!decisive)
        }
    };
    if list.path.is_ident("all") {
        combined(false)
    } else if list.path.is_ident("any") {
        combined(true)
    } else {
        parts.first().copied().flatten().map(|holds| !holds)
    }
}

/// The name, without the mark of a raw identifier.
pub(crate) fn name_of(ident: &syn::Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}
