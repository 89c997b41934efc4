// SPDX-License-Identifier: MIT OR Apache-2.0
//! The artifacts in an image are what the machine's own files say, to the byte.

use super::{paging_levels, target};
use crate::contains::contains;
use crate::host_dumper;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::ground_truth::Manifest;
use linpmem_testkit::target_machine::{TargetMachine, companion};
use serde_json::{Value, json};
use std::path::Path;

/// A little memory, as this test is about the artifacts.
const LITTLE: [&str; 2] = ["--range", "0x100000+8MiB"];

/// Files of the kernel that do not change.
const FILES: [&str; 8] = [
    "proc/version",
    "proc/cmdline",
    "proc/iomem",
    "proc/modules",
    "proc/kallsyms",
    "proc/swaps",
    "sys/kernel/notes",
    "sys/kernel/btf/vmlinux",
];

/// Since Linux 5.11.
const MODULE_TYPES: &str = "sys/kernel/btf/virtio_balloon";

/// The output of a command of the dumper, run on the host.
fn dumper(args: &[&str], image: &Path) -> Result<Vec<u8>> {
    let (command, rest) = args.split_first().context("no command")?;
    let output = host_dumper::command()?
        .arg(command)
        .arg(image)
        .args(rest)
        .output()?;
    ensure!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

fn file(image: &Path, name: &str) -> Result<Vec<u8>> {
    dumper(&["extract", "-", "--file", name], image)
}

#[test]
fn the_artifacts_are_what_the_machine_says() -> Result<()> {
    let target = target(|machine| {
        machine
            .memory_mib(256)
            .device("virtio-balloon-pci")
            .module("virtio_balloon")
    })?;
    let mut truth = Vec::new();
    let kernel = target.vm.kernel();
    let has_module_types = kernel.is_configured("CONFIG_DEBUG_INFO_BTF_MODULES=y")?;
    for &name in FILES
        .iter()
        .chain(has_module_types.then_some(&MODULE_TYPES))
    {
        truth.push((name, target.vm.read(&format!("/{name}"))?));
    }
    let security = ["sys/kernel/security/lockdown", "sys/kernel/security/lsm"];
    let security = security
        .into_iter()
        .map(|name| Ok((name, target.vm.kernel_file(&format!("/{name}"))?)))
        .collect::<Result<Vec<_>>>()?;
    for (name, place) in [("a.core", "tail"), ("a.aff4", "members"), ("a.raw", "file")] {
        let output = target.dump(&LITTLE, name)?;
        println!("{}", output.text());
        contains(&output.text(), &["complete"])?;
        // Four levels are not worth a word.
        let has_five = output.text().contains("5-level page tables");
        ensure!(
            has_five == (paging_levels(&target)? == 5),
            "{}",
            output.text()
        );
        let image = target.pull(name)?;
        if place == "file" {
            let ending = "artifacts.tar.zst";
            let path = format!("/scratch/{name}.{ending}");
            target.vm.pull(&path, &companion(&image, ending))?;
        }
        let manifest = Manifest::open(&companion(&image, "manifest.jsonl"))?.json;
        assert_eq!(manifest.pointer("/artifacts/place"), Some(&json!(place)));
        for (file_name, content) in &truth {
            ensure!(!content.is_empty(), "{file_name} is empty");
            ensure!(
                file(&image, file_name)? == *content,
                "{file_name} in {name} differs from the machine's"
            );
        }
        for (file_name, content) in &security {
            let kept = String::from_utf8(file(&image, file_name)?)?;
            ensure!(kept == *content, "{file_name}: {kept}");
        }
        let log = String::from_utf8(file(&image, "dev/kmsg")?)?;
        let banner = String::from_utf8(target.vm.read("/proc/version")?)?;
        ensure!(
            log.contains(banner.trim_end()),
            "the log begins later: {log:.300}"
        );
        facts_are_right(&target, &image)?;
        let listed = String::from_utf8(dumper(&["ls"], &image)?)?;
        ensure!(listed.contains("missing  boot/System.map-"), "{listed}");
        let verified = String::from_utf8(dumper(&["verify"], &image)?)?;
        ensure!(verified.contains("good: "), "{verified}");
    }

    let shown = target.vm.run(&["linpmem-dump", "ranges"])?;
    contains(
        &shown.text(),
        &[
            "SOURCE",
            "System RAM    yes   kcore",
            "Partial page  -     -",
        ],
    )?;

    target.vm.write("/proc/sys/kernel/kptr_restrict", "2")?;
    let output = target.dump(&LITTLE, "hidden.core")?;
    contains(
        &output.text(),
        &["proc/kallsyms: every address is 0", "kptr_restrict is 2"],
    )?;
    target.end()
}

fn facts_are_right(target: &TargetMachine, image: &Path) -> Result<()> {
    let facts: Value = serde_json::from_slice(&file(image, "machine.json")?)?;
    let fact = |path: &str| facts.pointer(path).with_context(|| format!("no {path}"));
    let release = target.vm.kernel().release();
    assert_eq!(fact("/host/kernel_release")?, release);
    assert_eq!(fact("/memory/paging_levels")?, 5);
    let version = String::from_utf8(target.vm.read("/proc/version")?)?;
    assert_eq!(fact("/banner")?, version.trim_end());
    // The kernel's own variables, at the addresses from kallsyms and phys_base.
    assert_eq!(
        fact("/variables/page_offset_base")?,
        fact("/memory/direct_map_base")?
    );
    let offsets = fact("/cpus/per_cpu_offsets")?;
    let offsets = offsets.as_array().context("no offsets")?;
    let online = String::from_utf8(target.vm.read("/sys/devices/system/cpu/online")?)?;
    // The guest's agent pads files in /sys with zeros.
    assert_eq!(fact("/cpus/online")?, online.trim_end_matches(['\0', '\n']));
    let kernel_half = |offset: &Value| {
        let text = offset.as_str().and_then(|text| text.strip_prefix("0x"));
        text.and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .is_some_and(|offset| offset > 1 << 40)
    };
    ensure!(
        !offsets.is_empty() && offsets.iter().all(kernel_half),
        "{offsets:?}"
    );
    let modules = String::from_utf8(target.vm.read("/proc/modules")?)?;
    let listed = fact("/modules")?.as_array().context("no modules")?;
    assert_eq!(listed.len(), modules.lines().count());
    for (line, module) in modules.lines().zip(listed) {
        let mut words = line.split(' ');
        let name = words.next().context("an empty line")?;
        assert_eq!(module["name"], name);
        let address = words.nth(4).context("no address")?;
        let address = u64::from_str_radix(address.trim_start_matches("0x"), 16)?;
        assert_eq!(module["address"], format!("{address:#x}"));
        let id = module["build_id"].as_str().context("no build id")?;
        let note = format!("/sys/module/{name}/notes/.note.gnu.build-id");
        let note = target.vm.read(&note)?;
        let digits: String = note.iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(id.len() == 40 && digits.ends_with(id), "{id}: {digits}");
    }
    let manifest = Manifest::open(&companion(image, "manifest.jsonl"))?.json;
    assert_eq!(
        manifest.pointer("/machine/kaslr_offset"),
        Some(fact("/memory/kaslr_offset")?)
    );
    Ok(())
}
