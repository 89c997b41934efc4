// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `linpmem-dump doctor` says of a machine, beside what an acquisition of it does.

use anyhow::{Context, Result, ensure};
use linpmem_testkit::target_machine::TargetMachine;
use serde_json::Value;

/// What it says of `/scratch`, with `args` as well; its exit code has to be `code`.
fn examined(target: &TargetMachine, args: &[&str], code: i32) -> Result<Value> {
    let words = [&["doctor", "--json"], args].concat();
    let output = target.dump(&words, "")?.exited(code)?;
    let found: Value = serde_json::from_slice(&output.stdout)?;
    println!("{found:#}");
    ensure!(at(&found, "/ready") == (code == 0), "exit code {code}");
    Ok(found)
}

/// What `found` has at `path`; null if it has nothing there.
fn at<'a>(found: &'a Value, path: &str) -> &'a Value {
    found.pointer(path).unwrap_or(&Value::Null)
}

/// The verdicts on `topic`.
fn verdicts<'a>(found: &'a Value, topic: &str) -> Result<Vec<&'a str>> {
    let findings = at(found, "/findings").as_array().context("no findings")?;
    let about = findings
        .iter()
        .filter(|finding| at(finding, "/topic") == topic);
    about
        .map(|finding| at(finding, "/verdict").as_str().context("no verdict"))
        .collect()
}

/// A machine with no lockdown, and no file of its kernel: /proc/kcore works, the module cannot be
/// fitted, and nothing is left of all this.
pub(super) fn is_ready(target: &TargetMachine) -> Result<()> {
    let left = || Ok::<_, anyhow::Error>(target.vm.run(&["ls", "/scratch"])?.ok()?.stdout);
    let before = left()?;
    let found = examined(target, &["--include-reserved"], 0)?;
    let source = at(&found, "/source").as_str().context("no source")?;
    ensure!(source.contains("System RAM from /proc/kcore"), "{source}");
    ensure!(source.contains("/dev/mem"), "{source}");
    ensure!(at(&found, "/module/fits") == false && at(&found, "/module/loaded") == false);
    ensure!(verdicts(&found, "module")? == ["note"]);
    ensure!(verdicts(&found, "reading")? == ["good"]);
    ensure!(verdicts(&found, "reserved")? == ["good"]);
    ensure!(verdicts(&found, "folder")?.contains(&"good"));
    for measured in ["/read_bytes_per_s", "/destination/bytes_per_s"] {
        let rate = at(&found, measured).as_u64();
        ensure!(
            rate.is_some_and(|rate| rate > 1 << 20),
            "{measured}: {rate:?}"
        );
    }
    let planned = at(&found, "/planned_bytes").as_u64().context("no size")?;
    // But for the page that is only partly RAM.
    let ram = target.vm.system_ram()?.total().get();
    ensure!(planned + 4096 >= ram, "{planned} of {ram}");
    ensure!(before == left()?, "something was left in /scratch");
    Ok(())
}

/// A machine that has its kernel's files: the module fits without being loaded, and is the source
/// if it is loaded for that, and only as long.
pub fn is_ready_with_the_module(target: &TargetMachine) -> Result<()> {
    let found = examined(target, &["--no-measure"], 0)?;
    ensure!(at(&found, "/module/fits") == true && at(&found, "/module/loaded") == false);
    ensure!(at(&found, "/read_bytes_per_s").is_null());
    let command = at(&found, "/command").as_str().context("no command")?;
    ensure!(command.contains("--driver fit"), "{command}");
    let loaded = examined(target, &["--no-measure", "--driver", "fit"], 0)?;
    ensure!(at(&loaded, "/source") == "/dev/linpmem", "{loaded:#}");
    let modules = target.vm.run(&["cat", "/proc/modules"])?.ok()?;
    ensure!(
        !modules.stdout_text()?.contains("linpmem"),
        "it is still loaded"
    );
    Ok(())
}

/// Lockdown at `integrity`: ready, without the module and without reserved memory.
pub(super) fn is_ready_without_the_module(target: &TargetMachine) -> Result<()> {
    let found = examined(target, &["--no-measure"], 0)?;
    ensure!(verdicts(&found, "memory")? == ["good"]);
    ensure!(verdicts(&found, "reserved")? == ["note"]);
    ensure!(at(&found, "/module/fits") == false);
    let reason = at(&found, "/module/reason").as_str().context("no reason")?;
    ensure!(reason.contains("locked down (integrity)"), "{reason}");
    // To load it all the same is what fails.
    let refused = examined(target, &["--no-measure", "--driver", "fit"], 1)?;
    ensure!(verdicts(&refused, "module")? == ["bad"]);
    Ok(())
}

/// Lockdown at `confidentiality`: not ready.
pub(super) fn is_not_ready(target: &TargetMachine) -> Result<()> {
    let found = examined(target, &[], 1)?;
    ensure!(at(&found, "/source").is_null() && at(&found, "/command").is_null());
    ensure!(verdicts(&found, "memory")? == ["bad"]);
    let sources = at(&found, "/sources").as_array().context("no sources")?;
    let kcore = sources.iter().find(|source| at(source, "/name") == "kcore");
    let why = kcore.and_then(|source| at(source, "/detail").as_str());
    let why = why.context("nothing about /proc/kcore")?;
    ensure!(why.contains("(confidentiality mode)"), "{why}");
    Ok(())
}
