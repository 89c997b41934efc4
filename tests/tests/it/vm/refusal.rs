// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cannot be done is refused with a reason.

use std::time::Duration;

use anyhow::{Result, ensure};
use xtask::acquisition::Subject;
use xtask::artifacts::{Artifacts, DUMPER};
use xtask::vm::{Output, Vm};

fn says(output: &Output, words: &[&str]) -> Result<()> {
    let text = output.text();
    let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
    ensure!(missing.is_empty(), "{missing:?} is not in: {text}");
    Ok(())
}

#[test]
fn without_module_or_privilege_there_is_a_clear_message() -> Result<()> {
    let kernel = crate::kernel()?;
    let artifacts = Artifacts::build(&kernel)?;
    let vm = Vm::builder(&kernel).memory_mib(256).boot()?;
    let subject = Subject::without_module(vm, &artifacts)?;

    let own = ["--source", "linpmem"];
    let absent = subject.dump(&own, "absent.core")?.exited(1)?;
    says(&absent, &["/dev/linpmem", "load"])?;

    the_module_is_loaded_for_one_run(&subject, &artifacts)?;

    subject.vm.insmod(&artifacts.module, "")?;
    let argv = [DUMPER, "/tmp/unprivileged.core"];
    let unprivileged = subject.vm.command(&argv).uid(1000).run()?.exited(1)?;
    says(&unprivileged, &["root"])?;
    let reader = ["cat", "/dev/linpmem"];
    let refused = subject.vm.command(&reader).uid(1000).run()?.exited(1)?;
    says(&refused, &["Permission denied"])?;

    // Nothing stays behind that looks like an image.
    for name in ["/scratch/absent.core", "/tmp/unprivileged.core"] {
        ensure!(subject.vm.read(name).is_err(), "{name} was left behind");
    }
    subject.end()
}

/// `--driver`: the module comes and goes with the run, whatever becomes of it.
fn the_module_is_loaded_for_one_run(subject: &Subject, artifacts: &Artifacts) -> Result<()> {
    let vm = &subject.vm;
    let gone = |when: &str| -> Result<()> {
        let modules = String::from_utf8(vm.read("/proc/modules")?)?;
        ensure!(!modules.contains("linpmem"), "the module stays {when}");
        Ok(())
    };
    let range = ["--no-artifacts", "--range", "0x1000000+1MiB"];
    let little = [&["--driver", "/tmp/linpmem.ko"][..], &range].concat();
    let missing = subject.dump(&little, "driver.core")?.exited(1)?;
    says(&missing, &["/tmp/linpmem.ko cannot be read"])?;
    vm.push(&artifacts.module, "/tmp/linpmem.ko")?;

    let done = subject.dump(&little, "driver.core")?.exited(0)?;
    says(&done, &["source:     /dev/linpmem"])?;
    gone("after a run")?;
    let failed = subject.dump(&little, "driver.core")?.exited(1)?;
    says(&failed, &["--force"])?;
    gone("after a failure")?;

    let mut argv = vec![DUMPER, "--driver", "/tmp/linpmem.ko"];
    argv.extend(["--compress", "zstd:19", "/scratch/cut.core.zst"]);
    let mut process = vm.command(&argv).start()?;
    ensure!(
        !process.ends_within(Duration::from_secs(3))?,
        "the run is over before it can be interrupted"
    );
    process.signal(15)?;
    process.wait()?.exited(1)?;
    gone("after a signal")?;

    vm.push(&artifacts.module, "/bin/linpmem.ko")?;
    let auto = [&["--driver", "auto"][..], &range].concat();
    let beside = subject.dump(&auto, "auto.core")?.exited(0)?;
    says(&beside, &["source:     /dev/linpmem"])?;
    gone("after auto")
}
