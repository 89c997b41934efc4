// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels of Debian, compared with what other readers see in them.

use crate::object;
use linpmem_core::layout::{ABSENT, Layout};
use linpmem_fit::{Explanation, FitError, Fitted, Sources, fit};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::Kernel;
use linpmem_testkit::modinfo;
use std::collections::BTreeMap;
use std::fs;

/// What pahole and readelf say about a series of kernels.
struct Known {
    series: &'static str,
    /// A word of its flavour's name; empty for all others.
    flavour: &'static str,
    /// Its size, and the offsets of init and exit.
    struct_module: [u32; 3],
    /// Its size, and the offsets of llseek and read.
    file_operations: [u32; 3],
    pgd: u32,
    offline: [u32; 2],
    printk: &'static str,
    current: &'static str,
    online_page: Option<&'static str>,
    is_versioned: bool,
}

impl Known {
    fn is(&self, release: &str) -> bool {
        release.starts_with(self.series) && release.contains(self.flavour)
    }
}

/// The first that is of a kernel's series and flavour.
const KNOWN: [Known; 5] = [
    Known {
        series: "5.10.",
        flavour: "",
        struct_module: [960, 336, 896],
        file_operations: [264, 8, 16],
        pgd: 80,
        offline: [0xf000_0100, 0xf000_0000],
        printk: "printk",
        current: "current_task",
        online_page: None,
        is_versioned: true,
    },
    Known {
        series: "6.1.",
        flavour: "",
        struct_module: [896, 312, 848],
        file_operations: [280, 8, 16],
        pgd: 72,
        offline: [0xf000_0100, 0xf000_0000],
        printk: "_printk",
        current: "current_task",
        online_page: Some("pfn_to_online_page"),
        is_versioned: true,
    },
    Known {
        series: "6.12.",
        flavour: "-rt-",
        struct_module: [1280, 312, 1200],
        file_operations: [264, 16, 24],
        pgd: 152,
        offline: [0xff00_0000, 0xf100_0000],
        printk: "_printk",
        current: "const_pcpu_hot",
        online_page: Some("pfn_to_online_page"),
        is_versioned: true,
    },
    Known {
        series: "6.12.",
        flavour: "",
        struct_module: [1280, 312, 1200],
        file_operations: [264, 16, 24],
        pgd: 120,
        offline: [0xff00_0000, 0xf100_0000],
        printk: "_printk",
        current: "const_pcpu_hot",
        online_page: Some("pfn_to_online_page"),
        is_versioned: true,
    },
    Known {
        series: "7.3.",
        flavour: "",
        struct_module: [1280, 304, 1208],
        file_operations: [272, 16, 24],
        pgd: 120,
        offline: [0xff00_0000, 0xf100_0000],
        printk: "_printk",
        current: "current_task",
        online_page: Some("pfn_to_online_page"),
        is_versioned: false,
    },
];

/// The kernels in the cache, of which the set-up fetches two at least.
fn kernels() -> Vec<Kernel> {
    let mut kernels = Kernel::list(&Cache::open().unwrap()).unwrap();
    // The prebuilt module is for no other.
    kernels.retain(|kernel| kernel.arch() == Arch::X86_64);
    assert!(kernels.len() >= 2, "run `cargo xtask setup` first");
    kernels
}

/// All files of a kernel but its Module.symvers.
fn sources(kernel: &Kernel) -> Sources {
    Sources::of_files()
        .release(kernel.release())
        .kernel(&kernel.vmlinuz())
        .modules(&kernel.modules())
        .config(&kernel.dir().join("config"))
}

/// The kernel's symbol for an import; none for the module's own substitute.
fn symbol<'a>(explanation: &'a Explanation, import: &str) -> Option<&'a str> {
    let mut imports = explanation.imports.iter();
    let import = imports.find(|found| found.name == import).unwrap();
    import.symbol.as_deref()
}

fn fact<'a>(explanation: &'a Explanation, name: &str) -> &'a str {
    let mut facts = explanation.facts.iter();
    &facts.find(|fact| fact.name == name).unwrap().value
}

#[test]
fn layouts_and_names_are_those_that_other_readers_find() {
    let object = object::compiled();
    let mut compared = 0;
    for kernel in kernels() {
        let Fitted { explanation, .. } = fit(&object, &sources(&kernel)).unwrap();
        let Some(known) = KNOWN.iter().find(|known| known.is(kernel.release())) else {
            continue;
        };
        compared += 1;
        let [size, init, exit] = known.struct_module;
        assert_eq!(
            fact(&explanation, "struct module"),
            format!("{size} bytes, init at {init}, exit at {exit}")
        );
        let Layout {
            fops_size,
            fops_llseek,
            fops_read,
            fops_unlocked_ioctl,
            mm_pgd,
            offline_mask,
            offline_type,
            section_size,
            ..
        } = explanation.layout;
        assert_eq!([fops_size, fops_llseek, fops_read], known.file_operations);
        assert_eq!(fops_unlocked_ioctl, 80);
        assert_eq!(mm_pgd, known.pgd);
        assert_eq!([offline_mask, offline_type], known.offline);
        assert_eq!(section_size == ABSENT, known.online_page.is_some());
        assert_eq!(symbol(&explanation, "_printk"), Some(known.printk));
        assert_eq!(symbol(&explanation, "current_task"), Some(known.current));
        assert_eq!(
            symbol(&explanation, "pfn_to_online_page"),
            known.online_page
        );
        assert_eq!(symbol(&explanation, "no_kernel_has_this"), None);
        let has_checksums = explanation
            .imports
            .iter()
            .any(|import| import.checksum.is_some());
        assert_eq!(has_checksums, known.is_versioned);
    }
    assert!(
        compared >= 2,
        "no kernel in the cache is of a series in the table"
    );
}

/// The kernel's own list, which its build wrote.
fn symvers(kernel: &Kernel) -> BTreeMap<String, u32> {
    let text = fs::read_to_string(kernel.dir().join("headers/Module.symvers")).unwrap();
    let lines = text.lines().map(|line| {
        let mut fields = line.split('\t');
        let crc = fields.next().unwrap().trim_start_matches("0x");
        let name = fields.next().unwrap().to_owned();
        (name, u32::from_str_radix(crc, 16).unwrap())
    });
    lines.collect()
}

#[test]
fn checksums_are_those_of_the_kernels_build_and_every_source_gives_the_same_module() {
    let object = object::compiled();
    for kernel in kernels() {
        let from_kernel = fit(&object, &sources(&kernel)).unwrap();
        let listed = symvers(&kernel);
        for import in &from_kernel.explanation.imports {
            if let (Some(symbol), Some(crc)) = (&import.symbol, import.checksum) {
                assert_eq!(listed.get(symbol), Some(&crc), "{symbol}");
            }
        }
        let list = kernel.dir().join("headers/Module.symvers");
        let from_list = fit(&object, &sources(&kernel).symvers(&list)).unwrap();
        assert!(
            from_list.module == from_kernel.module,
            "{}",
            kernel.release()
        );

        let own = modinfo::values(&from_kernel.module, "vermagic").unwrap();
        assert!(own[0].starts_with(&format!("{} SMP ", kernel.release())));
        assert_eq!(
            modinfo::values(&from_kernel.module, "name").unwrap(),
            ["linpmem"]
        );
    }
}

#[test]
fn files_of_two_kernels_are_refused() {
    let object = object::compiled();
    let kernels = kernels();
    let (first, second) = (&kernels[0], &kernels[kernels.len() - 1]);
    let mixed = sources(first).modules(&second.modules());
    let error = fit(&object, &mixed).unwrap_err();
    assert!(matches!(error, FitError::Disagreement { .. }), "{error}");
    let error = fit(&object, &sources(first).release("1.2.3")).unwrap_err();
    assert!(error.to_string().contains("1.2.3"), "{error}");
}
