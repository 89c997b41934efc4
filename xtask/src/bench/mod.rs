// SPDX-License-Identifier: MIT OR Apache-2.0
//! Benchmarks by name, as a table or as JSON lines.

mod arm64;
mod cargo_bench;
mod convert;
mod dump;
mod fit;
mod kmod;
mod memory;
mod pages;
mod peers;
mod remote;
mod remote_host;
mod scale;
mod sums;
mod threads;

use self::peers::{Peer, Peers};
use anyhow::{Result, bail};
use linpmem_testkit::checkout;
use serde::Serialize;
use std::fs;
use std::time::Instant;
use tempfile::TempDir;

/// The command line of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One benchmark and those below it: `dump` includes `dump/pages` [default: all]
    name: Option<String>,
    /// Print a JSON object a line: name, value, unit, baseline, ratio
    #[arg(long)]
    json: bool,
    /// A program to compare with, NAME=PATH; repeatable
    ///
    /// avml: a static AVML; without it, `cargo install` builds one. avml-arm64: one for arm64;
    /// without it, that in the cache's folder tools/avml-arm64/bin, if there is one. lime: LiME's module for the kernel of the virtual machines;
    /// without it, LiME is left out.
    #[arg(long = "peer", value_name = "NAME=PATH")]
    peers: Vec<Peer>,
    /// How often to run each job; the best run counts
    #[arg(long, value_name = "N", default_value_t = 2)]
    rounds: u32,
    /// How much memory the images to convert have, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    mib: u32,
}

/// How to run benchmarks.
struct Setting {
    peers: Peers,
    rounds: u32,
    mib: u32,
}

/// A benchmark.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Setting, &mut Report) -> Result<()>,
}

/// All benchmarks.
const BENCHES: &[Bench] = &[
    Bench {
        name: "aff4",
        about: "AFF4 images written and read, compared with raw ones and the codec alone",
        run: cargo_bench::aff4,
    },
    Bench {
        name: "arm64",
        about: "acquisitions of emulated arm64 machines: until verified, and compared with AVML's",
        run: arm64::run,
    },
    Bench {
        name: "convert",
        about: "images converted and verified on this machine, compared with sha256sum, zstd and AVML",
        run: convert::run,
    },
    Bench {
        name: "dump",
        about: "acquisitions in a virtual machine, compared with AVML's",
        run: dump::run,
    },
    Bench {
        name: "dump/pages",
        about: "the memory that acquisitions change, compared with AVML's",
        run: pages::run,
    },
    Bench {
        name: "fit",
        about: "fitting and loading the module, compared with loading one that was fitted before",
        run: fit::run,
    },
    Bench {
        name: "kmod",
        about: "reading through the module, compared with a plain copy",
        run: kmod::run,
    },
    Bench {
        name: "remote",
        about: "acquisitions in a virtual machine that go to a receiver, compared with its disk and with nc",
        run: remote::run,
    },
    Bench {
        name: "remote/host",
        about: "memory of this machine's page cache to its disk and to a receiver on it, encrypted or not",
        run: remote_host::run,
    },
    Bench {
        name: "scale",
        about: "sparse memory of up to 16 TiB, converted and verified: time and peak memory",
        run: scale::run,
    },
    Bench {
        name: "sums",
        about: "chunk sums on one processor, compared with openssl without SHA instructions",
        run: sums::run,
    },
    Bench {
        name: "symbols",
        about: "symbol files for Volatility 3, compared with xz alone",
        run: cargo_bench::symbols,
    },
    Bench {
        name: "threads",
        about: "images converted in a virtual machine with eight processors, by threads",
        run: threads::run,
    },
];

/// A folder for large files, on the disk that builds are on; it goes with what is returned.
fn scratch() -> Result<TempDir> {
    let target = checkout::target_dir();
    fs::create_dir_all(&target)?;
    Ok(tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(target)?)
}

/// The results of benchmarks.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<Figure>,
}

/// One measured figure.
#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// The result of what it is compared with, in the same run.
    baseline: Option<f64>,
    /// Value divided by baseline.
    ratio: Option<f64>,
}

impl Report {
    /// Adds `value`, and the `baseline` to compare it with.
    pub fn add(&mut self, name: &str, value: f64, unit: &'static str, baseline: Option<f64>) {
        let ratio = baseline
            .filter(|baseline| *baseline != 0.0)
            .map(|baseline| value / baseline);
        self.figures.push(Figure {
            name: name.to_owned(),
            value,
            unit,
            baseline,
            ratio,
        });
    }

    fn table(&self) -> String {
        let mut table = format!(
            "{:44} {:>12} {:8} {:>12} {:>7}\n",
            "name", "value", "unit", "baseline", "ratio"
        );
        let number = |number: Option<f64>| number.map_or("-".to_owned(), |x| format!("{x:.2}"));
        for figure in &self.figures {
            table.push_str(&format!(
                "{:44} {:>12.2} {:8} {:>12} {:>7}\n",
                figure.name,
                figure.value,
                figure.unit,
                number(figure.baseline),
                number(figure.ratio)
            ));
        }
        table
    }

    fn json_lines(&self) -> Result<String> {
        let mut lines = String::new();
        for figure in &self.figures {
            lines.push_str(&serde_json::to_string(figure)?);
            lines.push('\n');
        }
        Ok(lines)
    }
}

/// Whether `bench` is the benchmark `name`, or below it.
fn is_of(bench: &str, name: &str) -> bool {
    let rest = bench.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Runs `cargo xtask bench`.
pub fn run(args: &Args) -> Result<()> {
    let wanted = |bench: &&Bench| {
        args.name
            .as_ref()
            .is_none_or(|name| is_of(bench.name, name))
    };
    let chosen: Vec<&Bench> = BENCHES.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let known = BENCHES
            .iter()
            .map(|bench| format!("\n    {:10} {}", bench.name, bench.about));
        let name = args.name.as_deref().unwrap_or_default();
        bail!(
            "there is no benchmark `{name}`. The benchmarks are:{}",
            known.collect::<String>()
        );
    }
    let setting = Setting {
        peers: Peers::new(&args.peers),
        rounds: args.rounds.max(1),
        mib: args.mib.max(1),
    };
    let mut report = Report::default();
    for bench in chosen {
        let started = Instant::now();
        eprintln!("[bench] {}: {}", bench.name, bench.about);
        (bench.run)(&setting, &mut report)?;
        eprintln!(
            "[bench] {}: done in {:.1} s",
            bench.name,
            started.elapsed().as_secs_f64()
        );
    }
    print!(
        "{}",
        if args.json {
            report.json_lines()?
        } else {
            report.table()
        }
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_includes_what_is_below_it() {
        assert!(is_of("dump", "dump") && is_of("dump/pages", "dump"));
        assert!(is_of("dump/pages", "dump/pages"));
        assert!(!is_of("dump", "dump/pages") && !is_of("dump/pages", "dum"));
    }

    #[test]
    fn figures_become_lines() {
        let mut report = Report::default();
        report.add("dump", 300.0, "MiB/s", Some(200.0));
        report.add("size", 5.0, "MiB", None);
        let json = report.json_lines().unwrap();
        let lines: Vec<serde_json::Value> = json
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0]["ratio"], 1.5);
        assert_eq!(lines[1]["baseline"], serde_json::Value::Null);
        assert_eq!(report.table().lines().count(), 3);
    }
}
