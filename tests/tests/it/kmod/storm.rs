// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random requests: the kernel's log stays clean.

use super::{ask, machine};
use anyhow::{Context, Result};

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
    let vm = machine(|machine| machine, "allow_device=1")?;
    ask(&vm, "ioctls 100000")?;
    vm.shutdown()
}
