// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine forbids: the message says what, why, and what to do.

use super::{doctor, target};
use crate::contains::contains;
use anyhow::{Result, ensure};
use linpmem_testkit::artifacts::DUMPER;
use linpmem_testkit::target_machine::TargetMachine;

/// Quick to read, and RAM on every machine.
const LITTLE: [&str; 3] = ["--no-artifacts", "--range", "0x1000000+1MiB"];

#[test]
fn each_refusal_has_its_message_and_exit_code() -> Result<()> {
    let target = target(|machine| machine.memory_mib(256))?;
    let dump = |words: &[&str], name: &str| {
        let mut args = LITTLE.to_vec();
        args.extend(words);
        target.dump(&args, name)
    };

    let absent = dump(&["--source", "linpmem"], "a.core")?.exited(1)?;
    contains(&absent.text(), &["/dev/linpmem does not exist", "insmod"])?;
    let crash = dump(&["--source", "crash"], "a.core")?.exited(1)?;
    contains(
        &crash.text(),
        &["/dev/crash does not exist", "Red Hat", "insmod"],
    )?;
    let vmcore = dump(&["--source", "vmcore"], "a.core")?.exited(1)?;
    contains(
        &vmcore.text(),
        &[
            "/proc/vmcore: it does not exist",
            "not a crash (kdump) kernel",
        ],
    )?;
    let strict = dump(&["--source", "devmem"], "a.core")?.exited(1)?;
    contains(
        &strict.text(),
        &["no source can read System RAM", "from /dev/mem"],
    )?;
    let whole = dump(&[], "whole.core")?.exited(0)?;
    contains(&whole.text(), &["System RAM from /proc/kcore"])?;

    doctor::is_ready(&target)?;

    // The last page of low memory is partly RAM, and all that was asked for.
    let page = ["--no-artifacts", "--range", "0x9f000+4KiB"];
    let none = target.dump(&page, "none.core")?.exited(1)?;
    contains(
        &none.text(),
        &["no System RAM in 0x9f000-0x9ffff", "only partly RAM"],
    )?;

    masked_files_are_named(&target)?;

    let argv = [DUMPER, "/tmp/user.core"];
    let user = target.vm.command(&argv).uid(1000).run()?.exited(1)?;
    contains(
        &user.text(),
        &["/proc/kcore can be opened by root only", "/dev/mem", "sudo"],
    )?;

    target
        .vm
        .write("/sys/kernel/security/lockdown", "integrity")?;
    let mem = dump(&["--source", "devmem"], "b.core")?.exited(1)?;
    contains(
        &mem.text(),
        &[
            "/dev/mem is blocked by kernel lockdown (integrity mode)",
            "cannot be lifted",
        ],
    )?;
    doctor::is_ready_without_the_module(&target)?;
    let kcore = dump(&[], "integrity.core")?.exited(0)?;
    contains(&kcore.text(), &["System RAM from /proc/kcore"])?;

    target
        .vm
        .write("/sys/kernel/security/lockdown", "confidentiality")?;
    doctor::is_not_ready(&target)?;
    let nothing = dump(&[], "c.core")?.exited(1)?;
    println!("{}", nothing.text());
    contains(
        &nothing.text(),
        &[
            "no source of this machine's memory works",
            "linpmem  /dev/linpmem does not exist",
            "/proc/kcore is blocked by kernel lockdown (confidentiality mode)",
            "/dev/crash does not exist",
            "/dev/mem is blocked by kernel lockdown",
            "virtual machine",
        ],
    )?;
    for name in [
        "/scratch/a.core",
        "/scratch/b.core",
        "/scratch/c.core",
        "/tmp/user.core",
    ] {
        ensure!(target.vm.read(name).is_err(), "{name} was left behind");
    }
    target.end()
}

/// What a container runtime, or somebody else, has put something over: it opens, and has
/// nothing to say.
fn masked_files_are_named(target: &TargetMachine) -> Result<()> {
    const FLAGS: &str = "/proc/kpageflags";
    const BLOCKS: &str = "/sys/devices/system/memory";
    const IOMEM: &str = "/proc/iomem";
    let no_addresses = "00000000-00000000 : System RAM\n00000000-00000000 : Reserved\n";
    target
        .vm
        .put("/tmp/iomem", 0o644, no_addresses.as_bytes())?;
    // What is masked, with what, the exit code, and what is said.
    let rows: [(&[&str], i32, &[&str]); 6] = [
        (
            &[FLAGS],
            0,
            &[
                "ballooned or poisoned",
                "kpageflags cannot be used: it is empty",
            ],
        ),
        (
            &[FLAGS, "/dev/zero"],
            0,
            &["kpageflags cannot be used: it has no flags"],
        ),
        (
            &[BLOCKS],
            0,
            &[
                "offline will be zero",
                "system/memory cannot be used: it is empty",
            ],
        ),
        (
            &["/sys/devices/system/memory/memory0/state"],
            0,
            &[
                "offline will be zero",
                "memory0/state is missing or has no state",
            ],
        ),
        (&[IOMEM], 1, &["/proc/iomem is empty, as if it were masked"]),
        (
            &[IOMEM, "/tmp/iomem"],
            1,
            &["/proc/iomem shows every address as 0"],
        ),
    ];
    for (number, (masked, code, said)) in rows.into_iter().enumerate() {
        let words: Vec<&str> = ["mask"].into_iter().chain(masked.iter().copied()).collect();
        target.vm.run(&words)?.ok()?;
        let output = target.dump(&LITTLE, &format!("masked-{number}.core"))?;
        let path = masked.first().copied().unwrap_or_default();
        target.vm.run(&["unmask", path])?.ok()?;
        contains(&output.exited(code)?.text(), said)?;
    }
    Ok(())
}
