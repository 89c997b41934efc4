// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading through the module, beside a plain copy of the same size in the same
//! boot.

use anyhow::{Context, Result};

use super::{Report, Setting};
use crate::artifacts::Artifacts;
use crate::cache::Cache;
use crate::kernel::Kernel;
use crate::suites;
use crate::vm::{Vm, guest};

/// Bulk reads beside a memcpy; the small ones beside the bulk read.
pub fn run(_: &Setting, report: &mut Report) -> Result<()> {
    suites::machines()?;
    let kernel = Kernel::default(&Cache::open()?)?;
    let vm = Vm::builder(&kernel).scratch_gib(None).boot()?;
    vm.insmod(&Artifacts::build(&kernel)?.module, "")?;
    vm.push(&guest::build("linpmem-probe")?, "/bin/probe")?;
    let output = vm.run(&["probe", "bench"])?.ok()?;
    let said = output.stdout_text()?;
    let speed = |name: &str| -> Result<f64> {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.strip_prefix(' '));
        Ok(number
            .with_context(|| format!("no {name} in {said}"))?
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
