// SPDX-License-Identifier: MIT OR Apache-2.0
//! Converts an image to another format: `convert IMAGE OUTPUT`. The extension of OUTPUT
//! gives the format: core, lime, raw (padded), kdump or avml.

use linpmem_formats::{
    ImagePlan, ImageReader, ImageWriter, PlannedRange, StreamOutput, avml, elf, kdump, lime,
    open_image, raw, write_image,
};
use linpmem_phys::{Content, MemoryMap, PhysLen, Region, RegionKind};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let [image, output] = words.as_slice() else {
        return Err("usage: convert IMAGE OUTPUT.{core,lime,raw,kdump,avml}".into());
    };
    let missing = convert(Path::new(image), Path::new(output))?;
    if missing > PhysLen::ZERO {
        eprintln!("{missing} could not be read and are zero, or marked, in the output");
    }
    Ok(())
}

/// Returns how much of the planned memory could not be read.
fn convert(from: &Path, to: &Path) -> Result<PhysLen, Box<dyn Error>> {
    let image = open_image(from)?;
    let plan = plan(&*image)?;
    let extension = to.extension().and_then(|extension| extension.to_str());
    let mut writer: Box<dyn ImageWriter> = match extension {
        Some("core") => Box::new(elf::Writer::new(&plan)?),
        Some("lime") => Box::new(lime::Writer::new(&plan)?),
        Some("raw") => Box::new(raw::Writer::new(&plan, raw::Layout::Padded)),
        Some("kdump") => Box::new(kdump::Writer::new(&plan, kdump::Compression::Zlib)?),
        Some("avml") => Box::new(avml::Writer::new(&plan)),
        _ => return Err("the output must end in .core, .lime, .raw, .kdump or .avml".into()),
    };
    let mut out = StreamOutput::new(BufWriter::new(File::create_new(to)?));
    let unreadable = write_image(&*image, &plan, &mut *writer, &mut out)?;
    out.into_inner().flush()?;
    Ok(unreadable.total())
}

/// All memory that the image holds, in whole pages.
fn plan(image: &dyn ImageReader) -> Result<ImagePlan, Box<dyn Error>> {
    let held = image
        .ranges()
        .iter()
        .filter(|stored| !matches!(stored.content, Content::Skipped { .. }));
    let map = MemoryMap::new(held.map(|stored| Region {
        range: stored.range,
        kind: stored.kind.unwrap_or(RegionKind::SystemRam),
    }))
    .map_err(|overlap| format!("{} overlaps {}", overlap.upper.range, overlap.lower.range))?;
    let ranges = PlannedRange::from_map(&map);
    Ok(ImagePlan::new(ranges, image.machine().clone())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{PhysAddr, Unreadables};

    fn page(image: &dyn ImageReader, addr: u64) -> Vec<u8> {
        let mut page = vec![0; 0x1000];
        let mut unreadable = Unreadables::new();
        image
            .read_phys(PhysAddr::new(addr), &mut page, &mut unreadable)
            .unwrap();
        assert!(unreadable.is_empty(), "{addr:#x}");
        page
    }

    #[test]
    fn every_format_gets_every_page() {
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new("testdata/golden/elf.core");
        let original = open_image(golden).unwrap();
        for extension in ["core", "lime", "kdump", "avml"] {
            let output = folder.path().join("image").with_extension(extension);
            assert_eq!(convert(golden, &output).unwrap(), PhysLen::ZERO);
            let converted = open_image(&output).unwrap();
            for addr in [0x1000, 0x2000, 0x4000] {
                assert_eq!(
                    page(&*converted, addr),
                    page(&*original, addr),
                    "{extension}"
                );
            }
        }
        let raw = folder.path().join("image.raw");
        convert(golden, &raw).unwrap();
        let expected = std::fs::read("testdata/golden/padded.raw").unwrap();
        assert_eq!(std::fs::read(&raw).unwrap(), expected);
    }

    #[test]
    fn there_and_back_again_is_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new("testdata/golden/elf.core");
        let output = folder.path().join("again.core");
        convert(golden, &output).unwrap();
        let (again, expected) = (std::fs::read(output), std::fs::read(golden));
        assert_eq!(again.unwrap(), expected.unwrap());
    }

    #[test]
    fn nothing_is_overwritten_and_other_formats_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new("testdata/golden/elf.core");
        let taken = folder.path().join("taken.lime");
        std::fs::write(&taken, b"mine").unwrap();
        assert!(convert(golden, &taken).is_err());
        assert_eq!(std::fs::read(&taken).unwrap(), b"mine");
        assert!(convert(golden, &folder.path().join("x.txt")).is_err());
    }
}
