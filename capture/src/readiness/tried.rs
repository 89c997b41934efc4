// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each source by itself: it is opened, and reads pages with known content.

use crate::source::{Source, SourceError, SourceSpec};

/// A source that was tried alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// What `--source` calls it.
    pub name: &'static str,
    /// What it can read, or why it cannot.
    pub outcome: Result<String, String>,
}

/// The sources of a running machine, the best one first.
fn known() -> [(&'static str, SourceSpec); 4] {
    [
        ("linpmem", SourceSpec::Device(linpmem::DEFAULT_PATH.into())),
        ("kcore", SourceSpec::Kcore),
        ("crash", SourceSpec::Crash),
        ("devmem", SourceSpec::DevMem),
    ]
}

/// Tries all of them.
pub(super) fn all() -> Vec<Tried> {
    known().map(|(name, spec)| Tried::of(name, &spec)).into()
}

impl Tried {
    fn of(name: &'static str, spec: &SourceSpec) -> Self {
        let outcome = match Source::open(spec) {
            Ok(source) => Ok(source.record.to_string()),
            // Only one was tried; what would help is said once, for all of them.
            Err(SourceError::NoneWorks { tried, advice }) => {
                let reasons: Vec<_> = tried.into_iter().map(|tried| tried.reason).collect();
                Err(match reasons.is_empty() {
                    true => advice,
                    false => reasons.join("; "),
                })
            }
            Err(error) => Err(error.to_string()),
        };
        Self { name, outcome }
    }
}
