// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same memory gives the same content, whatever the options.

use crate::machines;
use crate::pattern::{self, PatternFile};
use anyhow::{Result, ensure};
use linpmem_formats::{open_bytes, open_image};
use linpmem_phys::Unreadables;

#[test]
fn threads_compression_and_format_do_not_change_the_content() -> Result<()> {
    let pattern = PatternFile::new()?;
    let target = machines::target(|machine| pattern.load(machine.memory_mib(256)))?;
    // Of the 190 MiB that are not reserved. From 67 % on, too little is left for the
    // dumper, and the kernel's OOM killer strikes.
    println!("{}", target.fill(40)?);
    let truth = pattern::bytes();
    let reserved = pattern::range()?;
    let range = format!("{}+{:#x}", reserved.start(), pattern::LEN);

    // Memory that nothing changes: all images have the same bytes.
    for (number, (threads, compression, format)) in [
        ("1", "none", "elf"),
        ("4", "none", "elf"),
        ("1", "zstd", "elf"),
        ("4", "zstd:3", "elf"),
        ("1", "none", "raw"),
        ("4", "zstd", "raw"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("{number}.image");
        let args = [
            "--no-artifacts",
            "--include-reserved",
            "--range",
            &range,
            "--threads",
            threads,
        ];
        let more = ["--compress", compression, "--format", format];
        target
            .dump(&[args.as_slice(), &more].concat(), &name)?
            .ok()?;
        let path = target.pull(&name)?;
        let mut bytes = vec![0; truth.len()];
        if format == "elf" {
            let mut unreadable = Unreadables::new();
            let image = open_image(&path)?;
            image.read_phys(reserved.start(), &mut bytes, &mut unreadable)?;
            ensure!(unreadable.is_empty(), "{name} lacks {unreadable:?}");
        } else {
            let image = open_bytes(&path)?.bytes;
            image.read_exact_at(0, &mut bytes)?;
        }
        ensure!(bytes == truth, "{threads} threads, {compression}, {format}");
    }

    // All of a running machine, with several threads and compressed.
    let args = ["--no-artifacts", "--threads", "4", "--compress", "zstd:1"];
    let acquired = target.acquire(&args, "all.core.zst")?.complete()?;
    let image = open_image(&acquired.image)?;
    let found = acquired.compare(&*image)?;
    println!("{found}");
    found.require(0.7)?;
    target.end()
}
