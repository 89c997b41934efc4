// SPDX-License-Identifier: MIT OR Apache-2.0
//! Private keys.

use crate::detect::detect;
use crate::error::IdentityError;
use crate::key_file;
use age::x25519;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The private keys that a program has. Nothing shows them.
#[derive(Clone, Default)]
pub struct Identities(Arc<Vec<x25519::Identity>>);

impl Identities {
    /// The private keys in the files at `paths`, as `age-keygen` writes them.
    ///
    /// # Errors
    /// If a file cannot be read, is protected by a passphrase, or has no key of age's own kind.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Self, IdentityError> {
        let mut all = Vec::new();
        for path in paths.iter().map(AsRef::as_ref) {
            let failed = |source| IdentityError::File {
                path: path.to_path_buf(),
                source,
            };
            let bytes = key_file::read(path).map_err(failed)?;
            if detect(&bytes).is_some() {
                return Err(IdentityError::Passphrase(path.to_path_buf()));
            }
            let text =
                String::from_utf8(bytes).map_err(|_| failed(io::Error::other("it is not text")))?;
            let before = all.len();
            for (line, key) in key_file::lines(&text) {
                all.push(key.parse().map_err(|_| IdentityError::NotAKey {
                    path: path.to_path_buf(),
                    line,
                    reason: what_it_is(key),
                })?);
            }
            if all.len() == before {
                return Err(IdentityError::Empty(path.to_path_buf()));
            }
        }
        Ok(Self(Arc::new(all)))
    }

    /// The keys of all of them.
    pub fn joined<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let keys = all.into_iter().flat_map(|some| some.0.iter().cloned());
        Self(Arc::new(keys.collect()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|key| {
            let key: &dyn age::Identity = key;
            key
        })
    }
}

/// What a line is that should be a private key.
fn what_it_is(line: &str) -> &'static str {
    let lower = line.to_ascii_lowercase();
    if lower.starts_with("age1") {
        return "it is a public key";
    }
    if lower.starts_with("age-plugin-") {
        return "it is a key of a plugin, and only age's own are known here";
    }
    if lower.starts_with("-----begin") {
        return "it is a key of SSH, and only age's own are known here";
    }
    "age-keygen makes one"
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} private keys", self.0.len())
    }
}
