// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every refusal has a reason.

use crate::contains::contains;
use crate::machines;
use anyhow::{Result, ensure};
use linpmem_testkit::artifacts::{Artifacts, DUMPER};
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::Vm;
use std::time::Duration;

#[test]
fn a_missing_module_or_privilege_has_a_clear_message() -> Result<()> {
    let kernel = machines::kernel()?;
    let artifacts = Artifacts::build(&kernel)?;
    let vm = Vm::builder(&kernel).memory_mib(256).boot()?;
    let target = TargetMachine::with_dumper(vm, &artifacts.dumper)?;

    let own = ["--source", "linpmem"];
    let absent = target.dump(&own, "absent.core")?.exited(1)?;
    contains(&absent.text(), &["/dev/linpmem", "load"])?;

    the_module_is_loaded_for_one_run(&target, &artifacts)?;

    target.vm.insmod(&artifacts.module, "")?;
    let argv = [DUMPER, "/tmp/unprivileged.core"];
    let unprivileged = target.vm.command(&argv).uid(1000).run()?.exited(1)?;
    contains(&unprivileged.text(), &["root"])?;
    let reader = ["cat", "/dev/linpmem"];
    let refused = target.vm.command(&reader).uid(1000).run()?.exited(1)?;
    contains(&refused.text(), &["Permission denied"])?;

    // Nothing is left that looks like an image.
    for name in ["/scratch/absent.core", "/tmp/unprivileged.core"] {
        ensure!(target.vm.read(name).is_err(), "{name} was left behind");
    }
    target.end()
}

/// `--driver` loads the module and unloads it again, however the run ends.
fn the_module_is_loaded_for_one_run(target: &TargetMachine, artifacts: &Artifacts) -> Result<()> {
    let vm = &target.vm;
    let gone = |when: &str| -> Result<()> {
        let modules = String::from_utf8(vm.read("/proc/modules")?)?;
        ensure!(
            !modules.contains("linpmem"),
            "the module is still loaded {when}"
        );
        Ok(())
    };
    let range = ["--no-artifacts", "--range", "0x1000000+1MiB"];
    let little = [&["--driver", "/tmp/linpmem.ko"][..], &range].concat();
    let missing = target.dump(&little, "driver.core")?.exited(1)?;
    contains(&missing.text(), &["/tmp/linpmem.ko cannot be read"])?;
    vm.push(&artifacts.module, "/tmp/linpmem.ko")?;

    let done = target.dump(&little, "driver.core")?.exited(0)?;
    contains(&done.text(), &["source:     /dev/linpmem"])?;
    gone("after a run")?;
    let failed = target.dump(&little, "driver.core")?.exited(1)?;
    contains(&failed.text(), &["--force"])?;
    gone("after a failure")?;

    let mut argv = vec![DUMPER, "--driver", "/tmp/linpmem.ko"];
    argv.extend(["--compress", "zstd:19", "/scratch/cut.core.zst"]);
    let mut process = vm.command(&argv).start()?;
    ensure!(
        !process.ends_within(Duration::from_secs(3))?,
        "the run ended before it could be interrupted"
    );
    process.signal(15)?;
    process.wait()?.exited(1)?;
    gone("after a signal")?;

    vm.push(&artifacts.module, "/bin/linpmem.ko")?;
    let auto = [&["--driver", "auto"][..], &range].concat();
    let beside = target.dump(&auto, "auto.core")?.exited(0)?;
    contains(&beside.text(), &["source:     /dev/linpmem"])?;
    gone("after auto")
}
