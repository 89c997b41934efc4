// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the commands that show the kernel in an image print. That they find it is tested in
//! linpmem-inspect, and on the images of machines in the end-to-end tests.

use crate::json::keeps_to;
use linpmem_cli::Document;
use linpmem_dump::text::dmesg::{DmesgDocument, RecordRow};
use linpmem_dump::text::maps::{MappingRow, MapsDocument, ProcessRow};
use linpmem_dump::text::modules::{ModuleRow, ModulesDocument};
use linpmem_dump::text::ps::{FoundBy, PsDocument, TaskRow};
use linpmem_manifest::Address;
use std::time::Duration;

/// The text of `document`, whose JSON keeps to the schema's `name`.
fn shown<D: Document>(name: &str, document: &D) -> String {
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
        start_seconds: Some(1.5),
        threads: 2,
        name: "evil\u{1b}[2J".to_owned(),
        is_kernel_thread: false,
        arguments: Some(vec!["/bin/x".to_owned(), "-y".to_owned()]),
        arguments_missing: None,
        address: Address(0xffff_8880_0000_1000),
        page_table: Some(Address(0x1000)),
        found_by,
    }
}

#[test]
fn tasks_that_only_one_way_leads_to_are_pointed_out() {
    let unknown = TaskRow {
        ppid: None,
        uid: None,
        state: None,
        start_seconds: None,
        arguments: None,
        page_table: None,
        is_kernel_thread: true,
        ..task(7, FoundBy::Number)
    };
    let cut = TaskRow {
        arguments_missing: Some("0x1000 is not mapped".to_owned()),
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
        text.contains("/bin/x -y (the rest is missing: 0x1000 is not mapped)"),
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
            seconds: 12.5,
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
        address: Address(0xffff_8880_0000_1000),
    };
    let maps = MapsDocument {
        image: "a.core".to_owned(),
        processes: vec![ProcessRow {
            pid: 1,
            name: "init".to_owned(),
            mappings: vec![mapping(None), mapping(Some("/usr/lib/x"))],
        }],
        troubles: vec!["torn".to_owned()],
        more_troubles: 0,
    };
    let text = shown("maps", &maps);
    assert!(text.starts_with("1 (init)\n"), "{text}");
    assert!(
        text.contains("0x400000-0x400fff  r-xp    0x3000  /usr/lib/x\nnote: torn\n"),
        "{text}"
    );
}
