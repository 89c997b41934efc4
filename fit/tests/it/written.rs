// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module that is written.

use crate::kernel::{EXPORTS, Files, RELEASE, VERMAGIC, btf, enums, structs, symvers, vmlinux};
use linpmem_core::layout::Layout;
use linpmem_testkit::modinfo;
use object::read::elf::{ElfFile64, FileHeader};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationTarget};

type File<'a> = ElfFile64<'a, LittleEndian>;

/// The relocations of a section: where, against what, and the addend.
fn relocations(file: &File<'_>, section: &str) -> Vec<(u64, String, i64)> {
    let section = file.section_by_name(section).unwrap();
    let places = section.relocations().map(|(offset, place)| {
        let RelocationTarget::Symbol(index) = place.target() else {
            panic!("a relocation without a symbol");
        };
        let symbol = file.symbol_by_index(index).unwrap();
        let name = symbol.name().unwrap().to_owned();
        (offset, name, place.addend())
    });
    places.collect()
}

fn data<'a>(file: &File<'a>, section: &str) -> &'a [u8] {
    file.section_by_name(section).unwrap().data().unwrap()
}

#[test]
fn it_is_what_a_kernel_loads() {
    let fitted = Files::new().fit().unwrap();
    let file = File::parse(&*fitted.module).unwrap();
    assert_eq!(file.elf_header().e_type(LittleEndian), object::elf::ET_REL);

    let this = file.section_by_name(".gnu.linkonce.this_module").unwrap();
    assert_eq!((this.size(), this.align()), (1280, 64));
    assert_eq!(&this.data().unwrap()[24..32], b"linpmem\0");
    assert_eq!(
        relocations(&file, ".gnu.linkonce.this_module"),
        [
            (312, "init_module".to_owned(), 0),
            (1200, "cleanup_module".to_owned(), 0)
        ]
    );
    let own = file.symbol_by_name("__this_module").unwrap();
    assert_eq!(own.section_index(), Some(this.index()));

    for (name, value) in [
        ("license", "GPL"),
        ("name", "linpmem"),
        ("vermagic", VERMAGIC),
        ("depends", ""),
        ("retpoline", "Y"),
    ] {
        assert_eq!(modinfo::values(&fitted.module, name).unwrap(), [value]);
    }

    // Checksums of all that is still undefined, and of struct module.
    let mut versions: Vec<(u32, String)> = Vec::new();
    for record in data(&file, "__versions").chunks(64) {
        let name = String::from_utf8_lossy(&record[8..]);
        let crc = u64::from_le_bytes(record[..8].try_into().unwrap());
        versions.push((crc as u32, name.trim_end_matches('\0').to_owned()));
    }
    let mut undefined: Vec<String> = file
        .symbols()
        .filter(|symbol| symbol.is_undefined())
        .map(|symbol| symbol.name().unwrap().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    undefined.push("module_layout".to_owned());
    undefined.sort();
    let named: Vec<_> = versions.iter().map(|(_, name)| name.clone()).collect();
    assert_eq!(named, undefined);
    for (crc, name) in versions {
        let known = EXPORTS.iter().find(|(known, _)| *known == name).unwrap();
        assert_eq!(known.1, crc);
    }

    // The table, little-endian, beginning with its version.
    let layout = &data(&file, ".data")[..8];
    assert_eq!(layout, [1, 0, 0, 0, 200, 0, 0, 0]);
    // The module compares it with the kernel that it finds itself in.
    let own = &data(&file, ".data")[size_of::<Layout>()..];
    assert!(own.starts_with(format!("{RELEASE}\0").as_bytes()));

    // What the kernel lacks is the module's own.
    let places = relocations(&file, ".text");
    let efi = places.iter().find(|(offset, ..)| *offset == 22).unwrap();
    assert_eq!((efi.1.as_str(), efi.2), ("efi", -4));
    let efi = file.symbol_by_name("efi").unwrap();
    let substitute = file.symbol_by_name("linpmem_without_efi").unwrap();
    assert_eq!(efi.section_index(), substitute.section_index());
    assert_eq!(efi.address(), substitute.address());
}

#[test]
fn faults_have_types_since_5_16_and_handlers_before() {
    let fitted = Files::new().fit().unwrap();
    let file = File::parse(&*fitted.module).unwrap();
    let faults = data(&file, "__ex_table");
    assert_eq!(
        (&faults[8..12], &faults[20..24]),
        (&[15, 0, 0, 0][..], &[3, 0, 0, 0][..])
    );
    assert_eq!(relocations(&file, "__ex_table").len(), 4);

    let files = Files::new();
    let mut structs = structs();
    let entry = structs
        .iter_mut()
        .find(|found| found.0 == "exception_table_entry");
    entry.unwrap().2[2].0 = "handler";
    let types = btf(&structs, &enums());
    files.put("btf", &types);
    let refusal = files.refusal();
    assert!(refusal.contains("ex_handler_fault"), "{refusal}");
    let handlers = [("ex_handler_fault", 8), ("ex_handler_uaccess", 9)];
    let exports = [&EXPORTS[..], &handlers].concat();
    files.put("Module.symvers", symvers(&exports).as_bytes());
    files.put("vmlinux", &vmlinux(&types, &exports));
    let fitted = files.fit().unwrap();
    let file = File::parse(&*fitted.module).unwrap();
    assert_eq!(&data(&file, "__ex_table")[8..12], [0; 4]);
    let places = relocations(&file, "__ex_table");
    assert!(
        places.contains(&(8, "ex_handler_fault".to_owned(), 0)),
        "{places:?}"
    );
    assert!(
        places.contains(&(20, "ex_handler_uaccess".to_owned(), 0)),
        "{places:?}"
    );
    let versions = data(&file, "__versions");
    let named = |name: &str| {
        versions
            .chunks(64)
            .any(|record| record[8..].starts_with(name.as_bytes()))
    };
    assert!(named("ex_handler_fault") && named("ex_handler_uaccess"));
}

#[test]
fn returns_through_the_kernels_thunk_are_listed() {
    let fitted = Files::new().fit().unwrap();
    let file = File::parse(&*fitted.module).unwrap();
    assert_eq!(data(&file, ".return_sites").len(), 8);
    let places = relocations(&file, ".return_sites");
    let ends: Vec<_> = places
        .iter()
        .map(|(offset, _, addend)| (*offset, *addend))
        .collect();
    assert_eq!(ends, [(0, 8), (4, 32)]);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let files = Files::new();
    let first = files.fit().unwrap().module;
    assert!(first == files.fit().unwrap().module);
    assert!(first == Files::new().fit().unwrap().module);
    assert!(!first.is_empty() && !RELEASE.is_empty());
}

#[test]
fn a_fitted_module_is_not_fitted_again() {
    let mut files = Files::new();
    files.object = files.fit().unwrap().module;
    let refusal = files.refusal();
    assert!(refusal.contains("fitted already"), "{refusal}");
}

#[test]
fn namespaces_are_imported_and_those_for_named_modules_are_not_used() {
    let files = Files::new();
    let list = symvers(&EXPORTS).replace(
        "\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n",
        "\t_printk\tvmlinux\tEXPORT_SYMBOL\tSECRETS\n",
    );
    files.put("Module.symvers", list.as_bytes());
    let fitted = files.fit().unwrap();
    assert_eq!(
        modinfo::values(&fitted.module, "import_ns").unwrap(),
        ["SECRETS"]
    );
    let list = list.replace("\tSECRETS\n", "\tmodule:kvm\n");
    files.put("Module.symvers", list.as_bytes());
    let refusal = files.refusal();
    assert!(refusal.contains("_printk or printk"), "{refusal}");
}
