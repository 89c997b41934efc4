// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program shows of the kernel in an image, beside what the machine itself said.

mod damaged;
pub mod files;
mod mounted;
pub mod shown;
mod swapped;

use crate::host_dumper;
use crate::machines;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::artifacts;
use linpmem_testkit::target_machine::TargetMachine;
use linpmem_testkit::vm::VmBuilder;
use shown::{Guest, at};
use std::path::Path;

const TOKEN: &str = "5b7c1f60-planted-to-be-inspected";
const NAME: &str = "suspicious";
const HIDDEN: &str = "covert";

fn small(machine: VmBuilder) -> VmBuilder {
    machine.memory_mib(256)
}

/// A process that /proc does not show, on a machine that is compared with what it says of
/// itself; and what is made of its image when that is damaged.
#[test]
fn a_hidden_process_is_found_and_damage_is_said() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let target = machines::target(small)?.images_in(folder.path());
    let (planted_process, said) = target.plant(NAME, TOKEN)?;
    let (covert_process, covert) = target.plant(HIDDEN, TOKEN)?;
    let [planted, covert] = [number(&said)?, number(&covert)?];
    let module = artifacts::hiding_module(target.vm.kernel())?;
    target.vm.insmod(&module, &format!("pid={covert}"))?;
    let mut guest = Guest::before(&target.vm, planted)?;
    ensure!(
        !guest.has(covert),
        "the module does not hide the process {covert}"
    );
    let ended = target.dump(&["--source", "linpmem"], "whole.core")?;
    println!("{}", ended.text());
    let ended = ended.exited(0)?;
    let summary = format!("{covert} ({HIDDEN}). Something may hide it");
    ensure!(
        ended.text().contains("check:      analysable: ") && ended.text().contains(&summary),
        "the summary does not say that {covert} is hidden"
    );
    guest.after(&target.vm)?;
    let image = target.pull("whole.core")?;
    drop((planted_process, covert_process));
    target.end()?;

    hidden(&image, covert)?;
    guest.hide(covert, HIDDEN);
    shown::compare(&image, &guest)?;
    damaged::each_damage_has_its_verdict(&image, folder.path())?;
    other_boot(&image, folder.path())
}

/// The number in `planted process PID with …`.
fn number(said: &str) -> Result<u64> {
    let word = said.split(' ').nth(2).context("no number")?;
    Ok(word.parse()?)
}

/// `check` and `ps` point out the process, and nothing else.
fn hidden(image: &Path, covert: u64) -> Result<()> {
    let (code, document) = shown::json("check", image, &[])?;
    ensure!(code == Some(3), "exit code {code:?}: {document}");
    let found = at(&document, "/processes/hidden");
    let expected = serde_json::json!([{ "pid": covert, "name": HIDDEN }]);
    ensure!(*found == expected, "{document:#}");
    let empty = serde_json::json!([]);
    ensure!(*at(&document, "/findings") == empty, "{document:#}");
    ensure!(
        *at(&document, "/processes/missing") == empty,
        "{document:#}"
    );
    ensure!(*at(&document, "/modules/hidden") == empty, "{document:#}");
    ensure!(at(&document, "/verdict") == "analysable", "{document:#}");
    let (code, document) = shown::json("ps", image, &[])?;
    ensure!(code == Some(3), "exit code {code:?}");
    let tasks = at(&document, "/tasks").as_array().context("no tasks")?;
    let odd: Vec<_> = tasks
        .iter()
        .filter(|task| at(task, "/found_by") != "both")
        .map(|task| (at(task, "/pid").as_u64(), at(task, "/found_by").as_str()))
        .collect();
    ensure!(
        odd.contains(&(Some(covert), Some("list"))),
        "{odd:?} does not have {covert}"
    );
    Ok(())
}

/// The image with what was kept of another boot of the same kernel, which KASLR has put
/// elsewhere.
fn other_boot(image: &Path, folder: &Path) -> Result<()> {
    let lime = folder.join("moved.lime");
    host_dumper::converts(image, &lime)?;
    let own = folder.join("moved.lime.artifacts.tar.zst");
    ensure!(own.is_file(), "no artifacts next to {}", lime.display());
    let (code, _) = shown::json("check", &lime, &[])?;
    ensure!(code == Some(3), "LiME: exit code {code:?}");

    let target: TargetMachine = machines::target(small)?.images_in(folder);
    let args = ["--format", "lime", "--range", "0x100000+1M"];
    let ended = target.dump(&args, "other.lime")?;
    println!("{}", ended.text());
    ended.exited(0)?;
    let other = folder.join("other.tar.zst");
    target
        .vm
        .pull("/scratch/other.lime.artifacts.tar.zst", &other)?;
    target.end()?;
    std::fs::rename(&other, &own)?;
    let (code, document) = shown::json("check", &lime, &[])?;
    ensure!(
        code == Some(1) && at(&document, "/verdict") == "not-analysable",
        "exit code {code:?}: {document:#}"
    );
    let summary = at(&document, "/summary").as_str().unwrap_or_default();
    println!("artifacts of another boot: {summary}");
    ensure!(summary.contains("another boot"), "{summary}");
    Ok(())
}
