// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other memory sizes, a hole below 4 GiB, 4 and 5 levels of page tables.

use crate::machines;
use anyhow::{Result, ensure};
use linpmem_testkit::vm::VmBuilder;
use serde_json::Value;

fn is_acquired(
    levels: u64,
    parts_above_1_mib: usize,
    configure: impl FnOnce(VmBuilder) -> VmBuilder,
) -> Result<()> {
    let target = machines::target(configure)?;
    println!("{}", target.fill(65)?);
    let acquired = target
        .acquire(&["--no-artifacts"], "out.core")?
        .complete()?;
    let found = acquired.compare_elf()?;
    println!("{found}");
    found.require(0.75)?;
    let recorded = acquired.manifest.json.pointer("/machine/paging_levels");
    assert_eq!(recorded.and_then(Value::as_u64), Some(levels));
    let parts = acquired.ram.regions().iter();
    let above = parts.filter(|region| region.range.start().get() >= 1 << 20);
    ensure!(
        above.count() == parts_above_1_mib,
        "the machine has another layout than intended: {:?}",
        acquired.ram
    );
    target.end()
}

#[test]
fn half_a_gib_with_4_levels() -> Result<()> {
    is_acquired(4, 1, |machine| machine.memory_mib(512).cpu("max,la57=off"))
}

#[test]
fn memory_on_both_sides_of_4_gib_with_5_levels() -> Result<()> {
    is_acquired(5, 2, |machine| {
        machine.memory_mib(768).machine("q35,max-ram-below-4g=512M")
    })
}
