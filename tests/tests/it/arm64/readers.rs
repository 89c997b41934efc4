// SPDX-License-Identifier: MIT OR Apache-2.0
//! One image of a running machine, read on x86-64: by every command of ours, and by other
//! people's programs as `docs/consumers.md` says.

use super::commands;
use super::image::{Image, NAME, TOKEN};
use crate::contains::contains;
use crate::host_dumper;
use anyhow::{Result, anyhow, bail, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::consumers::drgn;
use linpmem_testkit::consumers::dump_tools::DumpTools;
use linpmem_testkit::kernel::Kernel;
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::Instant;

type Check = fn(&Image) -> Result<()>;

/// What to check; one that fails does not keep the others from being tried.
const CHECKS: &[(&str, Check)] = &[
    ("what the image says of its machine", commands::machine),
    ("artifacts", commands::artifacts),
    ("a range of addresses", commands::range),
    ("a symbol file", commands::symbols),
    ("every format", commands::formats),
    ("drgn", drgn),
    ("libkdumpfile", libkdumpfile),
    ("gdb", gdb),
    ("makedumpfile", makedumpfile),
    ("crash", crash),
];

#[test]
fn every_command_and_other_programs_read_an_image_of_arm64() -> Result<()> {
    let image = Image::acquire()?;
    host_dumper::converts(&image.elf, &image.beside(KDUMP))?;
    let failed = CHECKS.iter().filter_map(|(name, check)| {
        let started = Instant::now();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| check(&image)));
        let outcome = outcome.unwrap_or_else(|_| Err(anyhow!("it panicked, as shown above")));
        println!("{name}: {:.1} s", started.elapsed().as_secs_f64());
        outcome.err().map(|error| format!("{name}: {error:#}\n"))
    });
    let failed: String = failed.collect();
    ensure!(failed.is_empty(), "{failed}");
    Ok(())
}

/// The image that is made of the ELF core for programs that read both.
const KDUMP: &str = "image.kdump";

/// The ELF core, and the kdump made of it.
fn both(image: &Image, check: impl Fn(&Path) -> Result<()>) -> Result<()> {
    check(&image.elf)?;
    check(&image.beside(KDUMP))
}

fn drgn(image: &Image) -> Result<()> {
    both(image, |path| {
        let found = drgn::examine(path, &image.kernel, NAME, TOKEN, &image.address)?;
        println!("{found:?}");
        assert_eq!(found.release, image.kernel.release());
        assert_eq!(found.init, "init");
        ensure!(found.tasks > 20, "only {} tasks", found.tasks);
        let [planted] = found.planted.as_slice() else {
            bail!("expected one planted process: {found:?}");
        };
        assert_eq!(planted.pid, image.pid);
        assert_eq!(
            planted.cmdline,
            ["plant", NAME, TOKEN, "--and", "an argument"]
        );
        ensure!(planted.token_in_memory, "{planted:?}");
        // It waits forever, which its stack has to show.
        let stack: Vec<&str> = planted.stack.iter().flatten().map(String::as_str).collect();
        ensure!(stack.len() < 50, "{stack:?}");
        contains(&stack.join(" "), &["__schedule", "futex_wait", "el0_svc"])
    })
}

fn libkdumpfile(image: &Image) -> Result<()> {
    let tools = DumpTools::open()?;
    let version = format!("Version: {}", image.kernel.release());
    both(image, |path| {
        contains(&tools.kdumpid(path)?, &["Arch: aarch64", &version])
    })
}

fn gdb(image: &Image) -> Result<()> {
    let said = DumpTools::open()?.gdb(
        &image.kernel,
        &image.elf,
        image.vmcoreinfo_number("KERNELOFFSET")?,
    )?;
    let release = format!("\"{}\"", image.kernel.release());
    contains(&said, &["\"swapper/0", &release])
}

/// The bits of a virtual address that the kernel is built for, and those that its processor
/// has. `PHYS_OFFSET` counts from the lowest address that the former allow.
struct AddressBits {
    built_for: u32,
    used: u32,
    phys_offset: u64,
}

impl AddressBits {
    fn of(image: &Image) -> Result<Self> {
        let number = |name: &str| image.vmcoreinfo_number(&format!("NUMBER({name})"));
        let used = match number("TCR_EL1_T1SZ") {
            Ok(size) => 64 - size,
            // Kernels before 5.11 (arch/arm64/kernel/crash_core.c).
            Err(_) => number("VA_BITS")?,
        };
        Ok(Self {
            built_for: u32::try_from(number("VA_BITS")?)?,
            used: u32::try_from(used)?,
            phys_offset: number("PHYS_OFFSET")?,
        })
    }
}

fn makedumpfile(image: &Image) -> Result<()> {
    if AddressBits::of(image)?.built_for == 52 {
        println!("makedumpfile does not know kernels that are built for addresses of 52 bits");
        return Ok(());
    }
    let log = DumpTools::open()?.dmesg(Arch::Aarch64, &image.elf)?;
    let release = image.kernel.release();
    contains(&log, &[&format!("Linux version {release}")])?;
    ensure!(log.lines().count() > 100, "{log}");
    Ok(())
}

/// It takes two minutes, so it runs only on kernels that were chosen, as by `--kernels`.
///
/// Where a kernel built for 52 bits runs on a processor with 48, crash has to be told where
/// physical memory begins, as seen from the lowest address of 48 bits.
fn crash(image: &Image) -> Result<()> {
    if env::var_os(Kernel::CHOSEN).is_none() {
        println!("SKIPPED crash, which takes minutes: it runs with --kernels");
        return Ok(());
    }
    let bits = AddressBits::of(image)?;
    let offset = match (bits.built_for, bits.used) {
        (48, 48) => None,
        (52, 48) => Some(bits.phys_offset.wrapping_add((1 << 52) - (1 << 48))),
        other => {
            println!("crash does not open images of kernels with other addresses: {other:?}");
            return Ok(());
        }
    };
    let option = offset.map(|offset| format!("phys_offset={offset:#x}"));
    let options: Vec<&str> = match &option {
        Some(option) => vec!["-m", option],
        None => Vec::new(),
    };
    let path = image.elf.display().to_string();
    let pid = u64::try_from(image.pid)?;
    let said = DumpTools::open()?.crash(&options, &image.kernel, &path, pid)?;
    let release = format!("RELEASE: {}", image.kernel.release());
    contains(&said, &[&release, "MACHINE: aarch64", NAME])?;
    let stack = said.rsplit("COMMAND: ").next().unwrap_or_default();
    contains(stack, &["__schedule", "futex_wait", "el0_svc"])
}
