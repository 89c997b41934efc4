// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rule for udev and the group that goes with it: what they give, and what the module asks
//! for besides.

use super::system::System;
use crate::contains::contains;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::artifacts::{self, ModuleKind};
use linpmem_testkit::checkout;
use linpmem_testkit::vm::{Output, Vm};

/// A member of the group. Test machines give a process the group of the same number.
const MEMBER: u32 = 1000;

/// What pmem says if the file's permissions do not allow it to open the file.
const FILE: &str = "only root may open /dev/linpmem";

/// What it says if the module does not.
const MODULE: &str = "the linpmem module refused to open /dev/linpmem";

/// Somebody else.
const STRANGER: u32 = 1001;

#[test]
fn udev_and_sysusers_take_the_files() -> Result<()> {
    let system = System::plain()?;
    let folder = checkout::dir().join("packaging/udev");
    let path = |name: &str| folder.join(name).display().to_string();
    let users = path("linpmem.sysusers.conf");
    system.run(&["systemd-sysusers", &users])?.ok()?;
    let group = system.run(&["getent", "group", "linpmem"])?.ok()?;
    ensure!(group.starts_with("linpmem:"), "{group}");
    let said = system
        .run(&[
            "udevadm",
            "verify",
            "--no-summary",
            &path("60-linpmem.rules"),
        ])?
        .ok()?;
    ensure!(said.trim().is_empty(), "{said}");
    Ok(())
}

/// With the rule, members of the group may open the file, and the module still decides: it lets
/// those read that have CAP_SYS_RAWIO, by a program that has it and that only the group may
/// start, and the user that `owner_uid` names.
#[test]
fn the_group_reads_with_the_capability_alone() -> Result<()> {
    let system = System::plain()?;
    let vm = Vm::builder(&system.kernel)
        .memory_mib(512)
        .scratch_gib(None)
        .boot()?;
    vm.push(&artifacts::pmem()?, "/bin/pmem")?;
    vm.push(&artifacts::pmem()?, "/bin/pmem-of-group")?;
    for program in [
        "/usr/bin/udevadm",
        "/usr/sbin/setcap",
        "/usr/bin/chown",
        "/usr/bin/chmod",
    ] {
        push_program(&system, &vm, program)?;
    }
    vm.put("/etc/passwd", 0o644, b"root:x:0:0::/:/bin/sh\n")?;
    vm.put(
        "/etc/group",
        0o644,
        format!("root:x:0:\nlinpmem:x:{MEMBER}:\n").as_bytes(),
    )?;
    vm.run(&["/usr/bin/chown", "root:linpmem", "/bin/pmem-of-group"])?
        .ok()?;
    vm.run(&["/usr/bin/chmod", "0750", "/bin/pmem-of-group"])?
        .ok()?;
    vm.run(&["/usr/sbin/setcap", "cap_sys_rawio=ep", "/bin/pmem-of-group"])?
        .ok()?;

    let module = artifacts::module_of(ModuleKind::Fitted, vm.kernel())?;
    vm.insmod(&module, "")?;
    // As it is: root alone may open the file, whatever else one may.
    fails(&read(&vm, "pmem-of-group", MEMBER)?, FILE)?;
    vm.run(&["pmem", "rmmod"])?.ok()?;

    let rule = checkout::dir().join("packaging/udev/60-linpmem.rules");
    vm.push(&rule, "/usr/lib/udev/rules.d/60-linpmem.rules")?;
    udev(&vm)?;
    vm.insmod(&module, "")?;
    vm.run(&["/usr/bin/udevadm", "settle"])?.ok()?;
    read(&vm, "pmem-of-group", MEMBER)?.ok()?;
    fails(&read(&vm, "pmem", MEMBER)?, MODULE)?;
    fails(&read(&vm, "pmem", STRANGER)?, FILE)?;
    let refused = read(&vm, "pmem-of-group", STRANGER);
    let refused = refused.err().context("it was started")?;
    ensure!(
        format!("{refused:#}").contains("Permission denied"),
        "{refused:#}"
    );
    vm.run(&["pmem", "rmmod"])?.ok()?;

    vm.insmod(&module, &format!("owner_uid={MEMBER}"))?;
    vm.run(&["/usr/bin/udevadm", "settle"])?.ok()?;
    read(&vm, "pmem", MEMBER)?.ok()?;
    fails(&read(&vm, "pmem", STRANGER)?, FILE)?;
    vm.shutdown()
}

/// Has `program` read a page of RAM for a user.
fn read(vm: &Vm, program: &str, user: u32) -> Result<Output> {
    vm.command(&[program, "read", "0x1000+8"]).uid(user).run()
}

/// A program must have failed with this message.
fn fails(output: &Output, message: &str) -> Result<()> {
    ensure!(
        output.ended.code == Some(1),
        "{:?}: {}",
        output.ended,
        output.text()
    );
    contains(&output.text(), &[message])
}

/// Starts udev's daemon.
fn udev(vm: &Vm) -> Result<()> {
    // The program is the daemon under this name.
    let daemon = "/usr/lib/systemd/systemd-udevd";
    let program = vm.read("/usr/bin/udevadm")?;
    vm.put(daemon, 0o755, &program)?;
    // It makes the folder, but not the one above.
    vm.put("/run/ready", 0o644, b"")?;
    vm.run(&[daemon, "--daemon"])?.ok()?;
    Ok(())
}

/// Copies a program of the system into the machine, with the libraries that it needs.
fn push_program(system: &System, vm: &Vm, program: &str) -> Result<()> {
    let needed = system.run(&["ldd", program])?.ok()?;
    let words = needed
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    let copy = tempfile::tempdir()?;
    for path in words.chain([program]) {
        let local = copy.path().join("file");
        let cp = [
            "cp",
            "-L",
            "--preserve=mode",
            path,
            local.to_str().context("not UTF-8")?,
        ];
        system.run(&cp)?.ok()?;
        vm.push(&local, path)?;
    }
    Ok(())
}
