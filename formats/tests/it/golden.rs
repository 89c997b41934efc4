// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bytes that writers write do not change by accident.

use crate::memory::{DIRECT_MAP, ram, range, write};
use crate::outputs::{VecOutput, ZstdOutput};
use linpmem_formats::{
    Codec, ImagePlan, ImageReader, ImageWriter, MachineFacts, PlannedRange, elf, frames, kdump,
    lime, open_image, raw,
};
use linpmem_kinfo::layout::Architecture;
use linpmem_phys::RegionKind;
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/golden")
        .join(name)
}

fn plan() -> ImagePlan {
    let reserved = PlannedRange {
        range: range(0x2000, 0x3000),
        kind: RegionKind::Reserved,
    };
    let machine = MachineFacts {
        vmcoreinfo: Some(
            b"OSRELEASE=6.12.0-golden\nPAGESIZE=4096\nKERNELOFFSET=2a000000\n".to_vec(),
        ),
        direct_map_base: Some(DIRECT_MAP),
        paging_levels: Some(5),
        ..MachineFacts::default()
    };
    ImagePlan::new(
        vec![ram(0x1000, 0x2000), reserved, ram(0x4000, 0x5000)],
        machine,
    )
    .unwrap()
}

/// Compares with the golden file, or writes it where `LINPMEM_BLESS` is 1.
fn compare(name: &str, found: &[u8]) {
    if std::env::var_os("LINPMEM_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path(name), found).unwrap();
        return;
    }
    let expected = std::fs::read(path(name)).unwrap();
    if let Some(at) =
        (0..expected.len().max(found.len())).find(|&at| expected.get(at) != found.get(at))
    {
        panic!("{name} differs from offset {at:#x} on; if that is meant, run `cargo xtask bless`");
    }
}

fn written(mut writer: impl ImageWriter) -> Vec<u8> {
    let mut out = VecOutput::default();
    write(&plan(), &mut writer, 0x1000, Codec::None, &mut out);
    out.0
}

#[test]
fn elf() {
    compare("elf.core", &written(elf::Writer::new(&plan()).unwrap()));
}

#[test]
fn raw() {
    for (name, layout) in [
        ("concatenated.raw", raw::Layout::Concatenated),
        ("padded.raw", raw::Layout::Padded),
    ] {
        compare(name, &written(raw::Writer::new(&plan(), layout)));
    }
}

#[test]
fn lime() {
    compare("pages.lime", &written(lime::Writer::new(&plan()).unwrap()));
}

#[test]
fn kdump() {
    let writer = kdump::Writer::new(&plan(), kdump::Compression::None).unwrap();
    compare("pages.kdump", &written(writer));
}

/// Another version of the compressor may give other bytes: what matters is that the old
/// file still opens.
#[test]
fn compressed() {
    let mut writer = elf::Writer::new(&plan()).unwrap();
    let mut out = ZstdOutput::default();
    write(
        &plan(),
        &mut writer,
        0x1000,
        Codec::Zstd { level: 3 },
        &mut out,
    );
    let file = out.into_file(true);
    if std::env::var_os("LINPMEM_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path("elf.core.zst"), &file).unwrap();
    }
    let old = open_image(&path("elf.core.zst")).unwrap();
    let new = elf::Reader::new(frames::Reader::new(file).unwrap()).unwrap();
    assert_eq!(old.ranges(), new.ranges());
    // The header says of which machine it is, which the plan left open.
    let machine = MachineFacts {
        architecture: Some(Architecture::X86_64),
        ..plan().machine().clone()
    };
    assert_eq!(*old.machine(), machine);
}
