// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our own commands, on an image of an arm64 machine.

use super::EM_AARCH64;
use super::image::Image;
use crate::contains::contains;
use crate::host_dumper::{self, json, ok};
use anyhow::{Context, Result, ensure};
use linpmem_formats::open_image;
use linpmem_testkit::consumers::symbol_file;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Every other format, by the extension that chooses it.
const FORMATS: &[&str] = &["raw", "padded", "lime", "kdump", "avml", "aff4", "core.zst"];

/// Types that examiners' programs depend on.
const MUST_BE_RIGHT: &[&str] = &[
    "cred",
    "file",
    "list_head",
    "mm_struct",
    "module",
    "pid",
    "super_block",
    "task_struct",
    "thread_info",
    "uts_namespace",
    "vm_area_struct",
];

/// `verify`, and `info` in both forms.
pub fn machine(image: &Image) -> Result<()> {
    ok("verify", &[&image.elf])?;
    is_of_this_machine(image, &image.elf)?;
    let said = ok("info", &[&image.elf])?;
    let page = format!("page size:         {} KiB\n", page_bytes(image) >> 10);
    let release = image.kernel.release();
    contains(
        &said,
        &[
            "architecture:      aarch64\n",
            "virtual bits:      ",
            &page,
            release,
        ],
    )
}

/// Bytes of a page of the kernel.
fn page_bytes(image: &Image) -> u64 {
    match image.kernel.release().ends_with("-16k") {
        true => 16 << 10,
        false => 4 << 10,
    }
}

/// Requires that `info` knows the machine of the image at `path`.
fn is_of_this_machine(image: &Image, path: &Path) -> Result<()> {
    let document = json("info", &[&path])?;
    let machine = document.get("machine").context("no machine")?;
    let fact = |name: &str| machine.get(name).cloned().unwrap_or_default();
    assert_eq!(fact("architecture"), "aarch64", "{}", path.display());
    assert_eq!(fact("kernel"), image.kernel.release());
    assert_eq!(fact("page_bytes"), page_bytes(image));
    let built_for_52 = image.kernel.is_configured("CONFIG_ARM64_VA_BITS=52")?;
    // The processors of these machines have 48, and those with pages of 16 KiB 47 or 52.
    let bits = fact("va_bits").as_u64().context("no va_bits")?;
    ensure!(matches!(bits, 47 | 48) || built_for_52, "{bits} bits");
    ensure!(fact("kimage_voffset").is_string(), "{machine}");
    Ok(())
}

/// `ls`, and `extract` of what it lists.
pub fn artifacts(image: &Image) -> Result<()> {
    let listed = json("ls", &[&image.elf])?.to_string();
    let release = image.kernel.release();
    for (name, part) in [
        ("proc/version", release.as_bytes()),
        // `_text` is before what kernels without CONFIG_KALLSYMS_ALL list.
        ("proc/kallsyms", b" T _stext\n".as_slice()),
        ("sys/kernel/btf/vmlinux", b"\x9f\xeb\x01".as_slice()),
    ] {
        ensure!(listed.contains(&format!("\"{name}\"")), "{name}: {listed}");
        let out = image.beside("artifact");
        ok("extract", &[&"--file", &name, &image.elf, &out])?;
        let bytes = fs::read(&out)?;
        fs::remove_file(&out)?;
        ensure!(
            bytes.windows(part.len()).any(|window| window == part),
            "{name} lacks {:?}",
            String::from_utf8_lossy(part)
        );
    }
    Ok(())
}

/// `extract` of the kernel's name, where VMCOREINFO says that it is: in the data that the
/// linear map lacks since Linux 7.3.
pub fn range(image: &Image) -> Result<()> {
    let virt = image.vmcoreinfo_number("SYMBOL(init_uts_ns)")?;
    let offset = image.vmcoreinfo_number("NUMBER(kimage_voffset)")?;
    let phys = virt.wrapping_sub(offset);
    let out = image.beside("name");
    let addresses = format!("{phys:#x}+1KiB");
    ok("extract", &[&"--range", &addresses, &image.elf, &out])?;
    let bytes = String::from_utf8_lossy(&fs::read(&out)?).into_owned();
    contains(&bytes, &["Linux\0", image.kernel.release(), "aarch64\0"])
}

/// `symbols`, compared with the kernel's DWARF and its System.map.
pub fn symbols(image: &Image) -> Result<()> {
    let file = image.beside("made.isf.json.xz");
    let map = image.kernel.system_map();
    let mut args: Vec<&dyn AsRef<OsStr>> = vec![&image.elf, &"-o", &file];
    // Debian's older kernels list functions alone.
    if !image.kernel.is_configured("CONFIG_KALLSYMS_ALL=y")? {
        args.push(&"--system-map");
        args.push(&map);
    }
    let said = ok("symbols", &args)?;
    contains(&said, &["Volatility 3 does not open memory of arm64"])?;
    let found = symbol_file::compare_with_dwarf(&file, &image.kernel)?;
    println!("{}", found.summary());
    found.require_equal(MUST_BE_RIGHT)?;
    let (types, symbols, addresses) = (found.types.same, found.symbols.same, found.addresses.same);
    ensure!(
        // 135 symbols of 5.10 have types.
        types > 5000 && symbols > 100 && addresses > 50_000,
        "{}",
        found.summary()
    );
    Ok(())
}

/// `convert` to each format and back, with `verify`, `info` and `compare`.
pub fn formats(image: &Image) -> Result<()> {
    has_the_linear_map(image, &image.elf)?;
    for extension in FORMATS {
        let (there, back) = (
            image.beside(&format!("there.{extension}")),
            image.beside("back.core"),
        );
        host_dumper::converts(&image.elf, &there)?;
        ok("verify", &[&there])?;
        is_of_this_machine(image, &there)?;
        ok("compare", &[&image.elf, &there])?;
        host_dumper::converts(&there, &back)?;
        is_of_this_machine(image, &back)?;
        ok("compare", &[&image.elf, &back])?;
        has_the_linear_map(image, &back).with_context(|| format!("from {extension}"))?;
        let [before, after] = [&image.elf, &back].map(|path| open_image(path));
        ensure!(
            before?.machine().vmcoreinfo == after?.machine().vmcoreinfo,
            "VMCOREINFO is another one after {extension}"
        );
        for path in [&there, &back] {
            remove_set(path)?;
        }
    }
    Ok(())
}

/// Removes an image and the files that belong to it.
fn remove_set(image: &Path) -> Result<()> {
    let folder = image.parent().context("no folder")?;
    let name = image.file_name().context("no name")?.to_string_lossy();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&*name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Requires an ELF core of arm64, with memory where the kernel's linear map has it: the
/// lowest address of the map is that of `PHYS_OFFSET` (arch/arm64/include/asm/memory.h).
fn has_the_linear_map(image: &Image, core: &Path) -> Result<()> {
    let file = File::open(core)?;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0)?;
    ensure!(
        u16::from_le_bytes([header[18], header[19]]) == EM_AARCH64,
        "an ELF core of another architecture"
    );
    let built_for = image.vmcoreinfo_number("NUMBER(VA_BITS)")?;
    let offset = image.vmcoreinfo_number("NUMBER(PHYS_OFFSET)")?;
    let base = (u64::MAX << built_for).wrapping_sub(offset);
    let count = u16::from_le_bytes([header[56], header[57]]);
    let mut loads = 0;
    for number in 0..u64::from(count) {
        let mut entry = [0; 56];
        file.read_exact_at(&mut entry, 64 + 56 * number)?;
        let word = |at: usize| -> Result<u64> {
            let bytes = entry.get(at..at + 8).context("a short entry")?;
            Ok(u64::from_le_bytes(bytes.try_into()?))
        };
        let is_load = entry.first_chunk() == Some(&1_u32.to_le_bytes());
        let (virt, phys) = (word(16)?, word(24)?);
        // The kernel's image has no physical address.
        if !is_load || phys == u64::MAX {
            continue;
        }
        loads += 1;
        ensure!(
            virt == base.wrapping_add(phys),
            "{phys:#x} is at {virt:#x}, and the linear map begins at {base:#x}"
        );
    }
    ensure!(loads > 0, "no memory");
    Ok(())
}
