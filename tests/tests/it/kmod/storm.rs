// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random requests: the kernel's log stays clean.

use super::{ask, machine};
use anyhow::{Context, Result};
use linpmem_testkit::arch::Arch;

/// How long the readers of the pattern run: a minute, or `LINPMEM_TEST_SECONDS`.
pub fn seconds() -> Result<u64> {
    match std::env::var("LINPMEM_TEST_SECONDS") {
        Ok(seconds) => seconds
            .parse()
            .context("LINPMEM_TEST_SECONDS must be a number"),
        Err(_) => Ok(60),
    }
}

#[test]
fn a_hundred_thousand_ioctls() -> Result<()> {
    // With devices permitted, so that an accidental request for one would succeed.
    survives_ioctls(Arch::X86_64, "allow_device=1")
}

pub fn survives_ioctls(arch: Arch, parameters: &str) -> Result<()> {
    let vm = machine(arch, |machine| machine, parameters)?;
    ask(&vm, "ioctls 100000")?;
    vm.shutdown()
}
