// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the module imports, and what a kernel has in its place.

use crate::exports::Exports;

/// Symbols of which each kernel has one. They are called, or read, in the same way.
const ALTERNATIVES: &[&[&str]] = &[
    &["_printk", "printk"],
    &["__cond_resched", "_cond_resched", "schedule"],
    &["current_task", "const_pcpu_hot", "pcpu_hot"],
];

/// The per-CPU symbols that lead to the current task.
pub(crate) const CURRENT: &[&str] = &["current_task", "const_pcpu_hot", "pcpu_hot"];

/// What tells whether a page is in use; without it, the module looks into the table of
/// the sections of memory.
pub(crate) const ONLINE_PAGE: &str = "pfn_to_online_page";
/// That table.
pub(crate) const SECTIONS: &str = "mem_section";

/// Begins the name of the module's own substitute for an import that a kernel may lack.
pub(crate) const WITHOUT: &str = "linpmem_without_";

/// An import, and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// This symbol of the kernel.
    Kernel(String),
    /// The module's own substitute.
    Substitute,
}

/// The symbols of which one must exist for the import `name`, the best first.
pub(crate) fn candidates(name: &str) -> Vec<&str> {
    let group = ALTERNATIVES.iter().find(|group| group.contains(&name));
    let others = group.into_iter().flat_map(|group| group.iter().copied());
    let others = others.filter(|other| *other != name);
    std::iter::once(name).chain(others).collect()
}

/// Binds the import `name`, or says what is missing.
pub(crate) fn bind(name: &str, has_substitute: bool, exports: &Exports) -> Result<Binding, String> {
    let candidates = candidates(name);
    let usable = |name: &&&str| {
        let export = exports.get(**name);
        // A namespace of this form names the only modules that may use the symbol.
        export.is_some_and(|export| !export.namespace.starts_with("module:"))
    };
    match candidates.iter().find(usable) {
        Some(found) => Ok(Binding::Kernel((*found).to_owned())),
        None if has_substitute => Ok(Binding::Substitute),
        None => Err(candidates.join(" or ")),
    }
}
