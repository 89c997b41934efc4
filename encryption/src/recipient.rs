// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom something is encrypted to.

use crate::error::RecipientError;
use crate::key_file;
use crate::layout::MAX_RECIPIENTS;
use age::x25519;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The public keys that files are encrypted to: at least one, and each once.
#[derive(Clone)]
pub struct Recipients(Arc<Vec<x25519::Recipient>>);

impl Recipients {
    /// The recipients whose public keys are `keys` (`age1…`), and those in the files at `files`,
    /// one on each line, with remarks behind `#`. `None` if neither has any.
    ///
    /// # Errors
    /// If one is no key of age's own kind, a file cannot be read or has no keys, or there are too
    /// many.
    pub fn collect(
        keys: &[String],
        files: &[impl AsRef<Path>],
    ) -> Result<Option<Self>, RecipientError> {
        let mut all = Vec::new();
        for key in keys {
            add(&mut all, key.trim(), || {
                "what follows --encrypt-to".to_owned()
            })?;
        }
        for file in files.iter().map(AsRef::as_ref) {
            let failed = |source| RecipientError::File {
                path: file.to_path_buf(),
                source,
            };
            let text = String::from_utf8(key_file::read(file).map_err(failed)?)
                .map_err(|_| failed(std::io::Error::other("it is not text")))?;
            let before = all.len();
            for (number, line) in key_file::lines(&text) {
                add(&mut all, line, || {
                    format!("line {number} of {}", file.display())
                })?;
            }
            // One that was named before counts as well.
            if all.len() == before && key_file::lines(&text).next().is_none() {
                return Err(RecipientError::Empty(file.to_path_buf()));
            }
        }
        match all.len() {
            0 => Ok(None),
            count if count > MAX_RECIPIENTS => Err(RecipientError::TooMany(count)),
            _ => Ok(Some(Self(Arc::new(all)))),
        }
    }

    /// The public keys, as `age-keygen` shows them.
    #[must_use]
    pub fn public_keys(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &dyn age::Recipient> {
        self.0.iter().map(|key| {
            let key: &dyn age::Recipient = key;
            key
        })
    }
}

fn add(
    all: &mut Vec<x25519::Recipient>,
    text: &str,
    place: impl FnOnce() -> String,
) -> Result<(), RecipientError> {
    let key = text.parse().map_err(|_| RecipientError::NotAKey {
        place: place(),
        reason: what_it_is(text),
    })?;
    if !all.contains(&key) {
        all.push(key);
    }
    Ok(())
}

/// What a text is that should be a public key.
fn what_it_is(text: &str) -> &'static str {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("age-secret-key-") {
        return "it is a private key. Whoever could see it has it now, such as other users in the \
                list of processes: make a new one, and name its public key";
    }
    if lower.starts_with("ssh-") {
        return "it is a key of SSH, and only age's own are known here (age-keygen)";
    }
    if lower.starts_with("age1") && lower.get(4..).is_some_and(|rest| rest.contains('1')) {
        return "it is a key of a plugin, and only age's own are known here (age-keygen)";
    }
    "copy it from the line `# public key:` of the file that age-keygen writes"
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.public_keys()).finish()
    }
}
