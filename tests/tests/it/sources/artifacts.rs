// SPDX-License-Identifier: MIT OR Apache-2.0
//! The artifacts are what the machine itself says, to the byte.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use xtask::acquisition::{Subject, beside};
use xtask::artifacts::Artifacts;

use super::{says, subject};

/// A little memory: this is about what lies beside it.
const LITTLE: [&str; 2] = ["--range", "0x100000+8MiB"];

/// Files of the kernel that hold still.
const FILES: [&str; 9] = [
    "proc/version",
    "proc/cmdline",
    "proc/iomem",
    "proc/modules",
    "proc/kallsyms",
    "proc/swaps",
    "sys/kernel/notes",
    "sys/kernel/btf/vmlinux",
    "sys/kernel/btf/virtio_balloon",
];

/// `linpmem-dump` on this machine.
fn dumper(args: &[&str], image: &Path) -> Result<Vec<u8>> {
    let (command, rest) = args.split_first().context("no command")?;
    let output = Command::new(Artifacts::dumper()?)
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
    let subject = subject(|machine| {
        machine
            .memory_mib(256)
            .device("virtio-balloon-pci")
            .module("virtio_balloon")
    })?;
    let mut truth = Vec::new();
    for name in FILES {
        truth.push((name, subject.vm.read(&format!("/{name}"))?));
    }
    for (name, place) in [("a.core", "note"), ("a.aff4", "members"), ("a.raw", "file")] {
        let output = subject.dump(&LITTLE, name)?;
        println!("{}", output.text());
        says(&output, &["5-level page tables", "complete"])?;
        let image = subject.pull(name)?;
        if place == "file" {
            let ending = "artifacts.tar.zst";
            let path = format!("/scratch/{name}.{ending}");
            subject.vm.pull(&path, &beside(&image, ending))?;
        }
        let manifest = Manifest::open(&beside(&image, "manifest.jsonl"))?.json;
        assert_eq!(manifest.pointer("/artifacts/place"), Some(&json!(place)));
        for (file_name, content) in &truth {
            ensure!(!content.is_empty(), "{file_name} is empty");
            ensure!(
                file(&image, file_name)? == *content,
                "{file_name} in {name} is not what the machine says"
            );
        }
        facts_are_true(&subject, &image)?;
        let listed = String::from_utf8(dumper(&["ls"], &image)?)?;
        ensure!(listed.contains("missing  boot/System.map-"), "{listed}");
        let verified = String::from_utf8(dumper(&["verify"], &image)?)?;
        ensure!(verified.contains("good: "), "{verified}");
    }

    let shown = subject.vm.run(&["linpmem-dump", "ranges"])?;
    says(&shown, &["SOURCE", "System RAM  yes   kcore"])?;

    subject.vm.write("/proc/sys/kernel/kptr_restrict", "2")?;
    let output = subject.dump(&LITTLE, "hidden.core")?;
    says(
        &output,
        &["proc/kallsyms: every address is 0", "kptr_restrict is 2"],
    )?;
    subject.end()
}

fn facts_are_true(subject: &Subject, image: &Path) -> Result<()> {
    let facts: Value = serde_json::from_slice(&file(image, "machine.json")?)?;
    let fact = |path: &str| facts.pointer(path).with_context(|| format!("no {path}"));
    let release = subject.vm.kernel().release();
    assert_eq!(fact("/host/kernel_release")?, release);
    assert_eq!(fact("/memory/paging_levels")?, 5);
    let version = String::from_utf8(subject.vm.read("/proc/version")?)?;
    assert_eq!(fact("/banner")?, version.trim_end());
    // The kernel's own variables, read where kallsyms and phys_base say.
    assert_eq!(
        fact("/variables/page_offset_base")?,
        fact("/memory/direct_map_base")?
    );
    let offsets = fact("/cpus/per_cpu_offsets")?;
    let offsets = offsets.as_array().context("no offsets")?;
    let online = String::from_utf8(subject.vm.read("/sys/devices/system/cpu/online")?)?;
    // The guest's agent fills short files of /sys with zeros.
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
    let modules = String::from_utf8(subject.vm.read("/proc/modules")?)?;
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
        let note = subject.vm.read(&note)?;
        let digits: String = note.iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(id.len() == 40 && digits.ends_with(id), "{id}: {digits}");
    }
    let manifest = Manifest::open(&beside(image, "manifest.jsonl"))?.json;
    assert_eq!(
        manifest.pointer("/machine/kaslr_offset"),
        Some(fact("/memory/kaslr_offset")?)
    );
    Ok(())
}
