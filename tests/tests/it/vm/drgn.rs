// SPDX-License-Identifier: MIT OR Apache-2.0
//! An examiner's debugger can navigate the image.

use crate::machines;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::consumers::drgn::examine;
use linpmem_testkit::target_machine::TargetMachine;

#[test]
fn drgn_finds_the_planted_process_and_its_memory() -> Result<()> {
    finds_the_planted_process(machines::target(|machine| machine.memory_mib(256))?)
}

/// Plants a process, acquires the machine, and has drgn find it in the image.
pub fn finds_the_planted_process(target: TargetMachine) -> Result<()> {
    let token = "4f1d2c8e-planted-by-the-test";
    let (process, planted) = target.plant("suspicious", token)?;
    let address = planted.rsplit(' ').next().context("no address")?;
    let acquired = target
        .acquire(&["--no-artifacts"], "out.core")?
        .complete()?;
    let kernel = target.vm.kernel();
    let found = examine(&acquired.image, kernel, "suspicious", token, address)?;
    println!("{found:?}");
    assert_eq!(found.release, kernel.release());
    assert_eq!(found.init, "init");
    ensure!(found.tasks > 20, "only {} tasks", found.tasks);
    let [planted] = found.planted.as_slice() else {
        anyhow::bail!("expected one planted process: {:?}", found.planted);
    };
    assert_eq!(planted.pid, process.pid());
    assert_eq!(
        planted.cmdline,
        ["plant", "suspicious", token, "--and", "an argument"]
    );
    ensure!(
        planted.token_in_memory,
        "its memory does not have the token"
    );
    drop(process);
    target.end()
}
