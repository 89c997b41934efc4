// SPDX-License-Identifier: MIT OR Apache-2.0
//! Facts of kernels that differ from each other.

use crate::kernel::{EXPORTS, Files, Of, RELEASE, btf, enums, module, structs, symvers, vmlinux};
use linpmem_core::layout::ABSENT;
use linpmem_fit::{Fitted, Sources, fit};

/// The kernel with other types.
fn with(change: impl FnOnce(&mut Vec<crate::kernel::Struct>)) -> Files {
    let files = Files::new();
    let mut structs = structs();
    change(&mut structs);
    let types = btf(&structs, &enums());
    files.put("btf", &types);
    files.put("vmlinux", &vmlinux(&types, &EXPORTS));
    files
}

/// The members of a struct.
fn members<'a>(
    structs: &'a mut [crate::kernel::Struct],
    name: &str,
) -> &'a mut Vec<(&'static str, u32, Of)> {
    &mut structs.iter_mut().find(|found| found.0 == name).unwrap().2
}

/// The kernel with other enumerations.
fn with_enums(change: impl FnOnce(&mut Vec<(&'static str, Vec<(&'static str, u32)>)>)) -> Files {
    let files = Files::new();
    let mut enums = enums();
    change(&mut enums);
    let types = btf(&structs(), &enums);
    files.put("btf", &types);
    files.put("vmlinux", &vmlinux(&types, &EXPORTS));
    files
}

#[test]
fn each_fact_of_the_table_is_where_the_types_say() {
    let Fitted { explanation, .. } = Files::new().fit().unwrap();
    let layout = explanation.layout;
    assert_eq!(layout.version, 1);
    assert_eq!(layout.file_private_data, 200);
    assert_eq!((layout.fops_size, layout.fops_unlocked_ioctl), (280, 80));
    assert_eq!((layout.misc_size, layout.misc_mode), (80, 72));
    assert_eq!((layout.page_size, layout.page_type), (64, 48));
    assert_eq!((layout.page_compound, layout.poisoned_bit), (8, 21));
    assert_eq!(
        (layout.offline_mask, layout.offline_type),
        (0xff00_0000, 0xf100_0000)
    );
    assert_eq!(
        (layout.unaccepted_mask, layout.unaccepted_type),
        (0xff00_0000, 0xf700_0000)
    );
    assert_eq!(
        (layout.task_pending, layout.signal_shared_pending),
        (2200, 80)
    );
    assert_eq!((layout.current_offset, layout.mm_pgd), (8, 120));
    assert_eq!(
        (layout.section_size, layout.efi_unaccepted),
        (ABSENT, ABSENT)
    );
    assert_eq!(
        (layout.cc_guest_mem_encrypt, layout.mem_offline),
        (ABSENT, 2)
    );
    assert_eq!((layout.cpu_phys_bits, layout.cpu_capability), (33, 48));
    assert_eq!(layout.vmcoreinfo_len, 24 + 12 + 4096);
    let bound = |name: &str| {
        let mut imports = explanation.imports.iter();
        imports
            .find(|import| import.name == name)
            .unwrap()
            .symbol
            .clone()
    };
    assert_eq!(bound("__cond_resched").as_deref(), Some("schedule"));
    assert_eq!(bound("current_task").as_deref(), Some("pcpu_hot"));
    assert_eq!(bound("efi"), None);
}

#[test]
fn a_member_of_another_size_or_kind_is_refused_by_name() {
    for (structure, member, of) in [
        ("cpuinfo_x86", "x86_phys_bits", Of::Bytes(2)),
        ("page", "flags", Of::Bytes(4)),
        ("miscdevice", "mode", Of::Bytes(4)),
        ("mm_struct", "pgd", Of::Bytes(8)),
        ("cpuinfo_x86", "x86_capability", Of::Array(8)),
        ("file_operations", "read", Of::Array(8)),
    ] {
        let files = with(|structs| {
            let mut members = members(structs, structure).iter_mut();
            members.find(|found| found.0 == member).unwrap().2 = of;
        });
        let refusal = files.refusal();
        assert!(
            refusal.contains(&format!("struct {structure}.{member}")),
            "{refusal}"
        );
    }
}

#[test]
fn a_member_that_is_gone_or_outside_its_struct_is_refused_by_name() {
    let gone = with(|structs| members(structs, "cred").clear()).refusal();
    assert!(gone.contains("struct cred.euid"), "{gone}");
    let outside = with(|structs| members(structs, "cred")[0].1 = 175).refusal();
    assert!(outside.contains("struct cred.euid"), "{outside}");
    let no_struct = with(|structs| structs.retain(|found| found.0 != "cred")).refusal();
    assert!(no_struct.contains("struct cred"), "{no_struct}");
}

#[test]
fn structs_larger_than_the_modules_room_are_refused() {
    for (name, size) in [
        ("file_operations", 520),
        ("miscdevice", 264),
        ("notifier_block", 40),
    ] {
        let files = with(|structs| {
            structs.iter_mut().find(|found| found.0 == name).unwrap().1 = size;
        });
        let refusal = files.refusal();
        assert!(refusal.contains(&format!("struct {name}")), "{refusal}");
        assert!(refusal.contains(&size.to_string()), "{refusal}");
    }
}

#[test]
fn two_definitions_of_a_struct_that_differ_are_refused() {
    let twice =
        |euid| with(|structs| structs.push(("cred", 176, vec![("euid", euid, Of::Bytes(4))])));
    assert!(twice(24).fit().is_ok());
    let refusal = twice(28).refusal();
    assert!(refusal.contains("several definitions"), "{refusal}");
}

/// The module has these numbers in its code, not in its table.
#[test]
fn an_enumerator_that_is_not_what_the_module_was_compiled_with_is_refused() {
    for (name, expected) in linpmem_core::layout::ENUMERATORS {
        let change = |change: fn(&mut (&'static str, u32))| {
            with_enums(|enums| {
                let all = enums.iter_mut().flat_map(|(_, values)| values);
                all.filter(|(found, _)| *found == name).for_each(change);
            })
        };
        let other = change(|(_, value)| *value += 1).fit().unwrap_err();
        let said = other.to_string();
        assert!(said.contains(name), "{said}");
        assert!(said.contains(&(expected + 1).to_string()), "{said}");
        let gone = change(|(name, _)| *name = "gone").fit();
        // The tests' module does not use xen_domain_type.
        match name {
            "XEN_PV_DOMAIN" => assert!(gone.is_ok()),
            _ => assert!(gone.unwrap_err().to_string().contains(name)),
        }
    }
}

#[test]
fn each_coding_of_page_types_is_understood() {
    let offline = |files: Files| {
        let layout = files.fit().unwrap().explanation.layout;
        (
            (layout.offline_mask, layout.offline_type),
            (layout.unaccepted_mask, layout.unaccepted_type),
        )
    };
    let none = (0, ABSENT);
    let macros = with_enums(|enums| enums.retain(|found| found.0 != "pagetype"));
    assert_eq!(offline(macros), ((0xf000_0100, 0xf000_0000), none));
    let bits = |with_base: bool| {
        with_enums(|enums| {
            let values = &mut enums
                .iter_mut()
                .find(|found| found.0 == "pagetype")
                .unwrap()
                .1;
            *values = vec![("PG_offline", 0x2000_0000)];
            if with_base {
                values.push(("PAGE_TYPE_BASE", 0x8000_0000));
            }
        })
    };
    assert_eq!(offline(bits(true)), ((0xa000_0000, 0x8000_0000), none));
    let refusal = bits(false).refusal();
    assert!(refusal.contains("PAGE_TYPE_BASE"), "{refusal}");
}

#[test]
fn a_kernel_without_pfn_to_online_page_needs_its_sections() {
    let files = Files::new();
    let exports: Vec<_> = EXPORTS
        .into_iter()
        .filter(|(name, _)| *name != "pfn_to_online_page")
        .collect();
    files.put("Module.symvers", symvers(&exports).as_bytes());
    let refusal = files.refusal();
    assert!(refusal.contains("pfn_to_online_page"), "{refusal}");

    let with_substitute = |exports: &[(&str, u32)]| {
        let mut files = Files::new();
        files.object = crate::kernel::object()
            .symbol("mem_section", None)
            .symbol("linpmem_without_pfn_to_online_page", Some((".text", 0, 8)))
            .bytes();
        files.put("Module.symvers", symvers(exports).as_bytes());
        files
    };
    let refusal = with_substitute(&exports).refusal();
    assert!(refusal.contains("mem_section"), "{refusal}");
    let with_sections = [exports.as_slice(), &[("mem_section", 5)]].concat();
    let layout = with_substitute(&with_sections)
        .fit()
        .unwrap()
        .explanation
        .layout;
    assert_eq!((layout.section_size, layout.section_mem_map), (32, 8));
}

#[test]
fn a_module_that_this_kernel_accepted_must_look_the_same() {
    let files = Files::new();
    let good = [1280, 312, 1200];
    for (vermagic, place, crc, named) in [
        (
            "6.12.8-other SMP mod_unload ",
            good,
            0x1111_0000,
            "6.12.8-other",
        ),
        (
            crate::kernel::VERMAGIC,
            [1216, 312, 1200],
            0x1111_0000,
            "1216 bytes",
        ),
        (
            crate::kernel::VERMAGIC,
            [1280, 304, 1200],
            0x1111_0000,
            "init at 304",
        ),
        (
            crate::kernel::VERMAGIC,
            [1280, 312, 1208],
            0x1111_0000,
            "exit at 1208",
        ),
        (crate::kernel::VERMAGIC, good, 0x2222_0000, "0x22220000"),
    ] {
        files.put("modules/kernel/a/sample.ko", &module(vermagic, place, crc));
        let refusal = files.refusal();
        assert!(refusal.contains(named), "{refusal}");
        assert!(refusal.contains("sample.ko"), "{refusal}");
    }
}

#[test]
fn files_of_another_kernel_are_refused() {
    let files = Files::new();
    let other = btf(&structs()[..15], &enums());
    files.put("vmlinux", &vmlinux(&other, &EXPORTS));
    // What the Module.symvers tells needs no kernel; without it, the kernel is compared.
    let at = |name: &str| files.folder.path().join(name);
    let sources = Sources::of_files()
        .btf(&at("btf"))
        .kernel(&at("vmlinux"))
        .modules(&at("modules"))
        .config(&at("config"));
    let refusal = fit(&files.object, &sources).unwrap_err().to_string();
    assert!(refusal.contains("the BTF is"), "{refusal}");
}

#[test]
fn a_kernel_alone_is_enough() {
    let files = Files::new();
    let at = |name: &str| files.folder.path().join(name);
    let alone = Sources::of_files().kernel(&at("vmlinux"));
    let from_kernel = fit(&files.object, &alone).unwrap();
    assert!(from_kernel.module == files.fit().unwrap().module);
    assert_eq!(from_kernel.explanation.release, RELEASE);
}

#[test]
fn a_running_system_tells_it_by_proc_and_sys() {
    let files = Files::new();
    let root = files.folder.path();
    let kallsyms: String = EXPORTS
        .iter()
        .map(|(name, _)| format!("0000000000000000 r __ksymtab_{name}\n"))
        .collect();
    files.put("proc/kallsyms", kallsyms.as_bytes());
    files.put("sys/kernel/vmcoreinfo", b"0x0000000012345000 2024\n");
    std::fs::create_dir_all(root.join("lib/modules")).unwrap();
    std::fs::rename(root.join("modules"), root.join("lib/modules").join(RELEASE)).unwrap();
    std::fs::create_dir_all(root.join("sys/kernel/btf")).unwrap();
    std::fs::rename(root.join("btf"), root.join("sys/kernel/btf/vmlinux")).unwrap();
    // Not versioned: no kernel is needed.
    let plain = "6.12.9-test SMP preempt mod_unload ";
    let sample = format!("lib/modules/{RELEASE}/kernel/a/sample.ko");
    files.put(&sample, &module(plain, [1280, 312, 1200], 0));
    let live = Sources::running_at(root, RELEASE);
    let fitted = fit(&files.object, &live).unwrap();
    assert_eq!(fitted.explanation.layout.vmcoreinfo_len, 0x2024);
    assert!(
        fitted
            .explanation
            .imports
            .iter()
            .all(|import| import.checksum.is_none())
    );

    // Versioned: the checksums are in the kernel.
    files.put(
        &sample,
        &module(crate::kernel::VERMAGIC, [1280, 312, 1200], 0x1111_0000),
    );
    let refusal = fit(&files.object, &live).unwrap_err().to_string();
    assert!(
        refusal.contains("_printk") && refusal.contains("--symvers"),
        "{refusal}"
    );
    std::fs::create_dir_all(root.join("boot")).unwrap();
    std::fs::rename(
        root.join("vmlinux"),
        root.join(format!("boot/vmlinuz-{RELEASE}")),
    )
    .unwrap();
    let fitted = fit(&files.object, &live).unwrap();
    let mut imports = fitted.explanation.imports.iter();
    let printk = imports.find(|import| import.name == "_printk").unwrap();
    assert_eq!(printk.checksum, Some(0x1111_0001));
}

#[test]
fn kernels_with_kcfi_or_without_modules_are_refused() {
    let files = Files::new();
    for (config, named) in [
        (
            "CONFIG_X86_64=y\nCONFIG_MODULES=y\nCONFIG_CFI_CLANG=y\n",
            "CONFIG_CFI_CLANG=y",
        ),
        (
            "CONFIG_X86_64=y\nCONFIG_MODULES=y\nCONFIG_CFI=y\n",
            "CONFIG_CFI=y",
        ),
        ("CONFIG_X86_64=y\n", "CONFIG_MODULES"),
        ("CONFIG_ARM64=y\nCONFIG_MODULES=y\n", "x86-64"),
        ("#!/bin/sh\n", "no kernel's configuration"),
    ] {
        files.put("config", config.as_bytes());
        let refusal = files.refusal();
        assert!(refusal.contains(named), "{refusal}");
    }
}

/// A core file with a note VMCOREINFO, as /proc/kcore, and with what is at a virtual address.
fn core(text: &str, (address, memory): (u64, &[u8])) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [11, text.len() as u32, 0] {
        note.extend_from_slice(&word.to_le_bytes());
    }
    note.extend_from_slice(b"VMCOREINFO\0\0");
    note.extend_from_slice(text.as_bytes());
    note.resize(note.len().next_multiple_of(4), 0);
    const START: u64 = 64 + 2 * 56;
    let mut core = b"\x7fELF\x02\x01\x01".to_vec();
    core.resize(64, 0);
    core[32] = 64;
    core[54] = 56;
    core[56] = 2;
    for (kind, offset, address, len) in [
        (4_u64, START, 0, note.len()),
        (1, START + note.len() as u64, address, memory.len()),
    ] {
        for word in [kind, offset, address, 0, len as u64, len as u64, 0] {
            core.extend_from_slice(&word.to_le_bytes());
        }
    }
    core.extend_from_slice(&note);
    core.extend_from_slice(memory);
    core
}

/// The memory of the kernel whose file is `vmlinux`, from its first section on.
fn memory_of(vmlinux: &[u8]) -> (u64, Vec<u8>) {
    use object::{Object, ObjectSection};
    let file = object::File::parse(vmlinux).unwrap();
    let start = file.section_by_name("__ksymtab").unwrap().address();
    let mut memory = Vec::new();
    for name in ["__ksymtab", "__kcrctab", "__ksymtab_strings"] {
        let section = file.section_by_name(name).unwrap();
        memory.resize((section.address() - start) as usize, 0);
        memory.extend_from_slice(section.data().unwrap());
    }
    (start, memory)
}

/// Unpacking the kernel takes a hundred megabytes of the memory that is to be acquired.
#[test]
fn a_running_kernels_checksums_are_read_in_its_memory() {
    let files = Files::new();
    let root = files.folder.path();
    let (start, memory) = memory_of(&std::fs::read(root.join("vmlinux")).unwrap());
    let modules = root.join("lib/modules").join(RELEASE);
    for (from, to) in [
        ("modules", modules.clone()),
        ("btf", root.join("sys/kernel/btf/vmlinux")),
        ("vmlinux", root.join(format!("boot/vmlinuz-{RELEASE}"))),
    ] {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(root.join(from), to).unwrap();
    }
    let count = EXPORTS.len() as u64;
    let mut kallsyms = String::new();
    for (name, at) in [
        ("__start___ksymtab", 0),
        ("__stop___ksymtab", 12 * count),
        ("__start___kcrctab", 0x8000),
        ("__stop___kcrctab", 0x8000 + 4 * count),
    ] {
        kallsyms.push_str(&format!("{:016x} R {name}\n", start + at));
    }
    for (index, (name, _)) in (0..).zip(EXPORTS) {
        kallsyms.push_str(&format!("{:016x} r __ksymtab_{name}\n", start + 12 * index));
    }
    files.put("proc/kallsyms", kallsyms.as_bytes());
    let sources = |kallsyms: &str, memory: &[u8]| {
        files.put("proc/kallsyms", kallsyms.as_bytes());
        files.put(
            "proc/kcore",
            &core("OSRELEASE=6.12.9-test\n", (start, memory)),
        );
        let fitted = fit(&files.object, &Sources::running_at(root, RELEASE)).unwrap();
        let mut imports = fitted.explanation.imports.into_iter();
        let printk = imports.find(|import| import.name == "_printk").unwrap();
        assert_eq!(printk.checksum, Some(0x1111_0001));
        printk.source.unwrap()
    };
    let source = sources(&kallsyms, &memory);
    assert!(source.contains("proc/kcore"), "{source}");

    // Where it cannot be right, the kernel's file tells.
    let hidden = kallsyms.replace("ffffffff82", "0000000000");
    let one_less = kallsyms.replace(
        &format!("{:016x} R __stop___kcrctab", start + 0x8000 + 4 * count),
        &format!("{:016x} R __stop___kcrctab", start + 0x8000 + 4 * count - 4),
    );
    assert_ne!(one_less, kallsyms);
    let mut other_name = memory.clone();
    let names = other_name.len()
        - EXPORTS
            .iter()
            .map(|(name, _)| name.len() + 1)
            .sum::<usize>();
    other_name[names..].fill(b'x');
    let zeros = vec![0; memory.len()];
    for (kallsyms, memory) in [
        (&hidden, &memory),
        (&one_less, &memory),
        (&kallsyms, &other_name),
        (&kallsyms, &zeros),
        (&kallsyms, &memory[..0x100].to_vec()),
    ] {
        let source = sources(kallsyms, memory);
        assert!(source.contains("boot/vmlinuz"), "{source}");
    }
}

#[test]
fn the_running_kernels_note_must_say_the_same() {
    let files = Files::new();
    let root = files.folder.path();
    let modules = root.join("lib/modules").join(RELEASE);
    std::fs::create_dir_all(&modules).unwrap();
    std::fs::rename(root.join("modules/kernel"), modules.join("kernel")).unwrap();
    for (from, to) in [
        ("btf", "sys/kernel/btf/vmlinux".to_owned()),
        ("vmlinux", format!("boot/vmlinuz-{RELEASE}")),
    ] {
        std::fs::create_dir_all(root.join(&to).parent().unwrap()).unwrap();
        std::fs::rename(root.join(from), root.join(to)).unwrap();
    }
    // As the kernel prints them: 0xf1000000 with a sign.
    let good = "OSRELEASE=6.12.9-test\nSIZE(page)=64\nOFFSET(page.flags)=0\n\
                OFFSET(page.compound_head)=8\nNUMBER(PG_hwpoison)=21\n\
                NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)=-251658240\n";
    let with = |text: &str| {
        files.put("proc/kcore", &core(text, (0, &[])));
        fit(&files.object, &Sources::running_at(root, RELEASE))
    };
    let checks = with(good).unwrap().explanation.checks;
    assert!(
        checks.iter().any(|check| check.starts_with("5 facts")),
        "{checks:?}"
    );
    for (from, to, named) in [
        ("6.12.9", "6.12.8", "the release"),
        ("SIZE(page)=64", "SIZE(page)=56", "struct page"),
        ("flags)=0", "flags)=8", "page.flags"),
        ("head)=8", "head)=16", "page.compound_head"),
        ("poison)=21", "poison)=20", "PG_hwpoison"),
        ("-251658240", "-257", "offline pages"),
    ] {
        let refusal = with(&good.replace(from, to)).unwrap_err().to_string();
        assert!(
            refusal.contains(named) && refusal.contains("VMCOREINFO"),
            "{refusal}"
        );
    }
}
