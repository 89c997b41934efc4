// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images of arm64 machines, whatever machine the program runs on.

use crate::fake::{Fake, range};
use assert_cmd::Command;
use linpmem_formats::{
    ImagePlan, MachineFacts, PlannedRange, StreamOutput, elf, open_image, write_image,
};
use linpmem_kinfo::layout::Architecture;
use linpmem_phys::RegionKind;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A kernel for 52 bits of virtual addresses, on a processor with 48.
const VMCOREINFO: &str = "OSRELEASE=7.3.4-arm64\nPAGESIZE=4096\nNUMBER(VA_BITS)=52\n\
    NUMBER(TCR_EL1_T1SZ)=0x10\nNUMBER(kimage_voffset)=0xffff800040000000\n\
    NUMBER(PHYS_OFFSET)=0xfff1000040000000\nSYMBOL(swapper_pg_dir)=ffff800040002000\n\
    NUMBER(KERNELPACMASK)=0x7f000000000000\nKERNELOFFSET=200000\n";

/// 0xffff000000000000 is physical address 0x40000000.
const BASE: u64 = 0xfffe_ffff_c000_0000;

fn dump(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("linpmem-dump").unwrap();
    command.current_dir(folder);
    command
}

/// An ELF core of such a machine.
fn write_core(path: &Path, vmcoreinfo: &str) {
    let machine = MachineFacts {
        architecture: Some(Architecture::Aarch64),
        vmcoreinfo: Some(vmcoreinfo.as_bytes().to_vec()),
        direct_map_base: Some(BASE),
        paging_levels: Some(4),
        ..MachineFacts::default()
    };
    let planned = PlannedRange {
        range: range(0x1000, 0x1_ffff),
        kind: RegionKind::SystemRam,
    };
    let plan = ImagePlan::new(vec![planned], machine).unwrap();
    let mut writer = elf::Writer::new(&plan).unwrap();
    let file = fs::File::create(path).unwrap();
    write_image(
        &Fake::default(),
        &plan,
        &mut writer,
        &mut StreamOutput::new(file),
    )
    .unwrap();
}

fn info(folder: &Path, image: &str) -> Value {
    let output = dump(folder)
        .args(["info", "--json", image])
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_image_of_arm64_goes_through_all_formats() {
    let folder = tempfile::tempdir().unwrap();
    write_core(&folder.path().join("0.core"), VMCOREINFO);
    let first = open_image(&folder.path().join("0.core")).unwrap();
    for (from, to) in [
        ("0.core", "1.kdump"),
        ("1.kdump", "2.aff4"),
        ("2.aff4", "3.lime"),
        ("3.lime", "4.padded"),
        ("4.padded", "5.avml"),
        ("5.avml", "6.core.zst"),
    ] {
        dump(folder.path())
            .args(["convert", from, to])
            .assert()
            .code(0);
        let machine = &info(folder.path(), to)["machine"];
        assert_eq!(machine["architecture"], "aarch64", "{to}");
        assert_eq!(machine["page_bytes"], 4096, "{to}");
        assert_eq!(machine["va_bits"], 48, "{to}");
        assert_eq!(machine["pointer_auth_mask"], "0x7f000000000000", "{to}");
        dump(folder.path()).args(["verify", to]).assert().code(0);
    }
    dump(folder.path())
        .args(["compare", "0.core", "6.core.zst"])
        .assert()
        .code(0);
    let last = open_image(&folder.path().join("6.core.zst")).unwrap();
    assert_eq!(last.machine().architecture, Some(Architecture::Aarch64));
    assert_eq!(last.machine().vmcoreinfo, first.machine().vmcoreinfo);
    // A kdump has no room for it.
    assert_eq!(last.machine().paging_levels, Some(4));
    let manifest = folder.path().join("6.core.zst.manifest.jsonl");
    let manifest = linpmem_manifest::read(&manifest).unwrap().header.machine;
    assert_eq!(manifest.architecture.as_deref(), Some("aarch64"));
    assert_eq!(
        (manifest.page_bytes, manifest.va_bits),
        (Some(4096), Some(48))
    );
}

#[test]
fn info_shows_what_is_known_of_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    write_core(&folder.path().join("a.core"), VMCOREINFO);
    let document = info(folder.path(), "a.core");
    let machine = &document["machine"];
    assert_eq!(machine["direct_map_base"], "0xfffeffffc0000000");
    assert_eq!(machine["kimage_voffset"], "0xffff800040000000");
    assert_eq!(machine["kernel_page_table"], "0x2000");
    assert_eq!(machine["phys_base"], Value::Null);
    assert_eq!(machine["cpu_features"], json!([]));
    let notes = document["notes"].to_string();
    assert!(notes.contains("Volatility 3 does not open"), "{notes}");
    dump(folder.path())
        .args(["info", "a.core"])
        .assert()
        .code(0)
        .stdout(
            contains("architecture:      aarch64\n")
                .and(contains("virtual bits:      48\n"))
                .and(contains("paging levels:     4\n")),
        );
}

#[test]
fn a_kdump_has_pages_as_large_as_the_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let large = VMCOREINFO.replace("PAGESIZE=4096", "PAGESIZE=16384");
    write_core(&folder.path().join("a.core"), &large);
    let machine = |image| info(folder.path(), image)["machine"].clone();
    assert_eq!(machine("a.core")["page_bytes"], 16384);
    // The first three of its pages are before the first whole one of the kernel.
    dump(folder.path())
        .args(["convert", "a.core", "a.kdump"])
        .assert()
        .code(1)
        .stderr(contains("16 KiB each").and(contains("--format elf")));
    assert!(!folder.path().join("a.kdump").exists());
    for args in [
        &["convert", "--range", "0x4000-0x1ffff", "a.core", "b.kdump"][..],
        &["convert", "b.kdump", "c.core"],
        &["verify", "b.kdump"],
        &["compare", "--range", "0x4000-0x1ffff", "a.core", "c.core"],
    ] {
        dump(folder.path()).args(args).assert().code(0);
    }
    assert_eq!(machine("b.kdump")["page_bytes"], 16384);
}
