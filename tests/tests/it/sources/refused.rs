// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a machine does not allow: the message says what, why, and what helps.

use anyhow::{Result, ensure};
use xtask::artifacts::DUMPER;

use super::{says, subject};

/// Quick to read, and RAM on every machine.
const LITTLE: [&str; 3] = ["--no-artifacts", "--range", "0x1000000+1MiB"];

#[test]
fn each_refusal_has_its_message_and_exit_code() -> Result<()> {
    let subject = subject(|machine| machine.memory_mib(256))?;
    let dump = |words: &[&str], name: &str| {
        let mut args = LITTLE.to_vec();
        args.extend(words);
        subject.dump(&args, name)
    };

    let absent = dump(&["--source", "linpmem"], "a.core")?.exited(1)?;
    says(&absent, &["/dev/linpmem is not there", "insmod"])?;
    let crash = dump(&["--source", "crash"], "a.core")?.exited(1)?;
    says(&crash, &["/dev/crash is not there", "Red Hat", "insmod"])?;
    let strict = dump(&["--source", "devmem"], "a.core")?.exited(1)?;
    says(&strict, &["no source has System RAM here", "from /dev/mem"])?;
    let whole = dump(&[], "whole.core")?.exited(0)?;
    says(&whole, &["System RAM from /proc/kcore"])?;

    // The page at the end of low memory is RAM only in part.
    let page = [
        "--on-error",
        "fail",
        "--no-artifacts",
        "--range",
        "0x9f000+4KiB",
    ];
    let failed = subject.dump(&page, "failed.core")?.exited(1)?;
    says(
        &failed,
        &["0x9f000-0x9ffff cannot be read (EFAULT)", "--on-error fail"],
    )?;
    let listed = subject.dump(&page[2..], "listed.core")?.exited(3)?;
    says(&listed, &["0x9f000-0x9ffff EFAULT"])?;

    let argv = [DUMPER, "/tmp/user.core"];
    let user = subject.vm.command(&argv).uid(1000).run()?.exited(1)?;
    says(
        &user,
        &["/proc/kcore can be opened by root only", "/dev/mem", "sudo"],
    )?;

    subject
        .vm
        .write("/sys/kernel/security/lockdown", "integrity")?;
    let mem = dump(&["--source", "devmem"], "b.core")?.exited(1)?;
    says(
        &mem,
        &[
            "/dev/mem is blocked by kernel lockdown (integrity mode)",
            "cannot be lifted",
        ],
    )?;
    let kcore = dump(&[], "integrity.core")?.exited(0)?;
    says(&kcore, &["System RAM from /proc/kcore"])?;

    subject
        .vm
        .write("/sys/kernel/security/lockdown", "confidentiality")?;
    let nothing = dump(&[], "c.core")?.exited(1)?;
    println!("{}", nothing.text());
    says(
        &nothing,
        &[
            "no source of this machine's memory works",
            "linpmem  /dev/linpmem is not there",
            "/proc/kcore is blocked by kernel lockdown (confidentiality mode)",
            "/dev/crash is not there",
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
        ensure!(subject.vm.read(name).is_err(), "{name} was left behind");
    }
    subject.end()
}
