// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests' own machinery: a guest in trouble is reported and does not stay.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use xtask::vm::Vm;

#[test]
fn a_panic_and_a_hang_are_reported_with_the_console() -> Result<()> {
    let kernel = crate::kernel()?;
    let vm = Vm::builder(&kernel)
        .memory_mib(256)
        .scratch_gib(None)
        .timeout(Duration::from_secs(20))
        .boot()?;

    // A program that never ends is one thing: the machine goes on.
    let sleepy = vm.command(&["plant", "sleeper", "x"]);
    let error = sleepy.timeout(Duration::from_secs(1)).run().unwrap_err();
    ensure!(error.to_string().contains("took too long"), "{error:#}");
    vm.run(&["cat", "/proc/version"])?.ok()?;
    let failed = vm.run(&["cat", "/no/such/file"])?;
    ensure!(failed.ended.code == Some(1), "{failed}");
    ensure!(vm.run(&["no-such-program"]).is_err());

    // A machine that stands still is another.
    vm.pause()?;
    let asked = Instant::now();
    let error = vm.ping().unwrap_err().to_string();
    ensure!(error.contains("the machine hangs"), "{error}");
    ensure!(error.contains("linpmem-guest: up"), "{error}");
    ensure!(asked.elapsed() < Duration::from_secs(60));
    vm.resume()?;

    // And a panic is seen at once.
    let asked = Instant::now();
    let error = vm
        .write("/proc/sysrq-trigger", "c")
        .unwrap_err()
        .to_string();
    ensure!(error.contains("the machine ended"), "{error}");
    ensure!(error.contains("Kernel panic"), "{error}");
    ensure!(asked.elapsed() < Duration::from_secs(20), "too late");
    ensure!(vm.shutdown().is_err());
    Ok(())
}
