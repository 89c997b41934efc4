// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other sizes, a hole below 4 GiB, 4 and 5 levels of page tables.

use anyhow::{Result, ensure};
use serde_json::Value;
use xtask::vm::VmBuilder;

fn is_acquired(
    levels: u64,
    parts_above_1_mib: usize,
    shape: impl FnOnce(VmBuilder) -> VmBuilder,
) -> Result<()> {
    let subject = crate::subject(shape)?;
    println!("{}", subject.fill(65)?);
    let acquired = subject
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
        "the machine is not laid out as meant: {:?}",
        acquired.ram
    );
    subject.end()
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
