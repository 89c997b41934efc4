// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reserved memory: absent unless requested, and exact then.

use crate::machines;
use crate::pattern::{self, PatternFile};
use anyhow::{Result, ensure};
use linpmem_testkit::ground_truth::open_elf;

#[test]
fn reserved_memory_is_absent_by_default_and_exact_on_request() -> Result<()> {
    let pattern = PatternFile::new()?;
    let reserved = pattern::range()?;
    let target = machines::target(|machine| pattern.load(machine.memory_mib(256)))?;

    println!("{}", target.fill(30)?);
    let without = target
        .acquire(&["--no-artifacts"], "without.core")?
        .complete()?;
    let segments = open_elf(&without.image)?;
    ensure!(
        segments
            .pieces()
            .iter()
            .all(|piece| piece.range.intersect(reserved).is_none()),
        "reserved memory is in an image without --include-reserved"
    );
    without.compare_elf()?.require(0.5)?;

    // Below 4 GiB, as a processor's reserved addresses at the very top are not backed by
    // anything.
    let range = ["--range", "0-0xffffffff"];
    let args = [&["--no-artifacts", "--include-reserved"][..], &range].concat();
    let mut with = target.acquire(&args, "with.core")?;
    println!("{}", with.output.text());
    if with.compare_elf()?.is_restless() {
        println!("more pages than usual changed for a moment: trying again");
        with = target.acquire(&args, "again.core")?;
    }
    ensure!(
        matches!(with.output.ended.code, Some(0 | 3)),
        "{}:\n{}",
        with.output,
        with.output.text()
    );
    let image = open_elf(&with.image)?;
    pattern::is_exact_in(&image, &with.manifest)?;
    with.compare_elf()?.require(0.5)?;
    target.end()
}
