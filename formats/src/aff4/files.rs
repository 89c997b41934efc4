// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that lie in a volume beside the memory.

use super::objects::Objects;
use super::turtle::Graph;

/// A file in a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its URN, to read it by.
    pub urn: String,
    /// Its path on the machine that was acquired.
    pub path: String,
    /// Bytes, if the volume tells.
    pub bytes: Option<u64>,
}

pub(super) fn files(graph: &Graph, objects: &Objects) -> Vec<FileInfo> {
    graph
        .subjects()
        .filter(|urn| graph.is_a(urn, "FileImage") && *urn != objects.image)
        .map(|urn| FileInfo {
            urn: urn.to_owned(),
            path: graph
                .text(urn, "originalFileName")
                .unwrap_or(urn)
                .to_owned(),
            bytes: graph.number(urn, &["size"]),
        })
        .collect()
}
