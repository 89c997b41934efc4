// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine whose memory is really used is acquired, and the image is right.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use linpmem_formats::open_image;
use linpmem_phys::PhysRange;
use xtask::acquisition::beside;
use xtask::artifacts::Artifacts;
use xtask::ground_truth::open_elf;

#[test]
fn a_filled_machine_is_acquired_byte_for_byte() -> Result<()> {
    let subject = crate::subject(|machine| machine.memory_mib(512))?;
    println!("{}", subject.fill(70)?);
    let acquired = subject
        .acquire(&["--format", "elf"], "out.core")?
        .complete()?;

    // By goblin alone, and by our own reader: both must find the same memory.
    let found = acquired.compare_elf()?;
    println!("{found}");
    found.require(0.80)?;
    ensure!(
        found.equal_with_data * 10 >= found.total * 4,
        "the memory was hardly used: {found}"
    );
    let ours = open_image(&acquired.image)?;
    let again = acquired.compare(&*ours)?;
    assert_eq!(found, again);

    // The segments are the RAM, in whole pages, and nothing else.
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
    subject.end()
}

/// Runs the dumper that was built for the guest on the host.
fn verify(image: &Path) -> Result<Output> {
    let dumper = Artifacts::build(&crate::kernel()?)?.dumper;
    Ok(Command::new(dumper).arg("verify").arg(image).output()?)
}

/// What the digests are for: one byte is enough.
fn damage_is_found(image: &Path) -> Result<()> {
    let text = |output: &Output| {
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    let digests = beside(image, "sha256");
    let summed = Command::new("sha256sum")
        .arg("-c")
        .arg(&digests)
        .current_dir(image.parent().context("an image lies in a folder")?)
        .output()?;
    ensure!(summed.status.success(), "{}", text(&summed));
    let whole = verify(image)?;
    ensure!(whole.status.code() == Some(0), "{}", text(&whole));

    let file = OpenOptions::new().read(true).write(true).open(image)?;
    let length = file.metadata()?.len();
    let offset = length / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)?;
    file.write_all_at(&[byte[0] ^ 1], offset)?;
    let flipped = verify(image)?;
    ensure!(flipped.status.code() == Some(1), "{}", text(&flipped));
    let segment = open_elf(image)?
        .pieces()
        .iter()
        .rfind(|piece| piece.offset <= offset)
        .copied()
        .context("no segment holds the middle")?;
    let said = text(&flipped);
    ensure!(
        said.contains(&segment.range.to_string()) && said.contains("chunk"),
        "neither {} nor a chunk is named in: {said}",
        segment.range
    );
    file.write_all_at(&byte, offset)?;

    file.set_len(length - 1)?;
    let cut = verify(image)?;
    ensure!(cut.status.code() == Some(1), "{}", text(&cut));
    Ok(())
}
