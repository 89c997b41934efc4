// SPDX-License-Identifier: MIT OR Apache-2.0
//! An AFF4 image of a machine is right, and pyaff4 finds the same content as we do.

use crate::contains::contains;
use crate::{host_dumper, machines};
use anyhow::{Context, Result, ensure};
use linpmem_formats::{FileSource, ImageReader, ReadAt, aff4};
use linpmem_phys::{PhysRange, ReadPhys, Unreadables};
use linpmem_testkit::consumers::pyaff4::{Findings, examine};
use linpmem_testkit::target_machine::Acquired;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_machine_is_acquired_and_pyaff4_agrees() -> Result<()> {
    let target = machines::target(|machine| machine.memory_mib(384))?;
    println!("{}", target.fill(60)?);
    let args = [
        "--bundle",
        "--case-name",
        "the test",
        "--examiner",
        "the examiner",
        "--linear-hash",
        "--hash",
        "md5",
    ];
    let acquired = target.acquire(&args, "out.aff4")?.complete()?;

    // Our own reader, compared with QEMU's views.
    let image = open(&acquired.image)?;
    let found = acquired.compare(&image)?;
    println!("{found}");
    found.require(0.7)?;
    ranges_are_the_ram(&image, &acquired)?;
    facts_are_there(&image)?;
    let said = dumper(&["verify"], &acquired.image)?;
    contains(&said, &["0 do not", "good: "])?;

    // Every byte as pyaff4 reads it, and the map as it understands it.
    let found = examine(&acquired.image, false)?;
    agrees(&found, &image)?;
    ensure!(found.stated.contains_key("MD5"), "{:?}", found.stated);

    // Its validator over every hash, for each compression. It counts chunks over all
    // segments, so these images have only one.
    for compression in ["snappy", "lz4", "zlib", "none"] {
        let part = acquired.image.with_file_name(format!("{compression}.aff4"));
        let source = format!("file:{}", acquired.image.display());
        let options = [
            "--range",
            "0+7MiB",
            "--linear-hash",
            "--compress",
            compression,
        ];
        dumper(&[&["--source", &source], &options[..]].concat(), &part)?;
        let found = examine(&part, true)?;
        agrees(&found, &open(&part)?)?;
        ensure!(
            found.invalid.is_empty(),
            "{compression}: {:?}",
            found.invalid
        );
        for kind in [
            "block",
            "BlockMapHash",
            "mapHash",
            "mapPointHash",
            "AFF4Hash",
        ] {
            ensure!(
                found.valid.contains_key(kind),
                "no {kind}: {:?}",
                found.valid
            );
        }
    }
    target.end()
}

fn open(path: &Path) -> Result<aff4::Reader> {
    let file: std::sync::Arc<dyn ReadAt> = std::sync::Arc::new(FileSource::open(path)?);
    Ok(aff4::Reader::open(vec![file])?)
}

/// Runs the dumper on the host, which must succeed, and returns its output.
fn dumper(args: &[&str], image: &Path) -> Result<String> {
    let output = host_dumper::command()?.args(args).arg(image).output()?;
    let printed = host_dumper::printed(&output);
    ensure!(output.status.success(), "{args:?}: {printed}");
    Ok(printed)
}

/// The image's own list of RAM is the machine's, in whole pages.
fn ranges_are_the_ram(image: &aff4::Reader, acquired: &Acquired) -> Result<()> {
    let mut ranges: Vec<PhysRange> = Vec::new();
    for stored in image.ranges() {
        match ranges.last_mut() {
            Some(last) if last.end() == stored.range.start() => {
                *last = PhysRange::new(last.start(), stored.range.end())?;
            }
            _ => ranges.push(stored.range),
        }
    }
    let regions = acquired.ram.regions().iter();
    let ram: Vec<PhysRange> = regions
        .filter_map(|region| region.range.page_hull())
        .collect();
    assert_eq!(ranges, ram);
    Ok(())
}

/// The facts and files that an examiner needs besides the memory.
fn facts_are_there(image: &aff4::Reader) -> Result<()> {
    ensure!(image.facts().page_table.is_some(), "no CR3");
    ensure!(image.facts().kaslr_offset.is_some(), "no KASLR offset");
    ensure!(image.machine().vmcoreinfo.is_some(), "no VMCOREINFO");
    let files = image.files();
    for path in [
        "/proc/iomem",
        "/proc/kallsyms",
        "/sys/kernel/btf/vmlinux",
        "machine.json",
        "manifest.jsonl",
    ] {
        let file = files.iter().find(|file| file.path == path);
        let file = file.with_context(|| format!("{path} is not in the bundle"))?;
        ensure!(!image.file(&file.urn)?.is_empty(), "{path} is empty");
    }
    Ok(())
}

/// Requires that pyaff4 and our reader agree: the map has no gap, pyaff4 reads the same
/// bytes at every address, and these have the hash that the image states.
fn agrees(found: &Findings, image: &aff4::Reader) -> Result<()> {
    let mut next = 0;
    for &(start, len) in &found.runs {
        ensure!(start == next, "a gap at {next:#x} of pyaff4's map");
        next = start.saturating_add(len);
    }
    let end = image.ranges().last().context("no ranges")?.range.end();
    ensure!(
        next == end.get(),
        "pyaff4's map ends at {next:#x}, not {end}"
    );
    ensure!(
        found.stated.get("SHA256") == Some(&found.sha256),
        "pyaff4 computes {}, but the image states {:?}",
        found.sha256,
        found.stated
    );
    ensure!(
        found.sha256 == sum_by_ranges(image)?,
        "pyaff4 reads other bytes than our reader"
    );
    Ok(())
}

/// The SHA-256 of all addresses, computed from the ranges as our reader returns them,
/// with zeros for holes.
fn sum_by_ranges(image: &aff4::Reader) -> Result<String> {
    let mut sum = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting sha256sum")?;
    let mut input = sum.stdin.take().context("no pipe")?;
    let mut buf = vec![0; 1 << 20];
    let mut next = 0;
    for stored in image.ranges() {
        while next < stored.range.end().get() {
            let is_hole = next < stored.range.start().get();
            let end = if is_hole {
                stored.range.start()
            } else {
                stored.range.end()
            };
            let left = end.get().saturating_sub(next);
            let len = usize::try_from(left).map_or(buf.len(), |left| left.min(buf.len()));
            let piece = buf.get_mut(..len).context("a piece")?;
            if is_hole {
                piece.fill(0);
            } else {
                let mut unreadable = Unreadables::new();
                image.read_phys(linpmem_phys::PhysAddr::new(next), piece, &mut unreadable)?;
                ensure!(unreadable.is_empty(), "{unreadable:?}");
            }
            input.write_all(piece)?;
            next = next.saturating_add(u64::try_from(len)?);
        }
    }
    drop(input);
    let output = sum.wait_with_output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
