// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reserved memory: absent unless asked for, and then exact.

use anyhow::{Result, ensure};
use linpmem_phys::{ReadPhys, Unreadables};
use xtask::ground_truth::open_elf;

use crate::pattern;

#[test]
fn reserved_memory_is_absent_by_default_and_exact_when_asked_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let reserved = pattern::range()?;
    let planted = |machine| pattern::planted(machine, folder.path());
    let kernel = crate::kernel()?;
    let machine = planted(xtask::vm::Vm::builder(&kernel).memory_mib(256))?;
    let subject = crate::subject(|_| machine)?;

    println!("{}", subject.fill(30)?);
    let without = subject
        .acquire(&["--no-artifacts"], "without.core")?
        .complete()?;
    let segments = open_elf(&without.image)?;
    ensure!(
        segments
            .pieces()
            .iter()
            .all(|piece| piece.range.intersect(reserved).is_none()),
        "reserved memory is in an image that was not to hold it"
    );
    without.compare_elf()?.require(0.5)?;

    // Below 4 GiB: a processor's reserved addresses at the very top have
    // nothing behind them.
    let range = ["--range", "0-0xffffffff"];
    let args = [&["--no-artifacts", "--include-reserved"][..], &range].concat();
    let with = subject.acquire(&args, "with.core")?;
    println!("{}", with.output.text());
    ensure!(
        matches!(with.output.ended.code, Some(0 | 3)),
        "{}:\n{}",
        with.output,
        with.output.text()
    );
    let image = open_elf(&with.image)?;
    let mut bytes = vec![0; usize::try_from(pattern::LEN)?];
    let mut unreadable = Unreadables::new();
    image.read_phys(reserved.start(), &mut bytes, &mut unreadable)?;
    ensure!(unreadable.is_empty(), "missing: {unreadable:?}");
    ensure!(
        bytes == pattern::bytes(),
        "the reserved memory is not exact"
    );
    let listed = with.manifest.unreadable()?;
    ensure!(
        listed
            .iter()
            .all(|range| range.intersect(reserved).is_none()),
        "the manifest calls readable memory unreadable: {listed:?}"
    );
    with.compare_elf()?.require(0.5)?;
    subject.end()
}
