// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading through the module, compared with a plain copy of the same size in the same
//! machine.

use super::{Report, Setting};
use crate::prepare;
use anyhow::{Context, Result};
use linpmem_testkit::vm::{Vm, guest};

/// Bulk reads compared with memcpy, small reads with bulk reads.
pub fn run(_: &Setting, report: &mut Report) -> Result<()> {
    let (kernel, artifacts) = prepare::machines()?;
    let vm = Vm::builder(&kernel).scratch_gib(None).boot()?;
    vm.insmod(&artifacts.module, "")?;
    vm.push(&guest::build("linpmem-probe")?, "/bin/probe")?;
    let output = vm.run(&["probe", "bench"])?.ok()?;
    let printed = output.stdout_text()?;
    let speed = |name: &str| -> Result<f64> {
        let line = printed.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.strip_prefix(' '));
        Ok(number
            .with_context(|| format!("no {name} in {printed}"))?
            .parse()?)
    };
    let memcpy = speed("memcpy")?;
    let bulk = speed("read_pages")?;
    report.add("kmod/read-pages to memcpy", bulk, "MiB/s", Some(memcpy));
    report.add(
        "kmod/pread to memcpy",
        speed("pread")?,
        "MiB/s",
        Some(memcpy),
    );
    let small = speed("pread_4k")?;
    report.add("kmod/read-pages to 4 KiB pread", bulk, "MiB/s", Some(small));
    let original = speed("original_4k")?;
    report.add("kmod/read-pages to original", bulk, "MiB/s", Some(original));
    vm.shutdown()
}
