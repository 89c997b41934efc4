// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run encrypts: each of its files, as it is written. The private keys are
//! elsewhere, so nothing of it can be read again.

mod file;
mod sum;

pub(crate) use file::EncryptedWriter;
pub use sum::{EncryptedSum, SUM_QUEUE, SumThread};

use linpmem_encryption::Recipients;
use linpmem_manifest::{EncryptedFileRecord, EncryptionRecord, ImageId, ObjectRecord, State};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Whom a run encrypts its files to, and the sums of those that are complete.
#[derive(Debug)]
pub(crate) struct Encrypted {
    pub(crate) recipients: Recipients,
    pub(crate) image: Arc<OnceLock<EncryptedSum>>,
    pub(crate) manifest: Arc<OnceLock<EncryptedSum>>,
    pub(crate) artifacts: Arc<OnceLock<EncryptedSum>>,
}

impl Encrypted {
    /// Encrypts to `recipients`.
    pub(crate) fn to(recipients: &Recipients) -> Self {
        Self {
            recipients: recipients.clone(),
            image: Arc::default(),
            manifest: Arc::default(),
            artifacts: Arc::default(),
        }
    }

    /// What is known without a key of the image with this `id`, whose run ended in `state`.
    /// The paths are those of its files, and `objects` has the image if it went to a store.
    pub(crate) fn record(
        &self,
        id: ImageId,
        started: &str,
        state: State,
        [image, manifest, artifacts]: [Option<&Path>; 3],
        objects: Vec<ObjectRecord>,
    ) -> EncryptionRecord {
        let file = |path: Option<&Path>, sum: &OnceLock<EncryptedSum>| {
            let name = path.and_then(Path::file_name);
            let name = name.map(|name| name.to_string_lossy().into_owned());
            let sum = sum.get();
            (name.is_some() || sum.is_some()).then(|| EncryptedFileRecord {
                name,
                length: sum.map(|sum| sum.length),
                sha256: sum.map(|sum| sum.sha256),
            })
        };
        EncryptionRecord {
            version: EncryptionRecord::VERSION,
            image_id: Some(id),
            started: started.to_owned(),
            state,
            recipients: self.recipients.public_keys(),
            image: file(image, &self.image).unwrap_or_default(),
            manifest: file(manifest, &self.manifest).unwrap_or_default(),
            artifacts: artifacts.and_then(|path| file(Some(path), &self.artifacts)),
            objects,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use linpmem_encryption::{Identities, Recipients};
    use std::io::Write;

    /// The keys that the tests of this crate use.
    const PUBLIC: &str = "age1yxpwc8pf6q2u9m5px06hzknzxm44mm6rt6jsfs63w4w7675q99qq5vuvsw";
    const PRIVATE: &str =
        "AGE-SECRET-KEY-1QEQTZK9U9DZ2PM6GHN4PJXT999G8TA7GJSSGSUERQC3S4SV0762QNU9NZ5";

    pub(crate) fn recipients() -> Recipients {
        let none: [&str; 0] = [];
        let all = Recipients::collect(&[PUBLIC.to_owned()], &none);
        all.unwrap().unwrap()
    }

    pub(crate) fn identities() -> Identities {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(PRIVATE.as_bytes()).unwrap();
        Identities::read(&[file.path()]).unwrap()
    }
}
