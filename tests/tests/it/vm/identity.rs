// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same memory gives the same content, however it is worked on.

use anyhow::{Result, ensure};
use linpmem_formats::{open_bytes, open_image};
use linpmem_phys::Unreadables;
use xtask::vm::Vm;

use crate::pattern;

#[test]
fn threads_compression_and_format_do_not_change_the_content() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kernel = crate::kernel()?;
    let machine = pattern::planted(Vm::builder(&kernel).memory_mib(256), folder.path())?;
    let subject = crate::subject(|_| machine)?;
    // Of the 190 MiB that are not reserved. From 67 % on there is too little left for
    // the dumper, and the kernel kills somebody for want of memory.
    println!("{}", subject.fill(40)?);
    let truth = pattern::bytes();
    let reserved = pattern::range()?;
    let range = format!("{}+{:#x}", reserved.start(), pattern::LEN);

    // Memory that nothing changes: all images hold the same bytes.
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
        subject
            .dump(&[args.as_slice(), &more].concat(), &name)?
            .ok()?;
        let path = subject.pull(&name)?;
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

    // And all of a running machine, with many threads and compressed.
    let args = ["--no-artifacts", "--threads", "4", "--compress", "zstd:1"];
    let acquired = subject.acquire(&args, "all.core.zst")?.complete()?;
    let image = open_image(&acquired.image)?;
    let found = acquired.compare(&*image)?;
    println!("{found}");
    found.require(0.7)?;
    subject.end()
}
