// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquisitions that go straight to another machine: the host has the receiver and the stores,
//! and a target reaches them over its network card.

mod encrypted;
mod interrupted;
mod kept_secret;
mod received;
mod store_troubles;
mod stored;

use crate::{host_dumper, machines};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::artifacts::{self, DUMPER};
use linpmem_testkit::kernel::KernelPackage;
use linpmem_testkit::receiver::Receiver;
use linpmem_testkit::target_machine::{Acquired, TargetMachine};
use linpmem_testkit::vm::{GuestCommand, Output, VmBuilder};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The variable that says where an image goes, which no other user sees.
const TO: &str = "LINPMEM_TO";

/// Where receivers listen: at a port that is free.
const LISTEN: &str = "127.0.0.1:0";

/// How long an acquisition may take: only a safety net.
const PATIENCE: Duration = Duration::from_secs(300);

/// A share of a machine's memory that changes little enough to be compared.
const SHARE: f64 = 0.70;

/// A target with a network.
struct Away {
    target: TargetMachine,
}

impl Away {
    /// With the module, and its memory filled.
    fn with_module() -> Result<Self> {
        Self::connected(machines::target(configured)?)
    }

    /// Without it, on the kernel of a server.
    fn without_module() -> Result<Self> {
        let target = machines::without_module(&KernelPackage::stable(), configured)?;
        Self::connected(target)
    }

    fn connected(target: TargetMachine) -> Result<Self> {
        target.vm.connect()?;
        println!("{}", target.fill(50)?);
        Ok(Self { target })
    }

    /// A run of the dumper that sends the memory to `to`.
    fn sender(&self, to: &str, words: &[&str]) -> GuestCommand<'_> {
        let words = [&[DUMPER, "--json", "--progress", "none"], words].concat();
        let command = self.target.vm.command(&words);
        command.env(TO, to).timeout(PATIENCE)
    }

    /// A new folder on the host, which is removed with the target.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.work().join(name);
        fs::create_dir(&folder).with_context(|| format!("creating {}", folder.display()))?;
        Ok(folder)
    }

    /// Sends the memory by `sender`, whose image `fetch` gets; `name` is for people.
    fn acquire<'a>(
        &'a self,
        name: &str,
        sender: GuestCommand<'a>,
        fetch: impl FnOnce() -> Result<PathBuf>,
    ) -> Result<Acquired> {
        let before = self.files()?;
        let start = || sender.start();
        let acquired = self.target.observe(name, start, |output| {
            ensure!(output.success(), "{output}:\n{}", output.text());
            fetch()
        });
        let acquired = acquired.with_context(|| format!("acquiring {name}"))?;
        ensure!(self.files()? == before, "the target's files have changed");
        let (code, printed) = host_dumper::run("verify", &acquired.image)?;
        ensure!(code == Some(0), "{name}: {printed}");
        Ok(acquired)
    }

    /// Every file of the target, with its size and the time of its last change.
    fn files(&self) -> Result<String> {
        let find = "busybox find / /scratch /tmp /dev -xdev -type f \
                    -exec busybox stat -c '%n %s %Y' {} +";
        let found = self.target.vm.run(&["busybox", "sh", "-c", find])?.ok()?;
        let files = found.stdout_text()?.to_owned();
        ensure!(files.contains("/bin/linpmem-dump "), "{files}");
        Ok(files)
    }
}

/// Requires that the image which `acquire` takes, an ELF core, is what QEMU saw. If some dozen
/// pages of a busy kernel have changed and changed back between two views, it is taken once more;
/// `acquire` is told another name then.
fn is_what_qemu_sees(name: &str, acquire: impl Fn(&str) -> Result<Acquired>) -> Result<Acquired> {
    let acquired = acquire(name)?;
    let found = acquired.compare_elf()?;
    println!("{name}: {found}");
    if !found.is_restless() {
        found.require(SHARE)?;
        return Ok(acquired);
    }
    println!("more pages than usual changed for a moment: trying again");
    let acquired = acquire(&format!("{name}-again"))?;
    let found = acquired.compare_elf()?;
    println!("{name}: {found}");
    found.require(SHARE)?;
    Ok(acquired)
}

fn configured(machine: VmBuilder) -> VmBuilder {
    machine.memory_mib(320).network()
}

/// A receiver on the host, in `folder`.
fn receiving(folder: &Path) -> Result<Receiver> {
    Receiver::start(&artifacts::dumper()?, folder, LISTEN, &[])
}

/// The summary of a run with `--json`.
fn summary(output: &Output) -> Result<Value> {
    let said = output.text();
    let last = said.lines().rfind(|line| line.starts_with('{'));
    let last = last.with_context(|| format!("no summary: {said}"))?;
    Ok(serde_json::from_str(last)?)
}

/// The fact at a JSON pointer in the summary of a run.
fn fact(output: &Output, pointer: &str) -> Result<Value> {
    let summary = summary(output)?;
    let fact = summary.pointer(pointer);
    fact.cloned()
        .with_context(|| format!("no {pointer} in {summary}"))
}

/// Requires that nothing in `folder` looks like a whole image.
fn nothing_is_complete(folder: &Path) -> Result<()> {
    for entry in folder.read_dir()? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_complete = [".manifest.jsonl", ".receipt.json", ".core", ".sha256"]
            .iter()
            .any(|ending| name.ends_with(ending));
        ensure!(!is_complete, "{name} looks complete");
    }
    Ok(())
}
