// SPDX-License-Identifier: MIT OR Apache-2.0
//! An examiner's debugger finds its way in the image.

use anyhow::{Context, Result, ensure};
use xtask::drgn::examine;

#[test]
fn drgn_finds_the_planted_process_and_its_memory() -> Result<()> {
    let token = "4f1d2c8e-planted-by-the-test";
    let subject = crate::subject(|machine| machine.memory_mib(256))?;
    let (process, said) = subject.plant("suspicious", token)?;
    let address = said.rsplit(' ').next().context("no address")?;
    let acquired = subject
        .acquire(&["--no-artifacts"], "out.core")?
        .complete()?;
    let kernel = subject.vm.kernel();
    let found = examine(&acquired.image, kernel, "suspicious", token, address)?;
    println!("{found:?}");
    assert_eq!(found.release, kernel.release());
    assert_eq!(found.init, "init");
    ensure!(found.tasks > 20, "only {} tasks", found.tasks);
    let [planted] = found.planted.as_slice() else {
        anyhow::bail!("not one planted process: {:?}", found.planted);
    };
    assert_eq!(planted.pid, process.pid());
    assert_eq!(
        planted.cmdline,
        ["plant", "suspicious", token, "--and", "an argument"]
    );
    ensure!(planted.token_in_memory, "the token is not in its memory");
    drop(process);
    subject.end()
}
