// SPDX-License-Identifier: MIT OR Apache-2.0
//! The image of a machine with filled memory is right.

use crate::contains::contains;
use crate::{host_dumper, machines};
use anyhow::{Context, Result, ensure};
use linpmem_formats::open_image;
use linpmem_phys::PhysRange;
use linpmem_testkit::ground_truth::open_elf;
use linpmem_testkit::target_machine::companion;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

#[test]
fn a_filled_machine_is_acquired_byte_for_byte() -> Result<()> {
    let target = machines::target(|machine| machine.memory_mib(512))?;
    println!("{}", target.fill(70)?);
    let acquired = target
        .acquire(&["--format", "elf"], "out.core")?
        .complete()?;

    // Parsed by goblin alone, and by our own reader: both must find the same memory.
    let found = acquired.compare_elf()?;
    println!("{found}");
    found.require(0.80)?;
    ensure!(
        found.equal_with_data * 10 >= found.total * 4,
        "too little of the memory was filled: {found}"
    );
    let ours = open_image(&acquired.image)?;
    let again = acquired.compare(&*ours)?;
    assert_eq!(found, again);

    // The segments are exactly the RAM, in whole pages.
    let segments: Vec<PhysRange> = open_elf(&acquired.image)?
        .pieces()
        .iter()
        .map(|piece| piece.range)
        .collect();
    let ram: Vec<PhysRange> = acquired
        .ram
        .regions()
        .iter()
        .filter_map(|region| region.range.page_hull())
        .collect();
    assert_eq!(segments, ram);

    damage_is_found(&acquired.image)?;
    target.end()
}

/// One changed byte, or one missing, is enough for `verify` to fail.
fn damage_is_found(image: &Path) -> Result<()> {
    let digests = companion(image, "sha256");
    let summed = Command::new("sha256sum")
        .arg("-c")
        .arg(&digests)
        .current_dir(image.parent().context("an image without a folder")?)
        .output()?;
    let printed = host_dumper::printed(&summed);
    ensure!(summed.status.success(), "{printed}");
    let (code, printed) = host_dumper::run("verify", image)?;
    ensure!(code == Some(0), "{printed}");

    let file = OpenOptions::new().read(true).write(true).open(image)?;
    let length = file.metadata()?.len();
    let offset = length / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)?;
    file.write_all_at(&[byte[0] ^ 1], offset)?;
    let (code, printed) = host_dumper::run("verify", image)?;
    ensure!(code == Some(1), "{printed}");
    let segment = open_elf(image)?
        .pieces()
        .iter()
        .rfind(|piece| piece.offset <= offset)
        .copied()
        .context("no segment has the middle")?;
    contains(&printed, &[&segment.range.to_string(), "chunk"])?;
    file.write_all_at(&byte, offset)?;

    file.set_len(length - 1)?;
    let (code, printed) = host_dumper::run("verify", image)?;
    ensure!(code == Some(1), "{printed}");
    Ok(())
}
