// SPDX-License-Identifier: MIT OR Apache-2.0
//! `check`, on a small kernel that is made for the test. Real machines are checked in the suite
//! `inspect`.

use crate::inspect::{output, shown, write_image};
use crate::json::keeps_to;
use linpmem_dump::text::check::{
    BootRow, CheckDocument, CodeRow, CpusRow, ModulesRow, ProcessRow, ProcessesRow, UserPagesRow,
    Verdict,
};
use linpmem_inspect::testing::{
    CHAIN, DIRECT, IMAGE, Kernel, PARTS, Tasks, module_types, queue_types,
};
use serde_json::{Value, json};
use std::path::Path;

const BOOT: &str = "00010203-0405-0607-0809-0a0b0c0d0e0f";

/// A kernel with one module, one processor and code, and the processes 1 and 2.
fn world() -> Tasks {
    let mut tasks = Tasks::with(&[CHAIN], |btf| {
        module_types(btf, &PARTS);
        queue_types(btf);
    });
    tasks.process(1, "init");
    tasks.process(2, "quiet");
    let idle = tasks.init;
    let kernel = &mut tasks.kernel;
    let [list, module] = [kernel.allocate(16), kernel.allocate(192)];
    kernel.symbol("modules", list);
    kernel.link(list, &[module + 8]);
    kernel.text(module + 24, "loop");
    let [offsets, queue] = [kernel.allocate(8), kernel.allocate(16)];
    kernel.symbol("__per_cpu_offset", offsets);
    kernel.symbol("runqueues", queue);
    kernel.put(queue + 8, idle);
    let id = kernel.allocate(16);
    kernel.symbol("sysctl_bootid", id);
    kernel.put(id, 0x0706_0504_0302_0100);
    kernel.put(id + 8, 0x0f0e_0d0c_0b0a_0908);
    let code: Vec<u64> = (0..100).map(|_| kernel.aligned_page()).collect();
    for page in &code {
        kernel.put(page + 8, 0xcc);
    }
    let end = kernel.aligned_page();
    kernel.symbol("_stext", code[0] - DIRECT + IMAGE);
    kernel.symbol("_etext", end - DIRECT + IMAGE);
    tasks
}

/// What the machine said: its boot, its modules, and its processes before and after.
struct Said<'a> {
    boot: &'a str,
    modules: &'a [&'a str],
    pids: &'a [i32],
}

const SAID: Said<'static> = Said {
    boot: BOOT,
    modules: &["loop"],
    pids: &[1, 2],
};

fn machine(said: &Said<'_>) -> Value {
    let modules = said.modules.iter().map(|name| {
        json!({
            "name": name, "size": 0, "state": "Live", "address": null, "build_id": null,
            "taints": ""
        })
    });
    json!({
        "artifacts_version": 1,
        "tool": { "name": "linpmem-dump", "version": "0" },
        "host": {
            "hostname": "h", "kernel_release": "7.3.4", "kernel_version": "", "machine": "x86_64",
            "boot_id": said.boot
        },
        "memory": {},
        "cpus": { "per_cpu_offsets": ["0x0"] },
        "clocks": { "realtime_ns": 0, "monotonic_ns": 0, "boottime_ns": 0 },
        "modules": modules.collect::<Vec<_>>()
    })
}

fn processes(said: &Said<'_>) -> Value {
    let processes = said
        .pids
        .iter()
        .map(|pid| json!({ "pid": pid, "start_ticks": i64::from(*pid) * 100, "name": "it" }));
    json!({
        "processes_version": 1,
        "ticks_per_second": 100,
        "in_first_namespace": true,
        "begin": {
            "boottime_ns": 100_000_000_000_u64, "threads": 2, "pids": said.pids, "cut": false
        },
        "end": {
            "boottime_ns": 101_000_000_000_u64, "threads": 2, "cut": false,
            "processes": processes.collect::<Vec<_>>()
        }
    })
}

/// Checks `kernel`, of which the machine said so.
fn check(folder: &Path, kernel: &Kernel, said: &Said<'_>) -> (Value, Option<i32>) {
    let [machine, processes] = [machine(said), processes(said)].map(|json| json.to_string());
    let files = [
        ("proc/kallsyms", kernel.kallsyms()),
        ("machine.json", &machine),
        ("processes.json", &processes),
    ];
    write_image(folder, kernel, &files, "");
    let output = output(folder, &["check", "a.lime", "--json"]);
    let value: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    keeps_to("check", &value);
    (value, output.status.code())
}

fn checked(kernel: &Kernel, said: &Said<'_>) -> (Value, Option<i32>) {
    check(tempfile::tempdir().unwrap().path(), kernel, said)
}

#[test]
fn a_machine_that_is_as_it_said_is_analysable() {
    let (value, code) = checked(&world().kernel, &SAID);
    assert_eq!(code, Some(0), "{value:#}");
    assert_eq!(
        value["summary"],
        "analysable: 2 processes in the image, 2 in /proc; nothing torn"
    );
    for (name, expected) in [
        ("/findings", json!([])),
        ("/notes", json!([])),
        ("/unchecked", json!([])),
        ("/boot", json!({ "kept": BOOT, "in_memory": BOOT })),
        ("/cpus", json!({ "count": 1, "sane": 1 })),
        (
            "/kernel_code",
            json!({ "pages": 100, "empty": 0, "unreadable": 0 }),
        ),
        ("/modules/listed", 1.into()),
    ] {
        assert_eq!(value.pointer(name), Some(&expected), "{name}");
    }
}

#[test]
fn what_the_machine_did_not_list_is_pointed_out_and_no_damage() {
    let said = Said {
        modules: &[],
        pids: &[1],
        ..SAID
    };
    let (value, code) = checked(&world().kernel, &said);
    assert_eq!((&value["verdict"], code), (&"analysable".into(), Some(3)));
    let hidden = json!([{ "pid": 2, "name": "quiet" }]);
    assert_eq!(value["processes"]["hidden"], hidden);
    assert_eq!(value["modules"]["hidden"], json!(["loop"]));
    assert_eq!(
        value["summary"],
        "analysable: 2 processes in the image, 1 in /proc; nothing torn; 1 that /proc did not list; \
         1 module that /proc/modules did not list"
    );
    let notes = value["notes"].to_string();
    for part in ["2 (quiet). Something may hide it", "did not list: loop."] {
        assert!(notes.contains(part), "{notes}");
    }
}

#[test]
fn what_is_not_in_the_image_is_damage() {
    let said = Said {
        modules: &["loop", "nbd"],
        pids: &[1, 2, 3],
        ..SAID
    };
    let (value, code) = checked(&world().kernel, &said);
    assert_eq!((&value["verdict"], code), (&"damaged".into(), Some(3)));
    let findings = value["findings"].to_string();
    let part = "1 process that /proc listed before and after is not found: 3 (it)";
    assert!(findings.contains(part), "{findings}");
    assert_eq!(value["modules"]["missing"], json!(["nbd"]));
    assert!(value["advice"].to_string().contains("--freeze"), "{value}");

    // Two of a hundred pages of code, and a processor that says that it is another one.
    let mut tasks = world();
    let code = tasks.kernel.symbol_at("_stext") - IMAGE + DIRECT;
    for page in [7, 70] {
        tasks.kernel.put(code + page * 0x1000 + 8, 0);
    }
    let queue = tasks.kernel.symbol_at("runqueues");
    tasks.kernel.put_u32(queue, 1);
    let (value, status) = checked(&tasks.kernel, &SAID);
    assert_eq!((&value["verdict"], status), (&"damaged".into(), Some(3)));
    let findings = value["findings"].to_string();
    for part in [
        "2 of 100 pages of the kernel's code",
        "keeps for 1 processor",
    ] {
        assert!(findings.contains(part), "{findings}");
    }
    assert!(value["advice"].to_string().contains("--driver fit"));
}

#[test]
fn artifacts_of_another_boot_and_a_kernel_that_is_not_there_are_the_end_of_it() {
    let other = BOOT.replace("00010203", "ffffffff");
    // Neither are there the processes of that boot.
    let said = Said {
        boot: &other,
        pids: &[1, 77, 78],
        ..SAID
    };
    let (value, code) = checked(&world().kernel, &said);
    let summary = value["summary"].as_str().unwrap();
    assert_eq!(
        (&value["verdict"], code),
        (&"not-analysable".into(), Some(1))
    );
    assert!(
        summary.contains("they are of the boot ffffffff-"),
        "{summary}"
    );

    // As the processes are there, it is the page with the id that is not as it was.
    let said = Said {
        boot: &other,
        ..SAID
    };
    let (value, code) = checked(&world().kernel, &said);
    assert_eq!((&value["verdict"], code), (&"damaged".into(), Some(3)));
    let findings = value["findings"].to_string();
    assert!(findings.contains("its page is damaged"), "{findings}");

    let mut tasks = world();
    tasks.kernel.text(DIRECT + 0x4000, "Windows");
    let (value, code) = checked(&tasks.kernel, &SAID);
    let summary = value["summary"].as_str().unwrap();
    assert_eq!(
        (&value["verdict"], code),
        (&"not-analysable".into(), Some(1))
    );
    assert!(
        summary.contains("the kernel's banner is not at"),
        "{summary}"
    );
    assert_eq!(value["processes"], Value::Null);

    let mut tasks = world();
    tasks.kernel.lose(DIRECT + 0x3000);
    let (value, code) = checked(&tasks.kernel, &SAID);
    let summary = value["summary"].as_str().unwrap();
    assert_eq!(
        (&value["verdict"], code),
        (&"not-analysable".into(), Some(1))
    );
    for part in ["which the image does not have", "may be of another boot"] {
        assert!(summary.contains(part), "{summary}");
    }
}

#[test]
fn a_kernel_without_a_process_cannot_be_analysed() {
    let mut tasks = world();
    for pid in [1, 2] {
        let slot = tasks.slot(pid);
        tasks.kernel.put(slot, 0);
    }
    // The list of tasks is empty.
    let init = tasks.init;
    tasks.kernel.link(init, &[]);
    let (value, code) = checked(&tasks.kernel, &SAID);
    assert_eq!(
        (&value["verdict"], code),
        (&"not-analysable".into(), Some(1)),
        "{value:#}"
    );
    let summary = value["summary"].as_str().unwrap();
    assert!(
        summary.contains("0 processes in the image, 2 in /proc"),
        "{summary}"
    );
}

#[test]
fn without_what_the_machine_said_the_rest_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = world();
    let needed = |line: &&str| !line.ends_with("runqueues") && !line.ends_with("_stext");
    let lines: Vec<&str> = tasks.kernel.kallsyms().lines().filter(needed).collect();
    let symbols = lines.join("\n");
    let files = [("proc/kallsyms", symbols.as_str())];
    write_image(folder.path(), &tasks.kernel, &files, "");
    let output = output(folder.path(), &["check", "a.lime"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in [
        "a.lime: analysable: 2 processes in the image; nothing torn\n",
        "threads:    2 in 2 processes; what /proc listed was not kept\n",
        "unchecked:  the kernel's code: the symbol _stext",
        "unchecked:  what the kernel keeps for each processor: the symbol runqueues",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn names_from_an_image_do_not_reach_the_terminal_as_they_are() {
    let code = CodeRow {
        pages: 3,
        empty: 1,
        unreadable: 1,
    };
    let evil = "evil\u{1b}[2J".to_owned();
    let document = CheckDocument {
        verdict: Verdict::Damaged,
        summary: evil.clone(),
        findings: vec![evil.clone()],
        notes: vec![evil.clone()],
        advice: vec!["go".to_owned()],
        kernel: Some(evil.clone()),
        boot: Some(BootRow {
            kept: "a".to_owned(),
            in_memory: Some(evil.clone()),
        }),
        processes: Some(ProcessesRow {
            in_image: 1,
            threads: 2,
            listed_before: Some(3),
            listed_after: Some(4),
            missing: vec![ProcessRow {
                pid: 1,
                name: evil.clone(),
            }],
            hidden: Vec::new(),
        }),
        modules: Some(ModulesRow {
            in_image: 1,
            listed: None,
            missing: Vec::new(),
            hidden: vec![evil.clone()],
        }),
        cpus: Some(CpusRow { count: 2, sane: 1 }),
        kernel_code: Some(code.clone()),
        user_pages: Some(UserPagesRow {
            processes: 1,
            mapped: 2,
            outside: 1,
            swapped: 0,
            kept_in_swap: 0,
            broken_tables: 0,
            counted_processes: 1,
            counted: 2,
            found: 1,
            code,
        }),
        structures: 4,
        torn: 1,
        unchecked: vec![evil.clone()],
        troubles: vec![evil],
        more_troubles: 0,
        ..CheckDocument::new(Path::new("a\u{1b}.core"))
    };
    let text = shown("check", &document);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_eq!(text.matches("evil\u{fffd}[2J").count(), 7, "{text}");
    assert!(
        text.contains(
            "threads:    2 in 1 process; /proc listed 3 before memory was read, and 4 after"
        ),
        "{text}"
    );
}
