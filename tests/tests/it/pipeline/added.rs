// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--add` on a file system whose server does not answer.

use super::{at, json};
use crate::contains::contains;
use crate::machines;
use anyhow::{Result, ensure};
use linpmem_testkit::artifacts;
use linpmem_testkit::target_machine::{TargetMachine, companion};
use linpmem_testkit::vm::guest;
use std::time::Duration;

#[test]
fn a_file_system_that_does_not_answer_neither_hangs_nor_ends_the_run() -> Result<()> {
    let vm =
        machines::small(|machine| machine.memory_mib(256).scratch_gib(Some(1)).module("fuse"))?;
    vm.push(&guest::build("linpmem-probe")?, "/bin/probe")?;
    let target = TargetMachine::with_dumper(vm, &artifacts::dumper()?)?;
    let vm = &target.vm;
    let mut server = vm.command(&["probe", "deaf-fuse", "/tmp/deaf"]).start()?;
    server.wait_for("serving")?;
    vm.put("/tmp/good", 0o600, b"good")?;

    let patterns = ["--add", "/tmp/deaf/*", "--add", "/tmp/deaf/folder/*"];
    let words = ["--add", "/tmp/good", "--page-timeout", "2"];
    let little = ["--range", "0x1000000+1MiB", "--no-artifacts"];
    let words = [&patterns[..], &words, &little].concat();
    let mut run = target.start(&words, "deaf.core")?;
    // It ends by itself, although nobody has answered until then.
    ensure!(
        run.ends_within(Duration::from_secs(60))?,
        "the file system keeps the program from ending"
    );
    let output = run.wait()?.exited(0)?;
    println!("{}", output.text());
    contains(&output.text(), &["is complete", "3 could not be collected"])?;
    let image = target.pull("deaf.core")?;
    let manifest = json(&companion(&image, "manifest.jsonl"))?;
    let names = |list: &str| -> Vec<String> {
        let list = at(&manifest, &format!("/artifacts/{list}")).as_array();
        let names = list.into_iter().flatten();
        names
            .filter_map(|item| item["name"].as_str())
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(names("files"), ["tmp/good"]);
    assert_eq!(
        names("missing"),
        ["/tmp/deaf/folder/*", "tmp/deaf/open", "tmp/deaf/read"]
    );
    server.signal(9)?;
    server.wait()?;
    target.end()
}
