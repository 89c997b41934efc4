// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crates' own tests built for arm64, under QEMU's emulation of single programs.

use super::tally::Tally;
use anyhow::Result;
use linpmem_testkit::arch::Arch;
use linpmem_testkit::cross;

/// What the dumper consists of.
const CRATES: &[&str] = &[
    "linpmem-capture",
    "linpmem-kinfo",
    "linpmem-manifest",
    "linpmem-phys",
    LONGEST,
];

/// Its tests compress and hash for a minute, and know of no processor.
const LONGEST: &str = "linpmem-formats";

/// Runs the unit tests of [`CRATES`]; if time `is_short`, without those that take longest.
pub fn run(tally: &mut Tally, is_short: bool) -> Result<()> {
    let arch = Arch::Aarch64;
    let crates = CRATES.iter().filter(|name| !is_short || **name != LONGEST);
    let crates: Vec<&str> = crates.copied().collect();
    println!("[test] running the unit tests of {}", crates.join(", "));
    let mut cargo = cross::cargo(arch)?;
    cargo
        .args(["test", "--no-fail-fast", "--locked", "--lib"])
        // That of an independent reader of AFF4, which unit tests do not use, says 1.87.
        .arg("--ignore-rust-version")
        .args(["--target", arch.target(), "--target-dir"])
        .arg(cross::target_dir(arch))
        .args(crates.iter().flat_map(|name| ["--package", *name]))
        // Static, as the programs are: the emulation needs no libraries of arm64. The flag is
        // written as `cargo xtask dist` does it, or all would be compiled twice.
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
    tally.run(cargo, "the unit tests for arm64")
}
