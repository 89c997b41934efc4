// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of the files that belong to an image.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// `path` with `suffix` appended to its whole name.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    PathBuf::from(name)
}

/// The ending of encrypted files.
const ENCRYPTED: &str = ".age";

/// Whether `path` has the name of an encrypted file.
#[must_use]
pub fn is_encrypted_name(path: &Path) -> bool {
    path.extension().is_some_and(|last| last == "age")
}

/// The name of the file at `path` when it is encrypted.
#[must_use]
pub fn encrypted_of(path: &Path) -> PathBuf {
    match is_encrypted_name(path) {
        true => path.to_path_buf(),
        false => with_suffix(path, ENCRYPTED),
    }
}

/// The name of the file at `path` when it is decrypted.
#[must_use]
pub fn decrypted_of(path: &Path) -> PathBuf {
    match is_encrypted_name(path) {
        true => path.with_extension(""),
        false => path.to_path_buf(),
    }
}

/// A file that belongs to the one at `path`. That of an encrypted one is encrypted as well, so
/// that all of them have the usual names when they are decrypted.
fn belonging(path: &Path, suffix: &str) -> PathBuf {
    match is_encrypted_name(path) {
        true => encrypted_of(&with_suffix(&decrypted_of(path), suffix)),
        false => with_suffix(path, suffix),
    }
}

/// What is known without a key of the encrypted image at `path`, or of the one whose manifest is
/// there.
#[must_use]
pub fn encryption_of(path: &Path) -> PathBuf {
    with_suffix(path, ".json")
}

/// The manifest of the image at `path`.
#[must_use]
pub fn manifest_of(path: &Path) -> PathBuf {
    belonging(path, ".manifest.jsonl")
}

/// The manifest next to `image`. A run that was killed between renaming the two leaves a
/// manifest with its final name next to an image that is still `.partial`.
#[must_use]
pub fn manifest_beside(image: &Path) -> PathBuf {
    let own = manifest_of(image);
    let of_final = final_of(image).map(|image| manifest_of(&image));
    match of_final.filter(|of_final| !own.exists() && of_final.exists()) {
        Some(of_final) => of_final,
        None => own,
    }
}

/// The `sha256sum -c` file of the image at `path`.
#[must_use]
pub fn checksum_of(path: &Path) -> PathBuf {
    with_suffix(path, ".sha256")
}

/// The receipt for the image at `path`, which this machine received from another.
#[must_use]
pub fn receipt_of(path: &Path) -> PathBuf {
    with_suffix(path, ".receipt.json")
}

/// How far the image at `path` has arrived, as long as it has not.
#[must_use]
pub fn standing_of(path: &Path) -> PathBuf {
    with_suffix(path, ".receiving")
}

/// The minisign signature of the manifest at `manifest`.
#[must_use]
pub fn signature_of(manifest: &Path) -> PathBuf {
    with_suffix(manifest, ".minisig")
}

/// The timestamp (RFC 3161) of the manifest at `manifest`.
#[must_use]
pub fn timestamp_of(manifest: &Path) -> PathBuf {
    with_suffix(manifest, ".tsr")
}

/// What has happened to the image since the manifest at `manifest` was written.
#[must_use]
pub fn custody_of(manifest: &Path) -> PathBuf {
    with_suffix(manifest, ".custody")
}

/// The files that vouch for the manifest at `manifest`. None of them is about any other
/// manifest, so they go where it goes, and go away with it.
#[must_use]
pub fn vouching_for(manifest: &Path) -> [PathBuf; 3] {
    [signature_of, timestamp_of, custody_of].map(|of| of(manifest))
}

/// The artifacts of the image at `path`, if its format cannot hold them.
#[must_use]
pub fn artifacts_of(path: &Path) -> PathBuf {
    belonging(path, ".artifacts.tar.zst")
}

/// The artifacts of an image on stdout: they go next to its manifest.
#[must_use]
pub fn artifacts_of_manifest(manifest: &Path) -> PathBuf {
    let decrypted = decrypted_of(manifest);
    let name = decrypted.file_name().unwrap_or_default().to_string_lossy();
    let endings = [".jsonl", ".json"];
    let bare = endings.iter().find_map(|ending| name.strip_suffix(ending));
    let bare = bare.unwrap_or(&name);
    let bare = bare.strip_suffix(".manifest").unwrap_or(bare);
    let artifacts = artifacts_of(&manifest.with_file_name(bare));
    match is_encrypted_name(manifest) {
        true => encrypted_of(&artifacts),
        false => artifacts,
    }
}

/// The name of the file at `path` until it is complete.
#[must_use]
pub fn partial_of(path: &Path) -> PathBuf {
    belonging(path, ".partial")
}

/// The name that the file at `partial` is to get; `None` if it has that already.
#[must_use]
pub fn final_of(partial: &Path) -> Option<PathBuf> {
    let decrypted = decrypted_of(partial);
    let is_partial = decrypted.extension().is_some_and(|last| last == "partial");
    let named = decrypted.with_extension("");
    is_partial.then(|| match is_encrypted_name(partial) {
        true => encrypted_of(&named),
        false => named,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_an_encrypted_image_has_the_usual_names_when_decrypted() {
        let image = Path::new("/a/b.core");
        let encrypted = encrypted_of(image);
        assert_eq!(encrypted, Path::new("/a/b.core.age"));
        assert_eq!(encrypted_of(&encrypted), encrypted);
        for of in [manifest_of, artifacts_of, partial_of] {
            let belonging = of(&encrypted);
            assert_eq!(belonging, encrypted_of(&of(image)));
            assert_eq!(decrypted_of(&belonging), of(image));
        }
        assert_eq!(
            manifest_of(&partial_of(&encrypted)),
            Path::new("/a/b.core.partial.manifest.jsonl.age")
        );
        assert_eq!(checksum_of(&encrypted), Path::new("/a/b.core.age.sha256"));
        assert_eq!(encryption_of(&encrypted), Path::new("/a/b.core.age.json"));
        assert_eq!(final_of(&partial_of(&encrypted)), Some(encrypted.clone()));
        assert_eq!(final_of(&encrypted), None);
        assert_eq!(final_of(&partial_of(image)).as_deref(), Some(image));
        assert_eq!(
            artifacts_of_manifest(Path::new("m.jsonl.age")),
            Path::new("m.artifacts.tar.zst.age")
        );
    }

    #[test]
    fn suffixes_follow_the_whole_name() {
        let image = Path::new("/a/b.core.zst");
        assert_eq!(
            manifest_of(image),
            Path::new("/a/b.core.zst.manifest.jsonl")
        );
        assert_eq!(checksum_of(image), Path::new("/a/b.core.zst.sha256"));
        assert_eq!(partial_of(image), Path::new("/a/b.core.zst.partial"));
        let vouching = ["minisig", "tsr", "custody"]
            .map(|ending| PathBuf::from(format!("/a/b.core.zst.manifest.jsonl.{ending}")));
        assert_eq!(vouching_for(&manifest_of(image)), vouching);
        for (manifest, artifacts) in [
            ("/a/b.jsonl", "/a/b.artifacts.tar.zst"),
            ("/a/b.json", "/a/b.artifacts.tar.zst"),
            ("b.lime.manifest.jsonl", "b.lime.artifacts.tar.zst"),
            ("/a/b", "/a/b.artifacts.tar.zst"),
        ] {
            assert_eq!(
                artifacts_of_manifest(Path::new(manifest)),
                Path::new(artifacts)
            );
        }
    }
}
