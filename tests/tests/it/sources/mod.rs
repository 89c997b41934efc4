// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory by what the kernel itself offers, without our module.

mod acquired;
mod artifacts;
mod refused;

use anyhow::{Context, Result, ensure};
use linpmem_phys::PhysRange;
use serde_json::Value;
use xtask::acquisition::{Acquired, Subject};
use xtask::artifacts::Artifacts;
use xtask::cache::Cache;
use xtask::matrix;
use xtask::vm::{Output, Vm, VmBuilder};

/// Boots a machine as `shape` wants it, on the kernel that was chosen or the one
/// that this suite is for, with the dumper in its `PATH` and no module.
fn subject(shape: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<Subject> {
    let kernel = matrix::of_sources(&Cache::open()?)?;
    println!("kernel {}", kernel.release());
    let vm = shape(Vm::builder(&kernel)).boot()?;
    Subject::with_dumper(vm, &Artifacts::dumper()?)
}

fn says(output: &Output, words: &[&str]) -> Result<()> {
    let text = output.text();
    let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
    ensure!(missing.is_empty(), "{missing:?} is not in: {text}");
    Ok(())
}

/// What the manifest says of the sources: their names, and what served System RAM.
fn serving(acquired: &Acquired, kind: &str) -> Result<Vec<String>> {
    let map = acquired.manifest.json.get("map").and_then(Value::as_array);
    let regions = map.context("a manifest without a map")?.iter();
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

/// The pages of RAM that the machine's map says are RAM only in part: the direct
/// map has none of them.
fn partial_pages(acquired: &Acquired) -> Result<Vec<PhysRange>> {
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
