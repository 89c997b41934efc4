// SPDX-License-Identifier: MIT OR Apache-2.0
//! Conversions in a virtual machine with many processors: what the number of threads that is chosen
//! takes, in time and memory, beside other numbers.

use super::dump::{FILLED_PERCENT, TIMEOUT, acquire, mib};
use super::{Report, Setting};
use crate::prepare;
use anyhow::Result;
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::Vm;
use std::time::Duration;

const PROCESSORS: u32 = 8;
const MEMORY_MIB: u32 = 512;

/// The image that is converted.
const SOURCE: &str = "/scratch/source.lime";

/// Numbers of threads that are compared with the one that is chosen.
const NUMBERS: [&str; 3] = ["1", "2", "8"];

/// What is made of it, and the options that say so.
const WORK: [(&str, &str, &[&str]); 4] = [
    ("ELF", "out.core", &[]),
    ("zstd:1", "out.lime.zst", &["--compress", "zstd:1"]),
    ("lz4", "out.lime.lz4", &["--compress", "lz4"]),
    ("AFF4", "out.aff4", &[]),
];

pub fn run(_: &Setting, report: &mut Report) -> Result<()> {
    let (kernel, artifacts) = prepare::machines()?;
    let machine = Vm::builder(&kernel)
        .memory_mib(MEMORY_MIB)
        .smp(PROCESSORS)
        .timeout(TIMEOUT);
    let target = TargetMachine::boot(machine, &artifacts)?;
    eprintln!("[bench] threads: {}", target.fill(FILLED_PERCENT)?);
    acquire(
        &target.vm,
        &["linpmem-dump", "--progress=none", "--no-file-hash", SOURCE],
    )?;
    for (name, output, options) in WORK {
        let convert = |threads: Option<&str>| -> Result<(f64, f64)> {
            let output = format!("/scratch/{output}");
            let mut words = vec!["linpmem-dump", "convert", SOURCE, &output];
            words.extend(["--progress=none", "--no-file-hash", "--force"]);
            words.extend(options);
            words.extend(threads.iter().flat_map(|number| ["--threads", number]));
            let ended = acquire(&target.vm, &words)?.ended;
            let seconds = Duration::from_millis(ended.wall_ms).as_secs_f64();
            let rss = mib(ended.max_rss_kib << 10);
            let threads = threads.unwrap_or("as chosen");
            eprintln!("[bench] threads: {name}, {threads}: {seconds:.2} s, {rss:.1} MiB");
            Ok((seconds, rss))
        };
        let chosen = convert(None)?;
        for number in NUMBERS {
            let other = convert(Some(number))?;
            let what = format!("threads/{name}: as chosen to {number}");
            report.add(&format!("{what}: time"), chosen.0, "s", Some(other.0));
            report.add(&format!("{what}: peak RSS"), chosen.1, "MiB", Some(other.1));
        }
    }
    target.end()
}
