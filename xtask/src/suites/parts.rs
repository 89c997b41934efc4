// SPDX-License-Identifier: MIT OR Apache-2.0
//! The dumper without the parts that a build can leave out.

use super::tally::Tally;
use anyhow::Result;
use linpmem_testkit::checkout;

/// Asks a program that has none of its parts for each of them.
pub fn run(tally: &mut Tally, _: bool) -> Result<()> {
    println!("[test] running linpmem-dump without its parts");
    let mut cargo = checkout::cargo();
    cargo
        .args(["test", "--locked", "--package", "linpmem-dump"])
        .args(["--no-default-features", "--test", "it", "--", "absent::"]);
    tally.run(cargo, "linpmem-dump without its parts")
}
