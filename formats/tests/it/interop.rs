// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other programs read linpmem's images.

use crate::memory::{DIRECT_MAP, plan, ram, scattered, write};
use crate::outputs::{SparseOutput, VecOutput, ZstdOutput};
use linpmem_formats::{Codec, ImagePlan, elf};
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// The output of the program. `None`, with a note on the terminal, if it is not installed.
fn run(program: &str, arguments: &[&str], file: &Path) -> Option<Vec<u8>> {
    let output = Command::new(program)
        .args(arguments)
        .arg(file)
        .env("LC_ALL", "C")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            // Written directly, since the test harness would capture it: this is not a pass.
            let mut stderr = std::io::stderr();
            writeln!(stderr, "SKIPPED: {program} cannot be run: {error}").unwrap();
            return None;
        }
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {complaint}");
    assert_eq!(complaint, "", "{program} complains");
    Some(output.stdout)
}

fn elf_file(plan: &ImagePlan) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut out = SparseOutput::new(file.reopen().unwrap());
    write(
        plan,
        &mut elf::Writer::new(plan).unwrap(),
        0x10_0000,
        Codec::None,
        &mut out,
    );
    out.into_file();
    file
}

#[test]
fn readelf_sees_the_ranges_and_the_notes() {
    let file = elf_file(&plan(vec![
        ram(0x1000, 0x9_f000),
        ram(0x10_0000, 0x20_0000),
        ram(0x1_0000_0000, 0x1_0010_0000),
    ]));
    let Some(printed) = run("readelf", &["-lnW"], file.path()) else {
        return;
    };
    let printed = String::from_utf8(printed).unwrap();
    let segments: Vec<Vec<&str>> = printed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| matches!(fields.first(), Some(&"LOAD" | &"NOTE")))
        .collect();
    assert_eq!(segments.len(), 4, "{printed}");
    assert_eq!(segments[0][0], "NOTE");
    let mut offset = 0x1000;
    for (fields, (start, len)) in segments[1..].iter().zip([
        (0x1000, 0x9_e000),
        (0x10_0000, 0x10_0000),
        (0x1_0000_0000, 0x10_0000),
    ]) {
        let numbers: Vec<u64> = fields[1..6]
            .iter()
            .map(|field| u64::from_str_radix(field.trim_start_matches("0x"), 16).unwrap())
            .collect();
        assert_eq!(numbers, [offset, DIRECT_MAP + start, start, len, len]);
        assert_eq!(fields.last(), Some(&"0"), "p_align");
        offset += len;
    }
    assert!(printed.contains("VMCOREINFO"), "{printed}");
    assert!(printed.contains("LINPMEM"), "{printed}");
}

#[test]
fn readelf_counts_beyond_e_phnum() {
    for ranges in [65_533_u64, 65_534, 70_000] {
        let file = elf_file(&scattered(ranges));
        let Some(printed) = run("readelf", &["-lW"], file.path()) else {
            return;
        };
        let printed = String::from_utf8(printed).unwrap();
        let loads = printed
            .lines()
            .filter(|line| line.trim_start().starts_with("LOAD"))
            .count();
        assert_eq!(u64::try_from(loads).unwrap(), ranges);
    }
}

#[test]
fn zstd_decompresses_frames_and_skips_the_table() {
    let plan = plan(vec![ram(0x1000, 0x9_f000), ram(0x10_0000, 0x20_0000)]);
    let mut plain = VecOutput::default();
    write(
        &plan,
        &mut elf::Writer::new(&plan).unwrap(),
        0x1_0000,
        Codec::None,
        &mut plain,
    );
    let mut packed = ZstdOutput::default();
    let codec = Codec::Zstd { level: 3 };
    write(
        &plan,
        &mut elf::Writer::new(&plan).unwrap(),
        0x1_0000,
        codec,
        &mut packed,
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&packed.into_file(true)).unwrap();
    let Some(printed) = run("zstd", &["-dcq"], file.path()) else {
        return;
    };
    assert!(printed == plain.0, "zstd gives other bytes");
}
