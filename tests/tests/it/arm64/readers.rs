// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other people's programs open the images, as `docs/consumers.md` says.

use super::target;
use crate::contains::contains;
use crate::host_dumper;
use anyhow::{Context, Result, ensure};
use linpmem_formats::open_image;
use linpmem_testkit::consumers::drgn::examine;
use linpmem_testkit::consumers::dump_tools::DumpTools;

const NAME: &str = "suspicious";
const TOKEN: &str = "b85f02c4-planted-for-readers-of-arm64";

#[test]
fn programs_of_x86_64_navigate_images_of_arm64() -> Result<()> {
    let target = target(|machine| machine.memory_mib(256))?;
    let (process, planted) = target.plant(NAME, TOKEN)?;
    let address = planted.rsplit(' ').next().context("no address")?;
    target.dump(&["--format", "elf"], "out.core")?.ok()?;
    let elf = target.pull("out.core")?;
    drop(process);
    let kernel = target.vm.kernel();
    let kdump = elf.with_file_name("out.kdump");
    let mut convert = host_dumper::command()?;
    convert.args(["convert", "--progress", "none"]);
    let converted = convert.arg(&elf).arg(&kdump).output()?;
    ensure!(
        converted.status.success(),
        "{}",
        host_dumper::printed(&converted)
    );

    let tools = DumpTools::open()?;
    let version = format!("Version: {}", kernel.release());
    for image in [&elf, &kdump] {
        let found = examine(image, kernel, NAME, TOKEN, address)?;
        let [planted] = found.planted.as_slice() else {
            anyhow::bail!("expected one planted process: {found:?}");
        };
        ensure!(planted.token_in_memory, "{planted:?}");
        // It waits forever, which its stack has to show.
        let stack: Vec<&str> = planted.stack.iter().flatten().map(String::as_str).collect();
        contains(&stack.join(" "), &["__schedule", "futex_wait", "el0_svc"])?;
        contains(&tools.kdumpid(image)?, &["Arch: aarch64", &version])?;
    }

    let opened = open_image(&elf)?;
    let offset = opened.machine().vmcoreinfo_value("KERNELOFFSET");
    let offset = u64::from_str_radix(offset.context("no KERNELOFFSET")?, 16)?;
    let said = tools.gdb(kernel, &elf, offset)?;
    contains(
        &said,
        &["\"swapper/0", &format!("\"{}\"", kernel.release())],
    )?;
    target.end()
}
