// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests without sense: the kernel's log stays clean.

use anyhow::Result;

use super::{ask, machine};

/// How long the readers of a steady pattern run: a minute, or what
/// `LINPMEM_TEST_SECONDS` says.
pub fn seconds() -> u64 {
    let wanted = std::env::var("LINPMEM_TEST_SECONDS").ok();
    wanted
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(60)
}

#[test]
fn a_million_reads_and_a_hundred_thousand_ioctls() -> Result<()> {
    // Devices are permitted, so that a request that asks for one by accident
    // would get one.
    let vm = machine(|machine| machine, "allow_device=1")?;
    ask(&vm, "sweep 1000000")?;
    ask(&vm, "ioctls 100000")?;
    vm.shutdown()
}
