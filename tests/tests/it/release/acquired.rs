// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program of the Debian package in a machine that has nothing else of ours.

use super::files::{find, in_tree, made, output};
use crate::fitted::{machine, traces};
use crate::sources::serving;
use anyhow::{Result, ensure};
use linpmem_testkit::target_machine::TargetMachine;
use std::process::Command;

/// It fits its module to the kernel, and what it reads equals QEMU's view.
#[test]
fn the_packages_program_acquires_memory() -> Result<()> {
    let work = tempfile::tempdir()?;
    let deb = find(&made()?, "linpmem_", "_amd64.deb")?;
    output(
        in_tree("dpkg-deb")?
            .arg("--extract")
            .arg(&deb)
            .arg(work.path()),
    )?;
    let program = work.path().join("usr/bin/linpmem-dump");
    let vm = machine(|machine| machine.memory_mib(512))?;
    let target = TargetMachine::with_dumper(vm, &program)?;
    println!("{}", target.fill(50)?);
    let before = traces(&target.vm)?;

    let acquired = target
        .acquire(&["--driver", "fit"], "all.core")?
        .complete()?;
    acquired.compare_elf()?.require(0.8)?;
    ensure!(serving(&acquired, "System RAM")? == ["linpmem"]);
    let verified = output(Command::new(&program).arg("verify").arg(&acquired.image))?;
    println!("{verified}");
    ensure!(before == traces(&target.vm)?, "something is left");
    target.end()
}
