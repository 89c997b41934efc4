// SPDX-License-Identifier: MIT OR Apache-2.0
//! Symbol files of a real kernel, compared with reading its types alone and with xz
//! alone. Prints a JSON object per line: name, value and baseline in MiB of JSON per
//! second.
//!
//! `LINPMEM_BENCH_BTF` is the kernel's BTF, `LINPMEM_BENCH_SYMBOLS` its System.map.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that fails may panic"
)]

use linpmem_kinfo::btf::Types;
use linpmem_symbols::{Architecture, KernelFacts, SymbolFile};
use lzma_rust2::{XzOptions, XzWriter};
use std::fs;
use std::io::Write;
use std::time::Instant;

const ROUNDS: usize = 3;

fn main() {
    let read = |name: &str| match std::env::var_os(name) {
        Some(path) => fs::read(&path).unwrap(),
        None => panic!("set {name}, or run `cargo xtask bench symbols`"),
    };
    let btf = read("LINPMEM_BENCH_BTF");
    let symbols = read("LINPMEM_BENCH_SYMBOLS");
    let facts = KernelFacts {
        banner: b"Linux version 0 (bench)",
        btf: &btf,
        modules: &[],
        symbols: &symbols,
        kaslr_offset: 0,
        architecture: Architecture::X86_64,
    };
    let mut json = Vec::new();
    SymbolFile::of(facts)
        .unwrap()
        .write_json(&mut json)
        .unwrap();
    let rate = |seconds: f64| f64::from(u32::try_from(json.len()).unwrap()) / seconds / 1048576.0;

    let types = best(|| drop(Types::parse(&btf).unwrap()));
    let file = best(|| drop(SymbolFile::of(facts).unwrap()));
    tell("prepare to types alone", rate(file), Some(rate(types)));
    let written = best(|| {
        let file = SymbolFile::of(facts).unwrap();
        file.write_json(&mut std::io::sink()).unwrap();
    });
    tell("write JSON", rate(written), None);
    let xz = best(|| {
        let file = SymbolFile::of(facts).unwrap();
        drop(file.write_xz(Vec::new()).unwrap());
    });
    let alone = best(|| {
        let mut options = XzOptions::with_preset(2);
        options.lzma_options.dict_size = 2 << 20;
        let mut xz = XzWriter::new(Vec::new(), options).unwrap();
        xz.write_all(&json).unwrap();
        drop(xz.finish().unwrap());
    });
    tell("write xz to xz alone", rate(xz), Some(rate(alone)));
}

fn tell(name: &str, value: f64, baseline: Option<f64>) {
    let baseline = baseline.map_or_else(|| "null".to_owned(), |value| value.to_string());
    println!(r#"{{"name":"{name}","value":{value},"baseline":{baseline}}}"#);
}

/// The best of several rounds, in seconds.
fn best(mut round: impl FnMut()) -> f64 {
    let times = (0..ROUNDS).map(|_| {
        let begun = Instant::now();
        round();
        begun.elapsed().as_secs_f64()
    });
    times.fold(f64::MAX, f64::min)
}
