// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are damaged, lie, or are of another machine: an error each.

use crate::kernel::{EXPORTS, Files, btf, enums, object, structs, vmlinux};
use linpmem_fit::FitError;
use std::io::Write;

/// A boot image for x86 around a compressed kernel.
fn boot_image(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 1024];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image.extend_from_slice(payload);
    image
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// The files without a Module.symvers, so that the kernel itself is read.
fn refusal(files: &Files) -> String {
    error(files).to_string()
}

fn error(files: &Files) -> FitError {
    let at = |name: &str| files.folder.path().join(name);
    let sources = linpmem_fit::Sources::of_files()
        .kernel(&at("vmlinux"))
        .modules(&at("modules"))
        .config(&at("config"));
    linpmem_fit::fit(&files.object, &sources).unwrap_err()
}

fn kernel() -> Vec<u8> {
    vmlinux(&btf(&structs(), &enums()), &EXPORTS)
}

#[test]
fn a_packed_kernel_is_unpacked() {
    let files = Files::new();
    let expected = files.fit().unwrap().module;
    let packed = gzip(&kernel());
    files.put("vmlinux", &boot_image(&packed));
    let at = |name: &str| files.folder.path().join(name);
    let sources = linpmem_fit::Sources::of_files().kernel(&at("vmlinux"));
    assert!(linpmem_fit::fit(&files.object, &sources).unwrap().module == expected);

    // LZ4's legacy frame: its magic, and blocks after their lengths.
    let block = lz4_block(&kernel());
    let mut packed = vec![0x02, 0x21, 0x4c, 0x18];
    packed.extend_from_slice(&(block.len() as u32).to_le_bytes());
    packed.extend_from_slice(&block);
    packed.extend_from_slice(&(kernel().len() as u32).to_le_bytes());
    files.put("vmlinux", &boot_image(&packed));
    assert!(linpmem_fit::fit(&files.object, &sources).unwrap().module == expected);
}

/// A block of literals alone.
fn lz4_block(bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0xf0];
    let mut rest = bytes.len() - 15;
    while rest >= 255 {
        block.push(255);
        rest -= 255;
    }
    block.push(rest as u8);
    block.extend_from_slice(bytes);
    block
}

#[test]
fn boot_images_that_lie_are_refused() {
    let files = Files::new();
    for (image, named) in [
        (b"#!/bin/sh".to_vec(), "neither a boot image"),
        (boot_image(b"")[..700].to_vec(), "truncated"),
        (boot_image(b"BZh91AY&SYxxxx"), "bzip2"),
        (
            boot_image(b"something that is nothing"),
            "neither ELF nor compressed",
        ),
        (boot_image(&gzip(b"\x7fELF but no kernel")), "vmlinux"),
        (
            boot_image(b"\x02\x21\x4c\x18\xff\xff\xff\x7fxxxxxxxx"),
            "LZ4 data is truncated",
        ),
        (
            boot_image(b"\x02\x21\x4c\x18\x04\0\0\0\xff\xff\xff\xffxxxx"),
            "LZ4 data is damaged",
        ),
        (boot_image(b"\x28\xb5\x2f\xfdxxxxxxxxxxxx"), "vmlinux"),
        (boot_image(b"\xfd7zXZ\0xxxxxxxxxxxx"), "vmlinux"),
    ] {
        files.put("vmlinux", &image);
        let refusal = refusal(&files);
        assert!(refusal.contains(named), "{refusal}");
    }
    let mut past_end = boot_image(&gzip(&kernel()));
    past_end[0x24c..0x250].copy_from_slice(&u32::MAX.to_le_bytes());
    files.put("vmlinux", &past_end);
    assert!(refusal(&files).contains("truncated"));
    let mut arm = vec![0; 1024];
    arm[0x38..0x3c].copy_from_slice(b"ARMd");
    files.put("vmlinux", &arm);
    assert!(refusal(&files).contains("arm64"));
    // As UEFI starts it, packed: without the mark of an unpacked one.
    let mut packed = vec![0; 1024];
    packed[..8].copy_from_slice(b"MZ\0\0zimg");
    packed[0x3c] = 0x40;
    packed[0x40..0x46].copy_from_slice(b"PE\0\0\x64\xaa");
    files.put("vmlinux", &packed);
    assert!(refusal(&files).contains("boot image for arm64"));
    packed[0x3c..0x40].copy_from_slice(&u32::MAX.to_le_bytes());
    files.put("vmlinux", &packed);
    assert!(refusal(&files).contains("neither a boot image"));
}

#[test]
fn every_truncation_of_every_file_is_an_error() {
    let whole = Files::new();
    assert!(whole.fit().is_ok());
    let kernel = kernel();
    let sample = std::fs::read(whole.folder.path().join("modules/kernel/a/sample.ko")).unwrap();
    let types = btf(&structs(), &enums());
    let cuts = |len: usize| (0..len).step_by(len / 23).chain([len - 1]);
    for len in cuts(types.len()) {
        whole.put("btf", &types[..len]);
        assert!(whole.fit().is_err(), "{len} bytes of BTF");
    }
    whole.put("btf", &types);
    for len in cuts(sample.len()) {
        whole.put("modules/kernel/a/sample.ko", &sample[..len]);
        assert!(whole.fit().is_err(), "{len} bytes of a module");
    }
    whole.put("modules/kernel/a/sample.ko", &sample);
    for len in cuts(kernel.len()) {
        whole.put("vmlinux", &kernel[..len]);
        let _: FitError = error(&whole);
    }
    let object = whole.object.clone();
    for len in cuts(object.len()) {
        let mut files = Files::new();
        files.object = object[..len].to_vec();
        assert!(files.fit().is_err(), "{len} bytes of the object");
    }
}

#[test]
fn files_for_another_architecture_are_refused() {
    let machine = |mut file: Vec<u8>| {
        file[18..20].copy_from_slice(&183_u16.to_le_bytes());
        file
    };
    let mut files = Files::new();
    let sample = std::fs::read(files.folder.path().join("modules/kernel/a/sample.ko")).unwrap();
    files.put("modules/kernel/a/sample.ko", &machine(sample.clone()));
    assert!(files.refusal().contains("it is for arm64"));
    files.put("modules/kernel/a/sample.ko", &sample);
    files.put("vmlinux", &machine(kernel()));
    assert!(refusal(&files).contains("it is for arm64"));
    files.object = machine(files.object);
    assert!(files.refusal().contains("x86-64"));
}

#[test]
fn lists_that_are_no_lists_are_refused() {
    let files = Files::new();
    for text in [
        "",
        "no tabs\n",
        "0x1\tname\tvmlinux",
        "0x123456789\tx\tvmlinux\tE\t\n",
    ] {
        files.put("Module.symvers", text.as_bytes());
        assert!(files.refusal().contains("Module.symvers"), "{text}");
    }
    files.put("Module.symvers", "x".repeat(9000).as_bytes());
    assert!(files.refusal().contains("4 KiB"));
}

#[test]
fn objects_that_are_not_ours_are_refused() {
    let refusal = |object: crate::elf::Elf| {
        let mut files = Files::new();
        files.object = object.bytes();
        files.refusal()
    };
    let empty = crate::elf::Elf::relocatable();
    assert!(refusal(empty).contains("linpmem_layout"));
    let missing = object().symbol("no_such_export", None);
    assert!(refusal(missing).contains("no_such_export"));
    let twice = object().symbol("init_module", Some((".text", 0, 4)));
    assert!(refusal(twice).contains("twice"));
    let no_jump = object().section(".rodata", &[0; 8]).relocations(
        ".rodata",
        &[(0, object::elf::R_X86_64_64, "__x86_return_thunk", 0)],
    );
    assert!(refusal(no_jump).contains("jump"));
}

/// Fuzzing found it: the addresses of entries overflowed.
#[test]
fn a_table_of_exports_at_the_end_of_the_address_space_is_refused() {
    let files = Files::new();
    for (address, moved) in [
        (0xffff_ffff_8200_0000_u64, "__ksymtab"),
        (0xffff_ffff_8202_0000, ""),
    ] {
        let mut kernel = kernel();
        let place = address.to_le_bytes();
        let at = kernel
            .windows(8)
            .rposition(|window| window == place)
            .unwrap();
        kernel[at..at + 8].copy_from_slice(&(u64::MAX - 8).to_le_bytes());
        files.put("vmlinux", &kernel);
        let refusal = refusal(&files);
        assert!(
            refusal.contains("vmlinux") || refusal.contains("__get_user_1"),
            "{refusal}"
        );
        assert!(refusal.contains(moved), "{refusal}");
    }
}

/// Fuzzing found them: what was written had as many bytes as the alignment, and 0 made
/// sections overlap.
#[test]
fn alignments_that_cannot_be_are_refused_and_0_is_1() {
    let with = |align: u64| {
        let mut files = Files::new();
        let headers = u64::from_le_bytes(files.object[40..48].try_into().unwrap());
        let first = usize::try_from(headers).unwrap() + 4 * 64;
        files.object[first + 48..first + 56].copy_from_slice(&align.to_le_bytes());
        files.fit().map(|fitted| fitted.module)
    };
    for align in [1 << 31, 24] {
        let refusal = with(align).unwrap_err().to_string();
        assert!(refusal.contains(&format!("{align:#x}")), "{refusal}");
    }
    assert!(with(0).unwrap() == with(1).unwrap());
}

#[test]
fn a_kernel_whose_own_table_has_other_types_of_faults_is_refused() {
    let files = Files::new();
    let mut kernel = kernel();
    // The entry of type 3 becomes one of type 4.
    let entry = [1_u32.to_le_bytes(), 3_u32.to_le_bytes()].concat();
    let at = kernel
        .windows(8)
        .position(|window| window == entry)
        .unwrap();
    kernel[at + 4] = 4;
    files.put("vmlinux", &kernel);
    let refusal = refusal(&files);
    assert!(refusal.contains("__get_user_1"), "{refusal}");
}
