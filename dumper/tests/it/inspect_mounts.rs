// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mounts`, on a small kernel that is made for the test, and what it prints.

use crate::inspect::{document, shown};
use linpmem_dump::text::mounts::{MountRow, MountsDocument, NamespaceRow};
use linpmem_inspect::testing::Files;
use linpmem_manifest::Address;
use serde_json::json;

fn mount(id: i32, root: Option<&str>, mount_point: &str) -> MountRow {
    let known = |text: &str| root.map(|_| text.to_owned());
    MountRow {
        id,
        parent: root.map(|_| 1),
        device: known("8:1"),
        root: root.map(str::to_owned),
        mount_point: known(mount_point),
        options: known("ro,nosuid"),
        filesystem: known("ext4"),
        source: known("/dev/sda\u{1b}1"),
        filesystem_options: known("rw"),
        address: Address(0xffff_8880_0000_1000),
    }
}

#[test]
fn mounts_are_shown_as_findmnt_shows_them() {
    let namespace = |inode: Option<u64>, processes: i32, mounts: Vec<MountRow>| NamespaceRow {
        inode,
        processes: (1..=processes).collect(),
        mounts,
        address: Address(0xffff_8880_0000_2000),
    };
    let document = MountsDocument {
        image: "a.core".to_owned(),
        namespaces: vec![
            namespace(
                Some(4_026_531_841),
                10,
                vec![mount(20, Some("/"), "/"), mount(21, Some("/sub"), "/srv")],
            ),
            namespace(None, 1, vec![mount(30, None, "")]),
        ],
        troubles: vec!["torn".to_owned()],
        more_troubles: 0,
    };
    let text = shown("mounts", &document);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let expected = [
        "mount namespace 4026531841, of these processes: 1, 2, 3, 4, 5, 6, 7, 8, 2 more",
        "ID  PARENT  TARGET  SOURCE            FSTYPE  OPTIONS    FS-OPTIONS",
        "20       1  /       /dev/sda\u{fffd}1        ext4    ro,nosuid  rw",
        "21       1  /srv    /dev/sda\u{fffd}1[/sub]  ext4    ro,nosuid  rw",
        "",
        "mount namespace ?, of these processes: 1",
        "ID  PARENT  TARGET  SOURCE  FSTYPE  OPTIONS  FS-OPTIONS",
        "30       ?  ?       ?[?]    ?       ?        ?",
        "note: torn",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn mounts_are_those_of_each_namespace_that_processes_are_in() {
    let mut files = Files::new();
    let [one, two] = [1, 2].map(|pid| files.tasks.process(pid, "x"));
    files.tasks.thread(two, 2, 3, "thread");
    files.tasks.process(4, "ended");
    let namespace = files.mount_namespace(4_026_531_841);
    let proxy = files.kernel().allocate(16);
    files.kernel().put(proxy + 8, namespace);
    for task in [one, two] {
        files.kernel().put(task + 192, proxy);
    }
    let (value, code) = document(&files.tasks.kernel, &["mounts"]);
    assert_eq!((&value["troubles"], code), (&json!([]), Some(0)));
    let found = value["namespaces"].as_array().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["inode"], 4_026_531_841_u64);
    assert_eq!(found[0]["processes"], json!([1, 2]));
    let mounts = found[0]["mounts"].as_array().unwrap();
    assert_eq!(mounts.len(), 1);
    for (member, expected) in [
        ("id", json!(1)),
        ("parent", json!(1)),
        ("device", json!("8:1")),
        ("root", json!("/")),
        ("mount_point", json!("/")),
        ("options", json!("rw")),
        ("filesystem", json!("ext4")),
        ("source", json!("none")),
        ("filesystem_options", json!("rw")),
    ] {
        assert_eq!(mounts[0][member], expected, "{member}");
    }
    files.kernel().lose(one);
    let (value, code) = document(&files.tasks.kernel, &["mounts"]);
    assert_eq!(code, Some(3));
    assert_eq!(value["namespaces"][0]["processes"], json!([2]));
}
