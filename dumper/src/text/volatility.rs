// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands that open an image in Volatility 3, which reads fewer formats than this
//! program: docs/consumers.md.

use super::shell::{program, quoted, word};
use linpmem_capture::sink::folder_of;
use linpmem_manifest::paths::{checksum_of, manifest_of, partial_of, vouching_for, with_suffix};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Extensions of images, which a converted one does not keep.
const EXTENSIONS: [&str; 16] = [
    "partial", "zst", "lz4", "sz", "core", "elf", "lime", "raw", "padded", "kdump", "avml", "aff4",
    "dd", "mem", "vmem", "bin",
];

/// An image for Volatility.
#[derive(Clone, Debug)]
pub struct VolatilityImage {
    /// The image.
    pub path: PathBuf,
    /// Whether Volatility opens it.
    pub is_readable: bool,
    /// The options that `convert` needs to open it.
    pub options: Vec<OsString>,
}

/// The command that uses the symbol file at `symbols` for `image`, if it is known which one.
pub fn command(symbols: &Path, image: Option<&VolatilityImage>) -> String {
    let folder = quoted(folder_of(symbols));
    let open = |image: &str| format!("vol -s {folder} -f {image} linux.pslist");
    match image {
        None => open("IMAGE"),
        Some(image) if image.is_readable => open(&quoted(&image.path)),
        Some(image) => {
            let target = quoted(&converted(&image.path));
            let options: String = image
                .options
                .iter()
                .map(|option| format!(" {}", word(option)))
                .collect();
            // Even where pages are missing, which is no success: hence no `&&`.
            format!(
                "{} convert {} {target}{options}; {}",
                program(),
                quoted(&image.path),
                open(&target)
            )
        }
    }
}

/// A free name for the ELF core that is made of `image`.
fn converted(image: &Path) -> PathBuf {
    let mut stem = image.to_path_buf();
    while let Some(extension) = stem.extension().and_then(|it| it.to_str()) {
        let is_known = EXTENSIONS
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known));
        if !is_known || !stem.set_extension("") {
            break;
        }
    }
    let is_free = |path: &PathBuf| {
        let files = [
            path.clone(),
            manifest_of(path),
            checksum_of(path),
            partial_of(path),
            manifest_of(&partial_of(path)),
        ];
        let vouching = vouching_for(&manifest_of(path));
        let mut files = files.iter().chain(&vouching);
        files.all(|file| file.symlink_metadata().is_err())
    };
    let plain = with_suffix(&stem, ".core");
    if is_free(&plain) {
        return plain;
    }
    let numbered = (2..1000).map(|number| with_suffix(&stem, &format!(".{number}.core")));
    numbered.into_iter().find(is_free).unwrap_or(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_converted_image_has_a_free_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (image, expected) in [
            ("a.core.zst", "a.core"),
            ("a.kdump", "a.core"),
            ("a.core.lz4.partial", "a.core"),
            ("web.example", "web.example.core"),
            ("A.VMEM", "A.core"),
            (".raw", ".raw.core"),
        ] {
            assert_eq!(converted(&path(image)), path(expected), "{image}");
        }
        std::fs::write(path("a.core"), b"").unwrap();
        std::fs::write(path("a.2.core.manifest.jsonl"), b"").unwrap();
        assert_eq!(converted(&path("a.core.zst")), path("a.3.core"));
    }
}
