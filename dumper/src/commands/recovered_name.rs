// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a recovered image is called if nobody says it.

use linpmem_capture::finish::final_name;
use std::path::{Path, PathBuf};

/// `NAME.core.zst.partial` becomes `NAME.recovered.core.zst`.
pub fn recovered_of(image: &Path) -> PathBuf {
    const FORMATS: [&str; 7] = ["aff4", "core", "lime", "raw", "padded", "kdump", "avml"];
    let bare = final_name(image).unwrap_or_else(|| image.to_path_buf());
    let Some(name) = bare.file_name().and_then(|name| name.to_str()) else {
        return linpmem_manifest::paths::with_suffix(&bare, ".recovered");
    };
    let known = FORMATS.iter().filter_map(|format| {
        let at = name.rfind(&format!(".{format}"))?;
        let after = name.get(at + 1 + format.len()..)?;
        (at > 0 && (after.is_empty() || after.starts_with('.'))).then_some(at)
    });
    let (stem, endings) = name.split_at(known.max().unwrap_or(name.len()));
    bare.with_file_name(format!("{stem}.recovered{endings}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recovered_image_has_the_name_of_its_format() {
        for (image, recovered) in [
            ("a/x.aff4.partial", "a/x.recovered.aff4"),
            ("x.core.zst.partial", "x.recovered.core.zst"),
            ("x.core", "x.recovered.core"),
            (
                "web.lime.example.core.lz4.partial",
                "web.lime.example.recovered.core.lz4",
            ),
            ("x.partial", "x.recovered"),
            ("dump", "dump.recovered"),
        ] {
            assert_eq!(
                recovered_of(Path::new(image)),
                Path::new(recovered),
                "{image}"
            );
        }
    }
}
