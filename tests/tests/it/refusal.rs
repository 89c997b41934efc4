// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cannot be done is refused with a reason.

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

    let absent = subject.dump(&[], "absent.core")?.exited(1)?;
    says(&absent, &["/dev/linpmem", "load"])?;

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
