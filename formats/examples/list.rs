// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists what an image holds: `list IMAGE`.

use linpmem_formats::open_image;
use linpmem_phys::Content;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let image = std::env::args_os().nth(1).ok_or("usage: list IMAGE")?;
    list(Path::new(&image), &mut io::stdout().lock())
}

fn list(path: &Path, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let image = open_image(path)?;
    writeln!(out, "format: {}", image.format())?;
    let machine = image.machine();
    if let Some(release) = machine.kernel().and_then(|kernel| kernel.release()) {
        writeln!(out, "kernel: {release}")?;
    }
    if let Some(base) = machine.direct_map_base {
        writeln!(out, "direct map: {base:#x}")?;
    }
    for stored in image.ranges() {
        let kind = stored.kind.map_or("unknown", |kind| kind.name());
        let content = match stored.content {
            Content::Data => "data".to_owned(),
            Content::Zero => "zero".to_owned(),
            Content::Unreadable { errno } => format!("unreadable ({errno})"),
            Content::Skipped { .. } => "not stored".to_owned(),
        };
        let len = stored.range.len();
        writeln!(out, "{} {len} {kind}: {content}", stored.range)?;
    }
    for warning in image.warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str) -> String {
        let mut out = Vec::new();
        list(&Path::new("testdata/golden").join(name), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_elf_core_has_kinds_and_facts() {
        let expected = "format: ELF core\n\
                        kernel: 6.12.0-golden\n\
                        direct map: 0xffff888000000000\n\
                        0x1000-0x1fff 4 KiB System RAM: data\n\
                        0x2000-0x2fff 4 KiB Reserved: data\n\
                        0x4000-0x4fff 4 KiB System RAM: data\n";
        assert_eq!(listed("elf.core"), expected);
        assert_eq!(listed("elf.core.zst"), expected);
    }

    #[test]
    fn lime_has_neither() {
        assert_eq!(
            listed("pages.lime"),
            "format: LiME\n\
             0x1000-0x1fff 4 KiB unknown: data\n\
             0x2000-0x2fff 4 KiB unknown: data\n\
             0x4000-0x4fff 4 KiB unknown: data\n"
        );
    }

    #[test]
    fn a_raw_image_has_no_addresses() {
        let error = list(Path::new("testdata/golden/padded.raw"), &mut Vec::new());
        assert!(error.unwrap_err().to_string().contains("raw image"));
    }
}
