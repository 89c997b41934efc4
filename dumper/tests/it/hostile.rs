// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small files that describe far more than they have: every command ends soon, in little
//! memory, and says why.

use crate::hostile_files::{
    IMAGE, Zip, archive, archive_without_lengths, kdump, lime, record, stream, zstd,
};
#[cfg(feature = "inspect")]
use crate::inspect::write_image;
#[cfg(feature = "inspect")]
use linpmem_inspect::testing::{Kernel, Tasks, log_types};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

/// The most memory of its own that a command may take.
const DATA_KIB: u64 = 256 << 10;
/// The most seconds of a processor's time. In release builds everything ends within 2; the
/// parser of descriptions is not optimised in others.
const CPU_SECONDS: u64 = 12;

/// `linpmem-dump` within these limits.
fn limited(folder: &Path, words: &[&str]) -> Output {
    let limits = format!("ulimit -d {DATA_KIB}; ulimit -t {CPU_SECONDS}; exec \"$@\"");
    Command::new("sh")
        .current_dir(folder)
        .args(["-c", &limits, "sh"])
        .arg(env!("CARGO_BIN_EXE_linpmem-dump"))
        .args(words)
        .output()
        .unwrap()
}

/// Runs every command on the file; returns what each said.
fn every_command(folder: &Path, name: &str) -> Vec<(String, Output)> {
    let commands: [&[&str]; 16] = [
        &["info", name],
        &["ls", name],
        &["ps", name],
        &["modules", name],
        &["dmesg", name],
        &["maps", name],
        &["files", name],
        &["sockets", name],
        &["mounts", name],
        &["verify", name, "--progress=none"],
        &["convert", name, "out.lime", "--progress=none", "--force"],
        &["compare", name, name],
        &["extract", name, "part", "--range", "0-0xfff"],
        &["extract", name, "file", "--file", "proc/version"],
        &["symbols", name, "-o", "symbols.json", "--force"],
        &["recover", name, "recovered.aff4"],
    ];
    commands
        .iter()
        .map(|words| {
            let output = limited(folder, words);
            for left in ["part", "file", "recovered.aff4"] {
                // Most are not there.
                let _ = fs::remove_file(folder.join(left));
            }
            (words.join(" "), output)
        })
        .collect()
}

/// Every command ends on its own, and `command` with an error that has all of `says`.
fn refused(name: &str, content: &[u8], command: &str, says: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    check(folder.path(), name, command, says);
}

fn check(folder: &Path, name: &str, command: &str, says: &[&str]) {
    for (words, output) in every_command(folder, name) {
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), None, "{words}: {complaint}");
        assert!(
            !complaint.contains("memory allocation") && !complaint.contains("panicked"),
            "{words}: {complaint}"
        );
        if words.starts_with(command) {
            assert_eq!(output.status.code(), Some(1), "{words}: {complaint}");
            for part in says {
                assert!(complaint.contains(part), "{words}: {complaint}");
            }
        }
    }
}

const MEMORY: [&str; 2] = ["need more memory", "--memory-limit"];
const WORK: [&str; 2] = ["take more work", "--memory-limit"];

#[test]
fn long_prefixes_and_bases_are_refused() {
    let long = format!("@prefix p: <aff4://{}> .\n", "x".repeat(1 << 20));
    let used = "p:a p:b p:c .\n".repeat(500);
    let volume = Zip::with_map().finish(&format!("{IMAGE}{long}{used}"));
    refused("a.aff4", &volume, "info", &["16,384 bytes", "forged"]);
    // Each base is below the one before it.
    let chain = "@base <abcdefgh/> .\n".repeat(100_000);
    let volume = Zip::with_map().finish(&format!("{IMAGE}{chain}"));
    refused("b.aff4", &volume, "info", &["256 prefixes", "forged"]);
}

#[test]
fn statements_are_weighed_and_counted() {
    let values = |value: fn(u32) -> String, count| {
        let all: Vec<String> = (0..count).map(value).collect();
        let turtle = format!("{IMAGE}<a> :b {} .", all.join(","));
        Zip::with_map().finish(&turtle)
    };
    let same = values(|_| "1".to_owned(), 400_000);
    refused("same.aff4", &same, "verify", &WORK);
    let long = values(|number| format!("\"{number}{}\"", "x".repeat(500_000)), 110);
    refused("long.aff4", &long, "verify", &MEMORY);
}

#[test]
fn a_value_that_is_repeated_costs_nothing() {
    // Each of them was looked up in a list of all of them.
    let own = "<aff4://v/i> :memoryOffset 0 ; :memorySize 4096 ; :memoryAddressMap ";
    let values = vec!["<aff4://v/i>"; 40_000].join(",");
    let volume = Zip::with_map().finish(&format!("{IMAGE}{own}{values} ."));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.aff4"), volume).unwrap();
    for words in [["info", "a.aff4"], ["verify", "a.aff4"]] {
        let output = limited(folder.path(), &words);
        // The test's archives have no checksums.
        let is_done = words[0] == "verify" || output.status.success();
        assert!(is_done && output.status.signal().is_none(), "{output:?}");
    }
}

#[test]
fn members_that_share_bytes_are_refused() {
    let mut zip = Zip::new();
    let map = zip.deflated("map/map", &vec![0; 28 * 2_000_000]);
    zip.stored("map/idx", b"http://aff4.org/Schema#Zero\n");
    for number in 1..16 {
        zip.again(&format!("map{number}/map"), &map);
        zip.again(&format!("map{number}/idx"), &map);
    }
    refused(
        "maps.aff4",
        &zip.finish(IMAGE),
        "info",
        &["share bytes", "another copy"],
    );
    let mut zip = Zip::with_map();
    let member = zip.deflated("a", &vec![0; 60 << 20]);
    for number in 0..2000 {
        zip.again(&format!("a{number}"), &member);
    }
    refused(
        "names.aff4",
        &zip.finish(IMAGE),
        "verify",
        &["share bytes", "another copy"],
    );
}

#[test]
fn the_records_of_all_maps_together_are_limited() {
    let mut zip = Zip::new();
    let records = record(0, 1).repeat(1_000_000);
    for number in 0..8 {
        zip.deflated(&format!("map{number}/map"), &records);
        zip.stored(
            &format!("map{number}/idx"),
            b"http://aff4.org/Schema#Zero\n",
        );
    }
    let maps = (0..8).map(|number| format!("<aff4://v/map{number}>"));
    let maps: Vec<String> = maps.collect();
    let turtle = format!(
        "@prefix : <http://aff4.org/Schema#> .\n<aff4://v/i> a :MemoryImage ; :dataStream {} .\n\
         {} a :Map .",
        maps.join(","),
        maps.join(" a :Map .\n")
    );
    refused("maps.aff4", &zip.finish(&turtle), "info", &MEMORY);
    let mut zip = Zip::new();
    zip.stored("map/map", &record(0, 1));
    zip.deflated("map/idx", &vec![b'\n'; 60_000_000]);
    refused("idx.aff4", &zip.finish(IMAGE), "info", &MEMORY);
}

#[test]
fn the_directory_is_weighed_with_its_names() {
    let mut long = Zip::with_map();
    let mut short = Zip::with_map();
    for number in 0..3000 {
        long.stored(&format!("{number}{}", "\u{7ff}".repeat(30_000)), b"");
    }
    refused("long.aff4.zst", &zstd(&long.finish(IMAGE)), "info", &MEMORY);
    for number in 0..700_000 {
        short.stored(&format!("{number:x}"), b"");
    }
    refused(
        "short.aff4.zst",
        &zstd(&short.finish(IMAGE)),
        "info",
        &MEMORY,
    );
}

#[test]
fn streams_state_no_more_than_their_segments_can_hold() {
    let endless = ":chunkSize 1 ; :chunksInSegment 1 ; :size 9223372036854775807";
    let volume = stream(endless, b"x", &[0; 12], &[0; 20]);
    refused("endless.aff4", &volume, "verify", &["can hold", "forged"]);
    let large = ":chunkSize 16777216 ; :chunksInSegment 4294967295 ; :size 83886080000000";
    let zeros = vec![0; 60_000_000];
    let volume = stream(large, &zeros, &zeros, &zeros);
    refused("large.aff4", &volume, "verify", &["can hold", "forged"]);
}

#[test]
fn hashes_take_as_long_as_the_file_warrants() {
    // Of addresses that the map leaves out.
    let holes = format!(
        "{IMAGE}<aff4://v/map> :size {} ; :hash \"0\"^^:SHA1 .",
        1_u64 << 60
    );
    refused(
        "holes.aff4",
        &Zip::with_map().finish(&holes),
        "verify",
        &WORK,
    );
    // The same file by thousands of hashes.
    let mut zip = Zip::with_map();
    zip.deflated("f", &vec![0; 60 << 20]);
    let hashes: Vec<String> = (0..5000).map(|it| format!("\"{it}\"^^:SHA1")).collect();
    let turtle = format!(
        "{IMAGE}<aff4://v/f> a :FileImage ; :hash {} .",
        hashes.join(",")
    );
    refused("file.aff4", &zip.finish(&turtle), "verify", &WORK);
}

#[test]
fn artifacts_are_not_unpacked_again_and_again() {
    let module = |number: u32| (format!("sys/kernel/btf/m{number}"), &b""[..]);
    let modules: Vec<_> = (0..3000).map(module).collect();
    let large = archive_without_lengths(1024, &modules);
    refused("large.artifacts.tar.zst", &large, "symbols", &WORK);
    // What can be passed over is not unpacked at all.
    let passed = archive(1024, &modules);
    let absent = ["proc/version is not among the artifacts"];
    refused("passed.artifacts.tar.zst", &passed, "symbols", &absent);
    // Read once to list the files, and once for each that was asked for.
    let mut modules = modules;
    modules.push(("sys/kernel/btf/vmlinux".to_owned(), b"no types"));
    modules.push(("proc/version".to_owned(), b"Linux version 6.1\n"));
    let often = archive(100, &modules);
    refused(
        "often.artifacts.tar.zst",
        &often,
        "symbols",
        &["proc/kallsyms"],
    );
    let name = |number: u32| (format!("{}{number}", "x/".repeat(1400)), &b""[..]);
    let names: Vec<_> = (0..30_000).map(name).collect();
    refused(
        "names.artifacts.tar.zst",
        &archive(0, &names),
        "ls",
        &MEMORY,
    );
}

#[test]
fn ranges_are_weighed_in_every_format() {
    refused(
        "a.kdump.zst",
        &zstd(&kdump(4_000_000, 0x55, 0x55)),
        "info",
        &MEMORY,
    );
    refused(
        "b.kdump.zst",
        &zstd(&kdump(2_000_000, 0xff, 0x55)),
        "compare",
        &MEMORY,
    );
    refused("c.lime.zst", &zstd(&lime(1_000_000)), "info", &MEMORY);
}

#[test]
fn frames_take_no_more_than_their_content_could() {
    let sparse = |name: &str, head: &[u8], tail: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::create(folder.path().join(name)).unwrap();
        file.write_all(head).unwrap();
        file.set_len(3 << 30).unwrap();
        let mut file = File::options()
            .append(true)
            .open(folder.path().join(name))
            .unwrap();
        file.write_all(tail).unwrap();
        check(folder.path(), name, "info", &["is damaged"]);
    };
    // A frame of 3 GiB for 4 KiB, by a seek table.
    let mut table = Vec::new();
    for number in [0x184d_2a5e_u32, 17, 3 << 30, 4096, 1] {
        table.extend(number.to_le_bytes());
    }
    table.extend(b"\0\xb1\xea\x92\x8f");
    sparse("table.zst", b"\x28\xb5\x2f\xfd", &table);
    // Holes that look like empty blocks and chunks.
    sparse("blocks.zst", b"\x28\xb5\x2f\xfd\xa0\0\0\x10\0", b"");
    sparse("chunks.sz", b"\xff\x06\0\0sNaPpY", b"");
}

/// A kernel whose log has 2^31 descriptors, none of them at a valid address.
#[cfg(feature = "inspect")]
fn endless_kernel() -> Kernel {
    let mut tasks = Tasks::with(&[], log_types);
    let kernel = &mut tasks.kernel;
    let [variable, ring] = [8, 64].map(|size| kernel.allocate(size));
    kernel.symbol("prb", variable);
    kernel.put(variable, ring);
    kernel.put_u32(ring, 31);
    kernel.put(ring + 8, 1 << 48);
    kernel.put(ring + 24, 1 << 40);
    kernel.put_u32(ring + 40, 31);
    tasks.kernel
}

#[cfg(feature = "inspect")]
#[test]
fn a_log_without_an_end_is_read_for_a_moment_alone() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = endless_kernel();
    let kallsyms = [("proc/kallsyms", kernel.kallsyms())];
    write_image(folder.path(), &kernel, &kallsyms, "");
    let output = limited(folder.path(), &["dmesg", "a.lime"]);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{complaint}");
    let text = String::from_utf8_lossy(&output.stdout);
    let end = "which --json lists, and 1047577 that were counted alone\n";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_pipe_beside_an_image_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.lime"), lime(1)).unwrap();
    for name in ["a.lime.manifest.jsonl", "a.lime.artifacts.tar.zst"] {
        let made = Command::new("mkfifo")
            .arg(folder.path().join(name))
            .status();
        assert!(made.unwrap().success());
    }
    for (words, output) in every_command(folder.path(), "a.lime") {
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), None, "{words}: {complaint}");
        if words.starts_with("info") || words.starts_with("verify") {
            assert!(
                complaint.contains("not a regular file"),
                "{words}: {complaint}"
            );
        }
    }
}

#[test]
fn a_higher_limit_admits_the_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.lime.zst"), zstd(&lime(400_000))).unwrap();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_linpmem-dump"));
        command
            .current_dir(folder.path())
            .args(words)
            .output()
            .unwrap()
    };
    let info = ["info", "a.lime.zst"];
    assert_eq!(run(&info).status.code(), Some(1));
    let raised = run(&[&info[..], &["--memory-limit", "1GiB"]].concat());
    assert!(
        raised.status.success(),
        "{}",
        String::from_utf8_lossy(&raised.stderr)
    );
    let rows = String::from_utf8(raised.stdout).unwrap();
    assert!(rows.lines().count() > 400_000);
}
