// SPDX-License-Identifier: MIT OR Apache-2.0
//! The test kit itself: a guest in trouble is reported, and does not stay behind.

use crate::machines;
use anyhow::{Result, ensure};
use std::time::Duration;

#[test]
fn a_panic_and_a_hang_are_reported_with_the_console() -> Result<()> {
    let vm = machines::small(|machine| machine.timeout(Duration::from_secs(20)))?;

    // A program that never ends does not affect the machine.
    let sleepy = vm.command(&["plant", "sleeper", "x"]);
    let error = sleepy.timeout(Duration::from_secs(1)).run().unwrap_err();
    ensure!(error.to_string().contains("took too long"), "{error:#}");
    vm.run(&["cat", "/proc/version"])?.ok()?;
    let failed = vm.run(&["cat", "/no/such/file"])?;
    ensure!(failed.ended.code == Some(1), "{failed}");
    ensure!(vm.run(&["no-such-program"]).is_err());

    // A machine that hangs is reported with its console.
    vm.pause()?;
    let error = vm.ping().unwrap_err().to_string();
    ensure!(error.contains("the machine hangs"), "{error}");
    ensure!(error.contains("linpmem-guest: up"), "{error}");
    vm.resume()?;

    // So is a panic, without waiting for a timeout.
    let error = vm
        .write("/proc/sysrq-trigger", "c")
        .unwrap_err()
        .to_string();
    ensure!(error.contains("the machine ended"), "{error}");
    ensure!(error.contains("Kernel panic"), "{error}");
    ensure!(vm.shutdown().is_err());
    Ok(())
}
