// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the memory of an image came from.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where the memory came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRecord {
    /// `linpmem`, `file`, or those of its parts, joined by `+`.
    pub kind: String,
    /// The device node, the image, or those of its parts.
    pub path: String,
    /// The module's version, or the image's format.
    pub detail: Option<String>,
    /// Which source was read for what, if the kernel's own sources were used.
    #[serde(default)]
    pub parts: Vec<PartRecord>,
    /// Sources that were tried and not used.
    #[serde(default)]
    pub unused: Vec<UnusedRecord>,
}

/// One of the sources that memory came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRecord {
    /// `kcore`, `crash`, `devmem` or `vmcore`.
    pub kind: String,
    /// Its file.
    pub path: String,
    /// What to know about it.
    pub detail: Option<String>,
    /// The kinds of memory that were read from it, as in the map.
    pub serves: Vec<String>,
}

/// A source that was not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnusedRecord {
    /// As in [`PartRecord`], or `linpmem`.
    pub kind: String,
    /// Why.
    pub reason: String,
}

impl SourceRecord {
    /// A single source.
    #[must_use]
    pub fn single(kind: &str, path: String, detail: Option<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            path,
            detail,
            parts: Vec::new(),
            unused: Vec::new(),
        }
    }

    /// A source that consists of `parts`.
    #[must_use]
    pub fn of_parts(parts: Vec<PartRecord>, unused: Vec<UnusedRecord>) -> Self {
        let joined = |field: fn(&PartRecord) -> &str, by: &str| {
            let fields: Vec<&str> = parts.iter().map(field).collect();
            fields.join(by)
        };
        Self {
            kind: joined(|part| &part.kind, "+"),
            path: joined(|part| &part.path, ", "),
            detail: None,
            parts,
            unused,
        }
    }

    /// Where the `wanted` kinds of memory come from, in words.
    #[must_use]
    pub fn describe(&self, wanted: impl Fn(&str) -> bool) -> String {
        if self.parts.is_empty() {
            return self.path.clone();
        }
        let describe = |part: &PartRecord| {
            let serves = part.serves.iter().map(String::as_str);
            let kinds: Vec<&str> = serves.filter(|kind| wanted(kind)).collect();
            (!kinds.is_empty()).then(|| format!("{} from {}", kinds.join(", "), part.path))
        };
        let parts: Vec<String> = self.parts.iter().filter_map(describe).collect();
        parts.join("; ")
    }

    /// The source of memory of this kind.
    #[must_use]
    pub fn serving(&self, kind: &str) -> Option<&str> {
        if self.parts.is_empty() {
            return Some(&self.kind);
        }
        let serves = |part: &&PartRecord| part.serves.iter().any(|served| served == kind);
        self.parts.iter().find(serves).map(|part| &*part.kind)
    }
}

/// What comes from where, in words.
impl fmt::Display for SourceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(|_| true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: &str, path: &str, serves: &[&str]) -> PartRecord {
        PartRecord {
            kind: kind.to_owned(),
            path: path.to_owned(),
            detail: None,
            serves: serves.iter().map(|&kind| kind.to_owned()).collect(),
        }
    }

    #[test]
    fn each_kind_of_memory_has_its_source() {
        let both = SourceRecord::of_parts(
            vec![
                part("kcore", "/proc/kcore", &["System RAM"]),
                part("devmem", "/dev/mem", &["Reserved", "ROM"]),
            ],
            Vec::new(),
        );
        assert_eq!(both.kind, "kcore+devmem");
        assert_eq!(both.path, "/proc/kcore, /dev/mem");
        assert_eq!(
            both.to_string(),
            "System RAM from /proc/kcore; Reserved, ROM from /dev/mem"
        );
        assert_eq!(both.describe(|kind| kind == "ROM"), "ROM from /dev/mem");
        assert_eq!(both.serving("ROM"), Some("devmem"));
        assert_eq!(both.serving("Hole"), None);
        let one = SourceRecord::single("linpmem", "/dev/linpmem".to_owned(), None);
        assert_eq!(one.serving("Hole"), Some("linpmem"));
        assert_eq!(one.to_string(), "/dev/linpmem");
    }
}
