// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions through the kernel's own interfaces, without our module.

mod absent;
mod acquired;
mod crashed;
pub mod doctor;
mod kernel_artifacts;
mod refused;

use crate::machines;
use anyhow::{Context, Result};
use linpmem_phys::PhysRange;
use linpmem_testkit::kernel::KernelPackage;
use linpmem_testkit::target_machine::{Acquired, TargetMachine};
use linpmem_testkit::vm::VmBuilder;
use serde_json::Value;

/// Boots a machine that `configure` has changed, on the chosen or else the stable kernel,
/// with the dumper in its `PATH` and no module.
fn target(configure: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<TargetMachine> {
    machines::without_module(&KernelPackage::stable(), configure)
}

/// How many levels of page tables the machine's kernel has on a processor with 5.
fn paging_levels(target: &TargetMachine) -> Result<u32> {
    let kernel = target.vm.kernel();
    // The newest ones have no such option: they have 5.
    let has_four = kernel.is_configured("# CONFIG_X86_5LEVEL is not set")?;
    Ok(if has_four { 4 } else { 5 })
}

/// The sources that served the regions of this kind, from the manifest.
pub fn serving(acquired: &Acquired, kind: &str) -> Result<Vec<String>> {
    let map = acquired.manifest.json.get("map").and_then(Value::as_array);
    let regions = map.context("no map in the manifest")?.iter();
    let of_kind = regions.filter(|region| {
        region.get("kind").and_then(Value::as_str) == Some(kind)
            && region.get("requested").and_then(Value::as_bool) == Some(true)
    });
    let mut sources: Vec<String> = of_kind
        .map(|region| {
            region
                .get("source")
                .and_then(Value::as_str)
                .unwrap_or("none")
        })
        .map(str::to_owned)
        .collect();
    sources.dedup();
    Ok(sources)
}

/// The partial pages of RAM in the machine's map, which the direct map does not include.
pub fn partial_pages(acquired: &Acquired) -> Result<Vec<PhysRange>> {
    let mut partial = Vec::new();
    for region in acquired.ram.regions() {
        let hull = region
            .range
            .page_hull()
            .context("RAM at the end of all addresses")?;
        let whole = region.range.whole_pages();
        let (from, to) = whole.map_or((hull.end(), hull.end()), |whole| {
            (whole.start(), whole.end())
        });
        partial.extend(hull.split_at(from).0);
        partial.extend(hull.split_at(to).1);
    }
    Ok(partial)
}
