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

/// The manifest of the image at `path`.
#[must_use]
pub fn manifest_of(path: &Path) -> PathBuf {
    with_suffix(path, ".manifest.jsonl")
}

/// The manifest next to `image`. A run that was killed between renaming the two leaves a
/// manifest with its final name next to an image that is still `.partial`.
#[must_use]
pub fn manifest_beside(image: &Path) -> PathBuf {
    let own = manifest_of(image);
    if !own.exists() && image.extension().is_some_and(|ending| ending == "partial") {
        let of_final = manifest_of(&image.with_extension(""));
        if of_final.exists() {
            return of_final;
        }
    }
    own
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
    with_suffix(path, ".artifacts.tar.zst")
}

/// The artifacts of an image on stdout: they go next to its manifest.
#[must_use]
pub fn artifacts_of_manifest(manifest: &Path) -> PathBuf {
    let name = manifest.file_name().unwrap_or_default().to_string_lossy();
    let endings = [".jsonl", ".json"];
    let bare = endings.iter().find_map(|ending| name.strip_suffix(ending));
    let bare = bare.unwrap_or(&name);
    let bare = bare.strip_suffix(".manifest").unwrap_or(bare);
    artifacts_of(&manifest.with_file_name(bare))
}

/// The name of the file at `path` until it is complete.
#[must_use]
pub fn partial_of(path: &Path) -> PathBuf {
    with_suffix(path, ".partial")
}

#[cfg(test)]
mod tests {
    use super::*;

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
