// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tests, the demonstration and benchmarks need before they can start a machine.

use crate::setup::{self, Part};
use crate::{dist, kmod};
use anyhow::Result;
use linpmem_testkit::artifacts::Artifacts;
use linpmem_testkit::cache::Cache;
use linpmem_testkit::kernel::Kernel;

/// The default kernel, and the module and programs built for it.
pub fn machines() -> Result<(Kernel, Artifacts)> {
    let cache = Cache::open()?;
    setup::ensure(
        &cache,
        &[
            Part::Tree,
            Part::Kernel,
            Part::Debug,
            Part::Kdir,
            Part::Drgn,
        ],
    )?;
    let kernel = Kernel::default(&cache)?;
    let module = kmod::build(&cache, &cache.kdir(kernel.release()))?;
    let [dumper, pmem, _] = dist::build_programs()?;
    let artifacts = Artifacts {
        module,
        dumper,
        pmem,
    };
    Ok((kernel, artifacts))
}
