// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which images a store has.

use crate::stored::StoreSpec;
use linpmem_objects::{Objects, Patience, StoreError};
use std::collections::BTreeMap;

const MANIFEST: &str = ".manifest.jsonl";
const PARTIAL: &str = ".partial";
/// What the names of encrypted objects end in.
const ENCRYPTED: &str = ".age";

/// How far an image in a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It has its manifest, which is stored last.
    Complete,
    /// Its run has ended early.
    Partial,
    /// It has no manifest: its run has not ended, or was killed.
    Open,
}

/// An image in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImage {
    /// Its key.
    pub key: String,
    /// Bytes of its objects.
    pub bytes: u64,
    /// How far it is.
    pub arrival: Arrival,
}

/// The images below the folder of `spec`, in the order of their names.
///
/// # Errors
/// If the store does not say.
pub fn images_in_store(spec: &StoreSpec) -> Result<Vec<StoredImage>, StoreError> {
    let patience = Patience::quiet(spec.give_up);
    let objects = Objects::open(spec.location.clone(), spec.ca.as_deref(), patience)?;
    Ok(images(&objects.list(&spec.location.key(""))?))
}

fn images(listed: &[(String, u64)]) -> Vec<StoredImage> {
    let mut found: BTreeMap<String, StoredImage> = BTreeMap::new();
    for (key, bytes) in listed {
        let Some((name, arrival)) = image_of(key) else {
            continue;
        };
        let image = found.entry(name.clone()).or_insert_with(|| StoredImage {
            key: name,
            bytes: 0,
            arrival: Arrival::Open,
        });
        match arrival {
            Some(arrival) => image.arrival = arrival,
            None => image.bytes = image.bytes.saturating_add(*bytes),
        }
    }
    found.into_values().collect()
}

/// The image that the object `key` belongs to, and what it says of it; `None` for what says
/// nothing.
fn image_of(key: &str) -> Option<(String, Option<Arrival>)> {
    let (decrypted, ending) = match key.strip_suffix(ENCRYPTED) {
        Some(decrypted) => (decrypted, ENCRYPTED),
        None => (key, ""),
    };
    if let Some(name) = decrypted.strip_suffix(MANIFEST) {
        return Some(match name.strip_suffix(PARTIAL) {
            Some(name) => (format!("{name}{ending}"), Some(Arrival::Partial)),
            None => (format!("{name}{ending}"), Some(Arrival::Complete)),
        });
    }
    let beside = [
        ".sha256",
        ".artifacts.tar.zst",
        ".artifacts.tar.zst.age",
        ".age.json",
        ".minisig",
        ".tsr",
        ".custody",
    ];
    if beside.iter().any(|ending| key.ends_with(ending)) {
        return None;
    }
    // One of several objects.
    let numbered = key.rsplit_once('.').filter(|(_, number)| {
        number.len() == 5 && number.bytes().all(|digit| digit.is_ascii_digit())
    });
    let name = numbered.map_or(key, |(name, _)| name);
    Some((name.to_owned(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_complete_if_it_has_its_manifest() {
        let listed = [
            ("a.core", 5),
            ("a.core.manifest.jsonl", 1),
            ("a.core.sha256", 1),
            ("b.core.00000", 10),
            ("b.core.00001", 3),
            ("b.core.artifacts.tar.zst", 1),
            ("c.core", 4),
            ("c.core.partial.manifest.jsonl", 1),
            ("d.core.manifest.jsonl", 1),
            ("e.core.age", 7),
            ("e.core.age.json", 1),
            ("e.core.age.sha256", 1),
            ("e.core.artifacts.tar.zst.age", 1),
            ("e.core.manifest.jsonl.age", 1),
            ("f.core.age.00000", 2),
            ("f.core.partial.age.json", 1),
            ("f.core.partial.manifest.jsonl.age", 1),
        ];
        let listed = listed.map(|(key, bytes)| (key.to_owned(), bytes));
        let found: Vec<_> = images(&listed)
            .into_iter()
            .map(|image| (image.key, image.bytes, image.arrival))
            .collect();
        let expected = [
            ("a.core", 5, Arrival::Complete),
            ("b.core", 13, Arrival::Open),
            ("c.core", 4, Arrival::Partial),
            ("d.core", 0, Arrival::Complete),
            ("e.core.age", 7, Arrival::Complete),
            ("f.core.age", 2, Arrival::Partial),
        ];
        assert_eq!(
            found,
            expected.map(|(key, bytes, arrival)| (key.to_owned(), bytes, arrival))
        );
    }
}
