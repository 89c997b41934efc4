// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bundle of signed requests, with which a machine without credentials stores one image.

use linpmem_manifest::paths::{
    artifacts_of, checksum_of, encryption_of, is_encrypted_name, manifest_of, partial_of,
};
use linpmem_objects::{Location, Patience, Presigning, SignedBundle, StoreError};
use linpmem_phys::PhysLen;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is signed, and where.
#[derive(Clone, Debug)]
pub struct PresignSpec {
    /// The image.
    pub location: Location,
    /// Certificates to trust instead of Mozilla's roots.
    pub ca: Option<PathBuf>,
    /// For how long a request that fails is tried again.
    pub give_up: Duration,
    /// How large the image may be.
    pub size: PhysLen,
    /// The size of parts; by default one that fits.
    pub part_bytes: Option<PhysLen>,
    /// For how long the signatures are good.
    pub expires_in: Duration,
}

/// Begins an upload, and signs what stores the image and all that belongs to it.
///
/// # Errors
/// If the store refuses, or the image exists.
pub fn presign(spec: &PresignSpec) -> Result<SignedBundle, StoreError> {
    let wanted = Presigning {
        beside: beside(&spec.location.key("")),
        bytes: spec.size.get(),
        part_bytes: spec.part_bytes.map(PhysLen::get),
        expires_in: spec.expires_in,
    };
    let patience = Patience::quiet(spec.give_up);
    linpmem_objects::presign(&spec.location, spec.ca.as_deref(), patience, &wanted)
}

/// The keys of all objects that an image can have besides itself, whatever its format.
fn beside(key: &str) -> Vec<String> {
    let key = Path::new(key);
    let partial = partial_of(key);
    let mut keys = vec![
        manifest_of(key),
        checksum_of(key),
        artifacts_of(key),
        manifest_of(&partial),
    ];
    if is_encrypted_name(key) {
        keys.extend([encryption_of(key), encryption_of(&partial)]);
    }
    let names = keys.iter().map(|key| key.to_string_lossy().into_owned());
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_run_stores_is_signed() {
        let expected = [
            "a/x.core.manifest.jsonl",
            "a/x.core.sha256",
            "a/x.core.artifacts.tar.zst",
            "a/x.core.partial.manifest.jsonl",
        ];
        assert_eq!(beside("a/x.core"), expected);
        let expected = [
            "a/x.core.manifest.jsonl.age",
            "a/x.core.age.sha256",
            "a/x.core.artifacts.tar.zst.age",
            "a/x.core.partial.manifest.jsonl.age",
            "a/x.core.age.json",
            "a/x.core.partial.age.json",
        ];
        assert_eq!(beside("a/x.core.age"), expected);
    }
}
