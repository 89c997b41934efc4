// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a locked-down kernel forbids, and what it still allows.

use super::{acquire_ram, target};
use crate::contains::contains;
use anyhow::Result;

#[test]
fn integrity_mode_leaves_kcore() -> Result<()> {
    let target = target(|machine| machine.memory_mib(256).append("lockdown=integrity"))?;
    let acquired = acquire_ram(&target, &["--format", "elf", "--no-artifacts"], 0.5)?;
    contains(&acquired.output.text(), &["System RAM from /proc/kcore"])?;
    let mem = ["--no-artifacts", "--source", "devmem"];
    let refused = target.dump(&mem, "mem.core")?.exited(1)?;
    contains(
        &refused.text(),
        &["/dev/mem is blocked by kernel lockdown (integrity mode)"],
    )?;
    target.end()
}

#[test]
fn confidentiality_mode_leaves_nothing_and_says_why() -> Result<()> {
    let target = target(|machine| machine.memory_mib(256).append("lockdown=confidentiality"))?;
    let refused = target.dump(&["--no-artifacts"], "out.core")?.exited(1)?;
    println!("{}", refused.text());
    contains(
        &refused.text(),
        &[
            "no source of this machine's memory works",
            "/proc/kcore is blocked by kernel lockdown (confidentiality mode)",
            "/dev/mem is blocked by kernel lockdown",
        ],
    )?;
    target.end()
}
