// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands that show the kernel in an image, on a small one that is made for the test, and
//! what they print. What a walk finds is tested in linpmem-inspect.

use crate::hostile_files::archive;
use crate::json::keeps_to;
use linpmem_cli::Document;
use linpmem_dump::text::dmesg::{DmesgDocument, RecordRow};
use linpmem_dump::text::maps::{MappingRow, MapsDocument, ProcessRow};
use linpmem_dump::text::modules::{ModuleRow, ModulesDocument};
use linpmem_dump::text::ps::{FoundBy, PsDocument, TaskRow};
use linpmem_inspect::testing::{CHAIN, Kernel, Tasks, VMCOREINFO, mapping_types};
use linpmem_manifest::Address;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// The text of `document`, whose JSON keeps to the schema's `name`.
pub fn shown<D: Document>(name: &str, document: &D) -> String {
    keeps_to(name, &serde_json::to_value(document.tagged()).unwrap());
    let mut text = Vec::new();
    document.write_text(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn task(pid: i32, found_by: FoundBy) -> TaskRow {
    TaskRow {
        pid,
        tgid: pid,
        ppid: Some(1),
        uid: Some(u32::MAX),
        state: Some('S'),
        start: Some(Duration::from_millis(1500)),
        threads: 2,
        name: "evil\u{1b}[2J".to_owned(),
        is_kernel_thread: false,
        arguments: Some(vec!["/bin/x".to_owned(), "-y".to_owned()]),
        arguments_missing: None,
        arguments_cut: false,
        address: Address(0xffff_8880_0000_1000),
        page_table: Some(Address(0x1000)),
        found_by,
        other_number: None,
    }
}

#[test]
fn tasks_that_only_one_way_leads_to_are_pointed_out() {
    let unknown = TaskRow {
        ppid: None,
        uid: None,
        state: None,
        start: None,
        arguments: None,
        page_table: None,
        is_kernel_thread: true,
        tgid: 70,
        other_number: Some(8),
        ..task(7, FoundBy::Number)
    };
    let cut = TaskRow {
        arguments_missing: Some("0x1000 is not mapped".to_owned()),
        arguments_cut: true,
        ..task(5, FoundBy::Both)
    };
    let document = PsDocument {
        image: "a.core".to_owned(),
        banner: "Linux version 7.3.4".to_owned(),
        tasks: vec![cut, task(6, FoundBy::List), unknown],
        troubles: vec!["torn\u{7}".to_owned(); 30],
        more_troubles: 5,
    };
    let text = shown("ps", &document);
    assert!(
        text.contains("/bin/x -y \u{2026} (the rest is missing: 0x1000 is not mapped)"),
        "{text}"
    );
    assert!(
        text.contains("note: 6 (evil\u{fffd}[2J) is in the list of tasks, but"),
        "{text}"
    );
    assert!(
        text.contains("note: 7 (evil\u{fffd}[2J) can be found by its number, but"),
        "{text}"
    );
    assert!(!text.contains("note: 5"), "{text}");
    assert!(
        text.contains("note: 7 (evil\u{fffd}[2J) is found by the number 8: something"),
        "{text}"
    );
    let row = text.lines().find(|line| line.starts_with("  7")).unwrap();
    assert!(row.starts_with("  7    70     ?"), "{row}");
    assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
    assert_eq!(text.matches("note: torn").count(), 20);
    assert!(
        text.ends_with("note: and 10 more, which --json lists, and 5 that were counted alone\n"),
        "{text}"
    );
}

#[test]
fn modules_mappings_and_the_log_keep_to_the_schema() {
    let modules = ModulesDocument {
        image: "a.core".to_owned(),
        modules: vec![ModuleRow {
            name: "linpmem".to_owned(),
            size_bytes: 102_400,
            state: "live",
            taints: "OE".to_owned(),
            base: Address(0xffff_ffff_c060_4000),
            address: Address(0xffff_ffff_c061_0000),
        }],
        troubles: Vec::new(),
        more_troubles: 0,
    };
    let text = shown("modules", &modules);
    let row = "linpmem  102400  live   0xffffffffc0604000  OE\n";
    assert!(text.ends_with(row), "{text}");

    let log = DmesgDocument {
        image: "a.core".to_owned(),
        records: vec![RecordRow {
            sequence: 3,
            level: 6,
            facility: 0,
            text: "two\nlines\u{1b}".to_owned(),
            time: Duration::from_millis(12_500),
        }],
        troubles: Vec::new(),
        more_troubles: 0,
    };
    let text = shown("dmesg", &log);
    assert_eq!(text, "[   12.500000] two\n[   12.500000] lines\u{fffd}\n");

    let mapping = |path: Option<&str>| MappingRow {
        start: Address(0x40_0000),
        last: Address(0x40_0fff),
        rights: "r-xp".to_owned(),
        flags: Address(0x75),
        file_offset: path.map(|_| 0x3000),
        path: path.map(str::to_owned),
        is_deleted: false,
        name: None,
        is_file: path.is_some(),
        address: Address(0xffff_8880_0000_1000),
    };
    let maps = MapsDocument {
        image: "a.core".to_owned(),
        processes: vec![ProcessRow {
            pid: 1,
            name: "init".to_owned(),
            mappings: vec![
                mapping(None),
                MappingRow {
                    path: None,
                    ..mapping(Some("lost"))
                },
                MappingRow {
                    name: Some("[heap\u{1b}]".to_owned()),
                    ..mapping(None)
                },
                MappingRow {
                    name: Some("/tmp/x (deleted)".to_owned()),
                    is_deleted: true,
                    ..mapping(Some("/tmp/x"))
                },
                mapping(Some("/usr/lib/x")),
            ],
        }],
        troubles: vec!["torn".to_owned()],
        more_troubles: 0,
    };
    let text = shown("maps", &maps);
    assert!(text.starts_with("1 (init)\n"), "{text}");
    assert!(
        text.contains("0x400000-0x400fff  r-xp    0x3000  ?\n"),
        "{text}"
    );
    for name in ["        [heap\u{fffd}]", "0x3000  /tmp/x (deleted)"] {
        let row = format!("0x400000-0x400fff  r-xp    {name}\n");
        assert!(text.contains(&row), "{text}");
    }
    assert!(
        text.contains("0x400000-0x400fff  r-xp    0x3000  /usr/lib/x\nnote: torn\n"),
        "{text}"
    );
}

/// A kernel whose processes have a chain of mappings.
fn world() -> Tasks {
    Tasks::with(&[CHAIN], mapping_types)
}

/// Gives the process memory of its own, with one mapping.
fn with_mapping(tasks: &mut Tasks, task: u64, words: &[u8]) {
    let mm = tasks.memory(task, words);
    let area = tasks.kernel.allocate(64);
    tasks.kernel.put(mm + 24, area);
    tasks.kernel.put(area, 0x40_0000);
    tasks.kernel.put(area + 8, 0x40_1000);
}

/// Writes the image of `kernel`, and next to it its artifacts with these symbols.
pub fn write_image(folder: &Path, kernel: &Kernel, symbols: &[(&str, &str)], more: &str) {
    let mut info = VMCOREINFO.to_vec();
    info.extend(more.as_bytes());
    let mut files = vec![
        ("vmcoreinfo.txt".to_owned(), &info[..]),
        ("sys/kernel/btf/vmlinux".to_owned(), &kernel.btf[..]),
    ];
    for (name, text) in symbols {
        files.push(((*name).to_owned(), text.as_bytes()));
    }
    fs::write(folder.join("a.lime"), kernel.lime()).unwrap();
    fs::write(folder.join("a.lime.artifacts.tar.zst"), archive(0, &files)).unwrap();
}

pub fn output(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_linpmem-dump"))
        .current_dir(folder)
        .args(words)
        .output()
        .unwrap()
}

/// What a command prints about `kernel` as JSON, which keeps to the schema, and its exit code.
pub fn document(kernel: &Kernel, words: &[&str]) -> (Value, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let kallsyms = [("proc/kallsyms", kernel.kallsyms())];
    write_image(folder.path(), kernel, &kallsyms, "");
    let output = output(folder.path(), &[words, &["a.lime", "--json"]].concat());
    let value: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    keeps_to(words[0], &value);
    (value, output.status.code())
}

/// The members `fields` of every task.
fn tasks_of(value: &Value, fields: &[&str]) -> Vec<Vec<Value>> {
    let tasks = value["tasks"].as_array().unwrap().iter();
    tasks
        .map(|task| fields.iter().map(|field| task[field].clone()).collect())
        .collect()
}

pub fn rows<const N: usize>(rows: &[[Value; N]]) -> Vec<Vec<Value>> {
    rows.iter().map(|row| row.to_vec()).collect()
}

#[test]
fn processes_are_listed_with_their_command_lines_and_threads_when_asked_for() {
    let mut tasks = world();
    let one = tasks.process(1, "init");
    with_mapping(&mut tasks, one, b"/sbin/init\0--now\0");
    tasks.thread(one, 1, 3, "worker");
    let (value, code) = document(&tasks.kernel, &["ps"]);
    assert_eq!(
        (&value["troubles"], code),
        (&serde_json::json!([]), Some(0))
    );
    let fields = ["pid", "tgid", "threads", "name", "arguments", "found_by"];
    let expected = rows(&[
        [
            0.into(),
            0.into(),
            1.into(),
            "swapper/0".into(),
            Value::Null,
            "both".into(),
        ],
        [
            1.into(),
            1.into(),
            2.into(),
            "init".into(),
            vec!["/sbin/init", "--now"].into(),
            "both".into(),
        ],
    ]);
    assert_eq!(tasks_of(&value, &fields), expected);
    let (value, _) = document(&tasks.kernel, &["ps", "--threads"]);
    let expected = rows(&[
        [0.into(), 0.into()],
        [1.into(), 1.into()],
        [3.into(), 1.into()],
    ]);
    assert_eq!(tasks_of(&value, &["pid", "tgid"]), expected);
}

#[test]
fn hidden_tasks_stand_out_and_make_the_exit_code_3() {
    let mut tasks = world();
    tasks.process(1, "init");
    let two = tasks.process(2, "rootkit");
    tasks.hide(two);
    let fields = ["pid", "found_by", "other_number"];
    let (value, code) = document(&tasks.kernel, &["ps"]);
    let both = |pid: i32| [pid.into(), "both".into(), Value::Null];
    let expected = rows(&[both(0), both(1), [2.into(), "number".into(), Value::Null]]);
    assert_eq!((tasks_of(&value, &fields), code), (expected, Some(3)));

    // Out of the tree, and with a number of which there is none in it.
    let mut tasks = world();
    let one = tasks.process(1, "rootkit");
    let slot = tasks.slot(1);
    tasks.kernel.put(slot, 0);
    tasks.kernel.put_u32(one + 32, 0);
    let (value, code) = document(&tasks.kernel, &["ps"]);
    let expected = rows(&[both(0), [0.into(), "list".into(), Value::Null]]);
    assert_eq!((tasks_of(&value, &fields), code), (expected, Some(3)));

    // In both, by different numbers.
    let mut tasks = world();
    let one = tasks.process(1, "rootkit");
    tasks.kernel.put_u32(one + 32, 7);
    let (value, code) = document(&tasks.kernel, &["ps"]);
    let expected = rows(&[both(0), [7.into(), "both".into(), 1.into()]]);
    assert_eq!((tasks_of(&value, &fields), code), (expected, Some(3)));

    // By two numbers, and in no list.
    let mut tasks = world();
    let one = tasks.process(1, "rootkit");
    let entry = tasks.kernel.get(tasks.slot(1));
    let slot = tasks.slot(5);
    tasks.kernel.put(slot, entry);
    tasks.hide(one);
    let (value, code) = document(&tasks.kernel, &["ps"]);
    let expected = rows(&[both(0), [1.into(), "number".into(), Value::Null]]);
    assert_eq!((tasks_of(&value, &fields), code), (expected, Some(3)));
}

#[test]
fn mappings_are_those_of_the_processes_that_are_asked_for_hidden_ones_too() {
    let mut tasks = world();
    let one = tasks.process(1, "init");
    with_mapping(&mut tasks, one, b"init");
    let two = tasks.process(2, "rootkit");
    with_mapping(&mut tasks, two, b"evil");
    tasks.hide(two);
    let pids = |value: &Value| -> Vec<Value> {
        let processes = value["processes"].as_array().unwrap().iter();
        processes.map(|process| process["pid"].clone()).collect()
    };
    let (value, code) = document(&tasks.kernel, &["maps"]);
    assert_eq!((pids(&value), code), (vec![1.into(), 2.into()], Some(3)));
    let (value, code) = document(&tasks.kernel, &["maps", "--pid", "2"]);
    assert_eq!((pids(&value), code), (vec![2.into()], Some(3)));
    let mapping = &value["processes"][0]["mappings"][0];
    assert_eq!(mapping["last"], "0x400fff");
    let folder = tempfile::tempdir().unwrap();
    let kallsyms = [("proc/kallsyms", tasks.kernel.kallsyms())];
    write_image(folder.path(), &tasks.kernel, &kallsyms, "");
    let absent = output(folder.path(), &["maps", "a.lime", "--pid", "99"]);
    let said = String::from_utf8_lossy(&absent.stderr);
    assert_eq!(absent.status.code(), Some(1), "{said}");
    assert!(said.contains("has no process 99"), "{said}");
}

#[test]
fn what_is_missing_of_memory_is_said_and_the_exit_code_is_3() {
    let mut tasks = world();
    tasks.process(1, "init");
    let two = tasks.process(2, "lost");
    let three = tasks.process(3, "last");
    let mm = tasks.memory(three, b"last");
    // The top page table leads nowhere.
    tasks.kernel.put(mm, 0x40_0000);
    tasks.kernel.lose(two);
    let (value, code) = document(&tasks.kernel, &["ps"]);
    let fields = ["pid", "page_table"];
    let expected = rows(&[
        [0.into(), Value::Null],
        [1.into(), Value::Null],
        [3.into(), Value::Null],
    ]);
    assert_eq!((tasks_of(&value, &fields), code), (expected, Some(3)));
    let troubles = value["troubles"].to_string();
    assert!(
        troubles.contains("which the image does not have"),
        "{troubles}"
    );
    assert!(
        troubles.contains("task: 0x400000 is not mapped"),
        "{troubles}"
    );
}

#[test]
fn a_system_map_serves_where_kallsyms_lacks_variables() {
    let mut tasks = world();
    tasks.process(1, "init");
    let (banner, others): (Vec<&str>, Vec<&str>) = tasks
        .kernel
        .kallsyms()
        .lines()
        .partition(|line| line.ends_with(" linux_banner"));
    // At the addresses for which the kernel was linked.
    let linked: String = others
        .iter()
        .map(|line| {
            let (address, rest) = line.split_once(' ').unwrap();
            let address = u64::from_str_radix(address, 16).unwrap() - 0x20_0000;
            format!("{address:016x} {rest}\n")
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let [banner, wrong] = [banner.join("\n"), "damaged".to_owned()];
    for (map, code) in [(&linked, 0), (&wrong, 1)] {
        let symbols = [
            ("proc/kallsyms", banner.as_str()),
            ("boot/System.map-7.3.4", map),
        ];
        write_image(
            folder.path(),
            &tasks.kernel,
            &symbols,
            "KERNELOFFSET=200000\n",
        );
        let output = output(folder.path(), &["ps", "a.lime"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(said.contains("the symbol init_task"), code == 1, "{said}");
    }
}
