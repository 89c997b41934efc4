// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel of our own, small and whole: its files, and a prebuilt module.

use crate::assembler::Assembler;
use crate::elf::Elf;
use linpmem_core::layout::{Layout, RELEASE_ROOM};
use linpmem_fit::{FitError, Fitted, Sources, fit};
use object::elf::{R_X86_64_64, R_X86_64_PC32, R_X86_64_PLT32};
use std::fs;
use tempfile::TempDir;

pub const RELEASE: &str = "6.12.9-test";
pub const VERMAGIC: &str = "6.12.9-test SMP preempt mod_unload modversions ";

/// What it exports, and the checksums.
pub const EXPORTS: [(&str, u32); 8] = [
    ("module_layout", 0x1111_0000),
    ("_printk", 0x1111_0001),
    ("schedule", 0x1111_0002),
    ("pcpu_hot", 0x1111_0003),
    ("pfn_to_online_page", 0x1111_0004),
    ("param_ops_uint", 0x1111_0005),
    ("__x86_return_thunk", 0x1111_0006),
    ("__get_user_1", 0x1111_0007),
];

/// The type of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Pointer,
    Bytes(u32),
    Array(u32),
    Characters,
}

/// A struct: its name, size and members with their offsets.
pub type Struct = (&'static str, u32, Vec<(&'static str, u32, Of)>);

/// The structs, each different enough that a mistake shows.
pub fn structs() -> Vec<Struct> {
    use Of::{Array, Bytes, Characters, Pointer};
    vec![
        ("file", 232, vec![("private_data", 200, Pointer)]),
        (
            "file_operations",
            280,
            vec![
                ("owner", 0, Pointer),
                ("llseek", 8, Pointer),
                ("read", 16, Pointer),
                ("unlocked_ioctl", 80, Pointer),
                ("compat_ioctl", 88, Pointer),
                ("open", 112, Pointer),
            ],
        ),
        (
            "miscdevice",
            80,
            vec![
                ("minor", 0, Bytes(4)),
                ("name", 8, Pointer),
                ("fops", 16, Pointer),
                ("mode", 72, Bytes(2)),
            ],
        ),
        ("notifier_block", 24, vec![("notifier_call", 0, Pointer)]),
        (
            "resource",
            64,
            vec![
                ("start", 0, Bytes(8)),
                ("end", 8, Bytes(8)),
                ("flags", 24, Bytes(8)),
                ("desc", 32, Bytes(8)),
            ],
        ),
        (
            "page",
            64,
            vec![
                ("flags", 0, Bytes(8)),
                ("compound_head", 8, Bytes(8)),
                ("page_type", 48, Bytes(4)),
            ],
        ),
        ("mem_section", 32, vec![("section_mem_map", 8, Bytes(8))]),
        (
            "signal_struct",
            1000,
            vec![("shared_pending.signal", 80, Bytes(8))],
        ),
        (
            "task_struct",
            9000,
            vec![
                ("usage", 40, Bytes(4)),
                ("cred", 2000, Pointer),
                ("pagefault_disabled", 3000, Bytes(4)),
                ("pending.signal", 2200, Bytes(8)),
                ("blocked", 2100, Bytes(8)),
                ("signal", 2008, Pointer),
            ],
        ),
        ("cred", 176, vec![("euid", 24, Bytes(4))]),
        ("mm_struct", 1400, vec![("pgd", 120, Pointer)]),
        ("pcpu_hot", 64, vec![("current_task", 8, Pointer)]),
        (
            "cpuinfo_x86",
            300,
            vec![
                ("x86_phys_bits", 33, Bytes(1)),
                ("x86_capability", 48, Array(4)),
            ],
        ),
        (
            "module",
            1280,
            vec![
                ("name", 24, Characters),
                ("init", 312, Pointer),
                ("exit", 1200, Pointer),
            ],
        ),
        (
            "exception_table_entry",
            12,
            vec![
                ("insn", 0, Bytes(4)),
                ("fixup", 4, Bytes(4)),
                ("data", 8, Bytes(4)),
            ],
        ),
        (
            "kernel_param",
            40,
            vec![
                ("name", 0, Pointer),
                ("mod", 8, Pointer),
                ("ops", 16, Pointer),
                ("perm", 24, Bytes(2)),
                ("level", 26, Bytes(1)),
                ("flags", 27, Bytes(1)),
                ("arg", 32, Pointer),
            ],
        ),
    ]
}

/// Enumerations and their values.
pub fn enums() -> Vec<(&'static str, Vec<(&'static str, u32)>)> {
    vec![
        ("pageflags", vec![("PG_locked", 0), ("PG_hwpoison", 21)]),
        (
            "pagetype",
            vec![("PGTY_offline", 0xf1), ("PGTY_unaccepted", 0xf7)],
        ),
        (
            "memory_block_state",
            vec![("MEM_ONLINE", 0), ("MEM_OFFLINE", 2)],
        ),
        (
            "lockdown_reason",
            vec![("LOCKDOWN_NONE", 0), ("LOCKDOWN_DEV_MEM", 2)],
        ),
        (
            "",
            vec![
                ("IORES_DESC_NONE", 0),
                ("IORES_DESC_ACPI_TABLES", 2),
                ("IORES_DESC_ACPI_NV_STORAGE", 3),
                ("IORES_DESC_RESERVED", 7),
            ],
        ),
        ("", vec![("REGION_INTERSECTS", 0), ("REGION_DISJOINT", 1)]),
        ("", vec![("MEMREMAP_WB", 1)]),
        ("pg_level", vec![("PG_LEVEL_NONE", 0), ("PG_LEVEL_4K", 1)]),
        ("pid_type", vec![("PIDTYPE_PID", 0)]),
        (
            "xen_domain_type",
            vec![("XEN_NATIVE", 0), ("XEN_PV_DOMAIN", 1)],
        ),
    ]
}

/// BTF of these structs. A dot leads into a struct of its own, and `page` has its members
/// in a union without a name, as kernels do.
pub fn btf(structs: &[Struct], enums: &[(&str, Vec<(&str, u32)>)]) -> Vec<u8> {
    let mut btf = Assembler::new();
    let void = btf.forward("anything");
    let pointer = btf.pointer(void);
    let character = btf.int("char", 1, 2);
    let characters = btf.array(character, 56);
    let number = |btf: &mut Assembler, size| btf.int("number", size, 0);
    for (name, size, members) in structs {
        let mut typed = Vec::new();
        for (path, offset, of) in members {
            let mut type_id = match of {
                Of::Pointer => pointer,
                Of::Bytes(size) => number(&mut btf, *size),
                Of::Array(size) => {
                    let element = number(&mut btf, *size);
                    btf.array(element, 8)
                }
                Of::Characters => characters,
            };
            let (outer, inner) = match path.split_once('.') {
                Some((outer, inner)) => (outer, Some(inner)),
                None => (*path, None),
            };
            if let Some(inner) = inner {
                type_id = btf.structure("wrapper", 8, &[(inner, type_id, 0)]);
            }
            typed.push((outer, type_id, offset * 8));
        }
        if *name == "page" {
            let inner = btf.composite("", (5, false), *size, &typed);
            btf.structure(name, *size, &[("", inner, 0)]);
        } else {
            btf.structure(name, *size, &typed);
        }
    }
    for (name, values) in enums {
        btf.enumeration(name, false, values);
    }
    btf.bytes()
}

/// A prebuilt module.
pub fn object() -> Elf {
    let layout = vec![0; size_of::<Layout>()];
    let place = layout.len() as u64;
    let facts = vec![0; layout.len() + RELEASE_ROOM];
    // Two jumps to the return thunk, and room for calls.
    let mut text = vec![0x90; 64];
    text[8] = 0xe9;
    text[32] = 0xe9;
    let mut faults = vec![0; 24];
    faults[8] = 1;
    faults[20] = 2;
    Elf::relocatable()
        .section(".text", &text)
        .section(".data", &facts)
        .section(".modinfo", b"license=GPL\0")
        .section("__ex_table", &faults)
        .section("__param", &[0; 40])
        .symbol("linpmem_layout", Some((".data", 0, place)))
        .symbol(
            "linpmem_release",
            Some((".data", place, RELEASE_ROOM as u64)),
        )
        .symbol("init_module", Some((".text", 0, 13)))
        .symbol("cleanup_module", Some((".text", 16, 21)))
        .symbol("linpmem_without_efi", Some((".data", 8, 8)))
        .symbol("_printk", None)
        .symbol("__cond_resched", None)
        .symbol("current_task", None)
        .symbol("pfn_to_online_page", None)
        .symbol("efi", None)
        .symbol("param_ops_uint", None)
        .symbol("__this_module", None)
        .symbol("__x86_return_thunk", None)
        .relocations(
            ".text",
            &[
                (9, R_X86_64_PLT32, "__x86_return_thunk", -4),
                (17, R_X86_64_PLT32, "_printk", -4),
                (22, R_X86_64_PC32, "efi", -4),
                (33, R_X86_64_PLT32, "__x86_return_thunk", -4),
            ],
        )
        .relocations(
            "__ex_table",
            &[
                (0, R_X86_64_PC32, "init_module", 4),
                (4, R_X86_64_PC32, "init_module", 8),
                (12, R_X86_64_PC32, "init_module", 4),
                (16, R_X86_64_PC32, "init_module", 8),
            ],
        )
        .relocations("__param", &[(16, R_X86_64_64, "param_ops_uint", 0)])
}

/// A module that was built with the kernel.
pub fn module(vermagic: &str, [size, init, exit]: [u64; 3], crc: u32) -> Vec<u8> {
    let mut versions = crc.to_le_bytes().to_vec();
    versions.extend_from_slice(&[0; 4]);
    versions.extend_from_slice(b"module_layout");
    versions.resize(64, 0);
    Elf::relocatable()
        .section(".text", &[0x90; 16])
        .section(
            ".modinfo",
            format!("license=GPL\0vermagic={vermagic}\0").as_bytes(),
        )
        .section("__versions", &versions)
        .section(".gnu.linkonce.this_module", &vec![0; size as usize])
        .symbol("init_module", Some((".text", 0, 8)))
        .symbol("cleanup_module", Some((".text", 8, 8)))
        .relocations(
            ".gnu.linkonce.this_module",
            &[
                (init, R_X86_64_64, "init_module", 0),
                (exit, R_X86_64_64, "cleanup_module", 0),
            ],
        )
        .bytes()
}

/// The kernel: types, exports with checksums, faults, banner and vermagic.
pub fn vmlinux(btf: &[u8], exports: &[(&str, u32)]) -> Vec<u8> {
    const TABLE: u64 = 0xffff_ffff_8200_0000;
    const STRINGS: u64 = TABLE + 0x1_0000;
    const TEXT: u64 = TABLE - 0x10_0000;
    let (mut table, mut strings, mut checksums) = (Vec::new(), vec![0], Vec::new());
    for (index, (name, crc)) in (0_u64..).zip(exports) {
        let at = TABLE + 12 * index;
        let name_at = STRINGS + strings.len() as u64;
        for (place, to) in [
            (at, TEXT + 256 * index),
            (at + 4, name_at),
            (at + 8, STRINGS),
        ] {
            table.extend_from_slice(&(to.wrapping_sub(place) as u32).to_le_bytes());
        }
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
        checksums.extend_from_slice(&crc.to_le_bytes());
    }
    let reader = exports.iter().position(|(name, _)| *name == "__get_user_1");
    let reader = TEXT + 256 * reader.unwrap_or_default() as u64;
    let faults = TABLE + 0x2_0000;
    let mut entries = Vec::new();
    for (index, (place, number)) in (0_u64..).zip([(reader + 8, 3), (TEXT + 0x9000, 15)]) {
        let at = faults + 12 * index;
        for word in [place.wrapping_sub(at) as u32, 1, number] {
            entries.extend_from_slice(&word.to_le_bytes());
        }
    }
    let banner = format!("Linux version {RELEASE} (test@test) (gcc (Debian) 12.2.0) #1 SMP\n\0");
    let text = [banner.as_bytes(), VERMAGIC.as_bytes(), b"\0"].concat();
    Elf::executable()
        .at(TABLE, "__ksymtab", &table)
        .at(TABLE + 0x8000, "__kcrctab", &checksums)
        .at(STRINGS, "__ksymtab_strings", &strings)
        .at(faults, "__ex_table", &entries)
        .at(TABLE + 0x3_0000, ".rodata", &text)
        .at(TABLE + 0x4_0000, ".BTF", btf)
        .bytes()
}

/// The kernel's files in a folder.
pub struct Files {
    pub folder: TempDir,
    pub object: Vec<u8>,
}

impl Files {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let btf = btf(&structs(), &enums());
        let files = Self {
            folder,
            object: object().bytes(),
        };
        files.put(
            "modules/kernel/a/sample.ko",
            &module(VERMAGIC, [1280, 312, 1200], 0x1111_0000),
        );
        files.put("vmlinux", &vmlinux(&btf, &EXPORTS));
        files.put("Module.symvers", symvers(&EXPORTS).as_bytes());
        files.put(
            "config",
            b"CONFIG_X86_64=y\nCONFIG_MODULES=y\n# CONFIG_CFI is not set\n",
        );
        files.put("btf", &btf);
        files
    }

    /// Replaces a file.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn sources(&self) -> Sources {
        let at = |name: &str| self.folder.path().join(name);
        Sources::of_files()
            .release(RELEASE)
            .btf(&at("btf"))
            .kernel(&at("vmlinux"))
            .modules(&at("modules"))
            .symvers(&at("Module.symvers"))
            .config(&at("config"))
    }

    pub fn fit(&self) -> Result<Fitted, FitError> {
        fit(&self.object, &self.sources())
    }

    /// Why it is refused.
    pub fn refusal(&self) -> String {
        self.fit().unwrap_err().to_string()
    }
}

/// A Module.symvers.
pub fn symvers(exports: &[(&str, u32)]) -> String {
    let lines = exports
        .iter()
        .map(|(name, crc)| format!("{crc:#010x}\t{name}\tvmlinux\tEXPORT_SYMBOL\t\n"));
    lines.collect()
}

/// The inputs that fuzzing begins with are these files, each after its number.
/// `LINPMEM_BLESS=1` writes them.
#[test]
fn the_first_inputs_of_fuzzing_are_these_files() {
    let files = Files::new();
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/fit");
    let read = |name: &str| fs::read(files.folder.path().join(name)).unwrap();
    for (number, name, bytes) in [
        (0, "object", files.object.clone()),
        (1, "btf", read("btf")),
        (2, "vmlinux", read("vmlinux")),
        (3, "sample", read("modules/kernel/a/sample.ko")),
        (4, "symvers", read("Module.symvers")),
        (5, "config", read("config")),
    ] {
        let bytes = [vec![number], bytes].concat();
        let path = seeds.join(name);
        if std::env::var_os("LINPMEM_BLESS").is_some() {
            fs::write(&path, &bytes).unwrap();
        }
        let known = fs::read(&path).unwrap();
        assert!(
            known == bytes,
            "{}: LINPMEM_BLESS=1 writes it anew",
            path.display()
        );
    }
}
