// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fitted module rests on.

use linpmem_core::layout::Layout;

/// Every fact that went into a fitted module, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The kernel's release.
    pub release: String,
    /// The facts.
    pub facts: Vec<Fact>,
    /// Which facts were compared with which other source, and agree.
    pub checks: Vec<String>,
    /// What the module imports.
    pub imports: Vec<Import>,
    /// The table in the module.
    pub layout: Layout,
}

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact {
    /// What it is about.
    pub name: &'static str,
    /// What was found.
    pub value: String,
    /// The file that told it, or the reason why it is so.
    pub source: String,
}

/// An import of the module.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Import {
    /// Its name in the prebuilt module.
    pub name: String,
    /// The kernel's symbol that it was bound to; none if the module's own substitute is
    /// used, because the kernel has no such symbol.
    pub symbol: Option<String>,
    /// The checksum of its type, if the kernel wants one.
    pub checksum: Option<u32>,
    /// Where the checksum came from.
    pub source: Option<String>,
}

impl Explanation {
    pub(crate) fn fact(
        &mut self,
        name: &'static str,
        value: impl Into<String>,
        source: impl Into<String>,
    ) {
        self.facts.push(Fact {
            name,
            value: value.into(),
            source: source.into(),
        });
    }
}
