// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands that the original does not have.

use super::{fails, no_address, planted, pmem, said, start, text};
use crate::machines::{device_address, end_of_ram};
use anyhow::{Context, Result, bail, ensure};
use linpmem_testkit::arch::Arch;
use linpmem_testkit::vm::Vm;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../../../../docs/json.schema.json");

/// The document that a command prints, which keeps to the schema.
pub fn json(vm: &Vm, arguments: &str) -> Result<Value> {
    document(&text(vm, arguments)?).with_context(|| format!("`pmem {arguments}`"))
}

fn document(text: &str) -> Result<Value> {
    let document: Value = serde_json::from_str(text)?;
    let schema: Value = serde_json::from_str(SCHEMA)?;
    let format = document["format"].as_str().context("no format")?;
    let wanted = json!({
        "$ref": format!("#/$defs/{}", format.replace(' ', "_")),
        "$defs": schema["$defs"],
    });
    if let Err(error) = jsonschema::validate(&wanted, &document) {
        bail!("{error} at {}: {document:#}", error.instance_path());
    }
    Ok(document)
}

fn number(value: &Value) -> Result<u64> {
    let text = value.as_str().context("not a string")?;
    let digits = text.strip_prefix("0x").context("not hexadecimal")?;
    Ok(u64::from_str_radix(digits, 16)?)
}

pub fn check(vm: &Vm) -> Result<()> {
    info(vm)?;
    ranges(vm)?;
    reads(vm)?;
    unreadable(vm)?;
    walks(vm)?;
    processes(vm)
}

fn info(vm: &Vm) -> Result<()> {
    let shown = json(vm, "info --json")?;
    let (module, machine) = (&shown["module"], &shown["machine"]);
    ensure!(module["dialect"] == "linpmem");
    ensure!(machine["kernel"] == vm.kernel().release());
    ensure!(module["abi_version"] == 1);
    ensure!(module["features"].as_array().context("features")?.len() == 4);
    let note = vm.kernel_file("/sys/kernel/vmcoreinfo")?;
    let start = note.split(' ').next().context("vmcoreinfo")?;
    ensure!(
        number(&machine["vmcoreinfo"]["start"])?
            == u64::from_str_radix(start.trim_start_matches("0x"), 16)?
    );
    let table = text(vm, "info")?;
    ensure!(table.contains("module:            linpmem "), "{table}");
    Ok(())
}

fn ranges(vm: &Vm) -> Result<()> {
    let shown = json(vm, "ranges --json")?;
    let ram = vm.system_ram()?.total().get();
    ensure!(shown["system_ram_bytes"] == ram, "{shown} and {ram}");
    let reserved = shown["ranges"].as_array().context("ranges")?;
    let ours = reserved
        .iter()
        .find(|range| number(&range["start"]).is_ok_and(|first| first == start(vm)));
    let name = match vm.kernel().arch() {
        Arch::X86_64 => "Reserved",
        // Within System RAM.
        Arch::Aarch64 => "reserved",
    };
    ensure!(ours.context("the pattern's range")?["name"] == name);
    ensure!(text(vm, "ranges")?.contains("of System RAM"));
    Ok(())
}

fn reads(vm: &Vm) -> Result<()> {
    // To a pipe: raw bytes, of any length, from any address.
    let first = start(vm);
    for (place, len) in [
        (format!("{}MiB+3MiB", first >> 20), 3 << 20),
        (format!("{first:#x}+4KiB"), 4096),
        (format!("{first:#x}-{:#x}", first + 0x1fff), 8192),
    ] {
        ensure!(
            said(vm, &format!("read {place}"))? == planted(first, len),
            "{place}"
        );
    }
    let odd = first + 0x1ffd;
    ensure!(said(vm, &format!("read {odd:#x}+7"))? == planted(odd, 7));
    ensure!(said(vm, &format!("read {first:#x}"))? == planted(first, 256));
    for (mode, len) in [("byte", 1), ("word", 2), ("dword", 4), ("qword", 8)] {
        let bytes = planted(first + 8, len);
        let arguments = format!("read {:#x} --mode {mode}", first + 8);
        ensure!(said(vm, &arguments)? == bytes, "{mode}");
        let value = bytes
            .iter()
            .rev()
            .fold(0, |sum, &b| sum << 8 | u64::from(b));
        let shown = json(vm, &format!("{arguments} --json"))?;
        ensure!(number(&shown["value"])? == value, "{shown}");
    }
    let word = u64::from_le_bytes(planted(first, 8).try_into().unwrap());
    let line = format!("{first:#018x} {word:#018x}\n");
    ensure!(text(vm, &format!("read {first:#x}+8 --format u64"))? == line);
    let dump = text(vm, &format!("read {first:#x}+32 --format hex"))?;
    ensure!(dump.lines().count() == 2, "{dump}");
    let line = format!("{first:#018x}  {:02x} ", planted(first, 1)[0]);
    ensure!(dump.starts_with(&line), "{dump}");
    let shown = json(vm, &format!("read {first:#x}+16 --json"))?;
    let hex: String = planted(first, 16)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    ensure!(
        shown["data"] == hex.as_str() && shown["size_bytes"] == 16,
        "{shown}"
    );
    Ok(())
}

/// What is no RAM, alone and with RAM before it.
fn unreadable(vm: &Vm) -> Result<()> {
    let arch = vm.kernel().arch();
    let device = device_address(arch);
    let last = device + 15;
    let whole = format!("read {device:#x}+16");
    let words = format!("{device:#x}-{last:#x} was not read: EACCES");
    fails(vm, &whole, 1, &[&words])?;
    let reason = match arch {
        Arch::X86_64 => "allow_device=1",
        Arch::Aarch64 => "on arm64 the module reads no device memory",
    };
    fails(vm, &format!("{whole} --mmio"), 1, &[reason])?;
    fails(vm, &format!("read {device:#x} --uncached"), 2, &["--mmio"])?;
    fails(
        vm,
        &format!("read {:#x} -m qword --cached --uncached --mmio", start(vm)),
        2,
        &[],
    )?;
    let end = end_of_ram(arch);
    let across = format!("read {:#x}+0x4000", end - 0x2000);
    let partly = pmem(vm, &across).run()?.exited(3)?;
    ensure!(partly.stdout.len() == 0x4000);
    ensure!(partly.stdout[0x2000..].iter().all(|&byte| byte == 0));
    let said = String::from_utf8_lossy(&partly.stderr).into_owned();
    let words = format!("{end:#x}-{:#x} was not read: EACCES", end + 0x1fff);
    ensure!(said.contains(&words), "{said}");
    let shown = document(
        pmem(vm, &format!("{across} --json"))
            .run()?
            .exited(3)?
            .stdout_text()?,
    )?;
    ensure!(
        shown["unreadable"][0]["start"] == format!("{end:#x}").as_str()
            && shown["unreadable"][0]["name"] == "EACCES",
        "{shown}"
    );
    let nothing = document(
        pmem(vm, &format!("{whole} --json"))
            .run()?
            .exited(1)?
            .stdout_text()?,
    )?;
    ensure!(nothing["data"].is_null(), "zero is not unread: {nothing}");
    // In a hexdump there are no zeros in its place.
    let dump = pmem(vm, &format!("read {:#x}+0x20 -f hex", end - 16)).run()?;
    let said = String::from_utf8_lossy(&dump.stdout).into_owned();
    let words = format!("{end:#x}-{:#x} was not read: EACCES", end + 15);
    ensure!(said.contains(&words), "{said}");
    ensure!(!said.contains(&format!("{end:#018x}  00")), "{said}");
    Ok(())
}

fn walks(vm: &Vm) -> Result<()> {
    let symbols = vm.kernel_file("/proc/kallsyms")?;
    let line = symbols
        .lines()
        .find(|line| line.ends_with(" linux_banner"))
        .context("no linux_banner")?;
    let virt = format!("0x{}", line.split(' ').next().context("no address")?);
    let phys = text(vm, &format!("-v {virt}"))?;
    // Of init, whose page tables stay: those of pmem end with it.
    let walk = json(vm, &format!("vtop {virt} --pid 1 --json"))?;
    ensure!(
        walk["outcome"] == "mapped" && walk["write"] == false,
        "{walk}"
    );
    let found = number(&walk["physical"])?;
    ensure!(format!("{found:#018x}\n") == phys, "{walk}");
    // Each entry is where the walk says it was.
    let entries = walk["entries"].as_array().context("entries")?;
    ensure!(entries.len() >= 3, "{walk}");
    for entry in entries {
        let at = number(&entry["address"])?;
        let shown = json(vm, &format!("read {at:#x} -m qword --json"))?;
        let (there, told) = (number(&shown["value"])?, number(&entry["value"])?);
        // The processor may have set "accessed" or "dirty" since then.
        ensure!((there ^ told) & !0x60 == 0, "{entry}: {there:#x}");
    }
    let table = text(vm, &format!("vtop {virt} --pid 1"))?;
    ensure!(
        table.contains("PGD entry") && table.contains(phys.trim()),
        "{table}"
    );
    // Of the kernel's half and of the process's.
    let (upper, lower) = match vm.kernel().arch() {
        Arch::X86_64 => ("CR3", "CR3"),
        Arch::Aarch64 => ("TTBR1", "TTBR0"),
    };
    ensure!(walk["register"] == upper, "{walk}");
    ensure!(table.contains(&format!("  {upper}, ")), "{table}");
    let root = walk["page_table"].as_str().context("page_table")?;
    let by_root = json(vm, &format!("vtop {virt} --cr3 {root} --json"))?;
    ensure!(by_root["physical"] == walk["physical"]);

    let absent = pmem(vm, "vtop 0x1000 --pid 1").run()?.exited(1)?;
    ensure!(
        absent.stdout_text()?.contains("not mapped"),
        "{}",
        absent.text()
    );
    let absent = pmem(vm, "vtop 0x1000 --pid 1 --json").run()?.exited(1)?;
    let absent = document(absent.stdout_text()?)?;
    ensure!(
        absent["outcome"] == "not-present" && absent["physical"].is_null(),
        "{absent}"
    );
    ensure!(absent["register"] == lower, "{absent}");
    let wrong = format!("{:#x}", no_address(vm));
    fails(vm, &format!("vtop {wrong}"), 1, &[&wrong])?;
    fails(vm, "vtop 0x1000 --pid 2", 1, &["kernel thread"])
}

fn processes(vm: &Vm) -> Result<()> {
    let cr3 = text(vm, "--cr3 -p 1")?;
    let shown = json(vm, "cr3 1 --json")?;
    let init = &shown["processes"][0];
    ensure!(format!("{:#018x}\n", number(&init["page_table"])?) == cr3);
    ensure!(init["pid"] == 1 && init["name"] == "init", "{shown}");
    let (register, header) = match vm.kernel().arch() {
        Arch::X86_64 => ("CR3", "USER CR3"),
        Arch::Aarch64 => ("TTBR0", "TTBR0"),
    };
    ensure!(shown["register"] == register, "{shown}");
    ensure!(text(vm, "cr3 1")?.contains(header));
    let all = json(vm, "cr3 --all --json")?;
    let all = all["processes"].as_array().context("processes")?.len();
    ensure!(all >= 2, "init and pmem itself");
    let some = pmem(vm, "cr3 1 2").run()?.exited(1)?;
    ensure!(some.stdout_text()?.lines().count() == 2, "{}", some.text());
    ensure!(String::from_utf8_lossy(&some.stderr).contains("process 2"));
    let some = pmem(vm, "cr3 1 2 --json").run()?.exited(1)?;
    let shown = document(some.stdout_text()?)?;
    ensure!(shown["missing"] == json!([2]), "{shown}");
    let warning: Value = serde_json::from_slice(&some.stderr)?;
    ensure!(warning["event"] == "warning", "{warning}");
    let failed = pmem(vm, "info --device /dev/null --json")
        .run()?
        .exited(1)?;
    let error: Value = serde_json::from_slice(&failed.stderr)?;
    ensure!(
        error["format"] == "pmem error" && error["exit_code"] == 1,
        "{error}"
    );
    Ok(())
}
