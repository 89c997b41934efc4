// SPDX-License-Identifier: MIT OR Apache-2.0
//! `files` and `sockets`, on a small kernel that is made for the test, and what they print.

use crate::inspect::{document, output, rows, shown, write_image};
use linpmem_dump::text::files::{FileRow, FilesDocument, ProcessFiles, Role};
use linpmem_dump::text::sockets::{Owner, SocketFoundBy, SocketRow, SocketsDocument};
use linpmem_inspect::testing::Files;
use linpmem_manifest::Address;
use serde_json::{Value, json};

fn file(role: Role, fd: Option<u64>, path: Option<&str>) -> FileRow {
    FileRow {
        role,
        fd,
        kind: "REG",
        access: fd.map(|_| "u"),
        flags: fd.map(|_| Address(0x8002)),
        position_bytes: fd.map(|_| 10),
        size_bytes: Some(20),
        device: Some("8:1".to_owned()),
        special_device: None,
        inode: Some(77),
        filesystem: Some("ext4".to_owned()),
        path: path.map(str::to_owned),
        is_deleted: false,
        address: fd.map(|_| Address(0xffff_8880_0000_1000)),
    }
}

#[test]
fn files_are_shown_as_lsof_shows_them() {
    let lost = FileRow {
        kind: "unknown",
        access: None,
        flags: None,
        position_bytes: None,
        size_bytes: None,
        device: None,
        inode: None,
        filesystem: None,
        ..file(Role::Open, Some(4), None)
    };
    let device = FileRow {
        kind: "CHR",
        special_device: Some("1:3".to_owned()),
        ..file(Role::Open, Some(5), Some("/dev/null"))
    };
    let document = FilesDocument {
        image: "a.core".to_owned(),
        processes: vec![ProcessFiles {
            pid: 7,
            tgid: 7,
            name: "evil\u{1b}[2J".to_owned(),
            files: vec![
                file(Role::Cwd, None, Some("/tmp")),
                file(Role::Root, None, Some("/")),
                file(Role::Exe, None, Some("/bin/x")),
                file(Role::Open, Some(3), Some("/a\u{1b}b")),
                lost,
                device,
            ],
        }],
        troubles: vec!["torn".to_owned()],
        more_troubles: 0,
    };
    let text = shown("files", &document);
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let name = "evil\u{fffd}[2J";
    assert_eq!(
        lines,
        [
            &[
                "PID", "COMMAND", "FD", "TYPE", "DEVICE", "POSITION", "INODE", "NAME"
            ][..],
            &["7", name, "cwd", "REG", "8:1", "77", "/tmp"],
            &["7", name, "rtd", "REG", "8:1", "77", "/"],
            &["7", name, "txt", "REG", "8:1", "77", "/bin/x"],
            &["7", name, "3u", "REG", "8:1", "10", "77", "/a\u{fffd}b"],
            &["7", name, "4?", "unknown", "?", "?", "?", "?"],
            &["7", name, "5u", "CHR", "1:3", "10", "77", "/dev/null"],
            &["note:", "torn"],
        ]
    );
}

fn socket(netid: &'static str) -> SocketRow {
    SocketRow {
        netid,
        family: 2,
        kind: Some("stream"),
        protocol: Some(6),
        state: "ESTAB",
        local_address: None,
        local_port: None,
        peer_address: None,
        peer_port: None,
        path: None,
        peer_inode: None,
        interface: None,
        inode: Some(5),
        uid: Some(1000),
        network_namespace: Some(4_026_531_840),
        found_by: SocketFoundBy::Both,
        owners: Vec::new(),
        address: Address(0xffff_8880_0000_1000),
    }
}

#[test]
fn sockets_are_shown_as_ss_shows_them() {
    let owners = (1..=9).map(|pid| Owner {
        pid,
        name: "x\u{1b}".to_owned(),
        fd: 3,
    });
    let tcp = SocketRow {
        local_address: "127.0.0.1".parse().ok(),
        local_port: Some(22),
        peer_address: "0.0.0.0".parse().ok(),
        peer_port: Some(0),
        owners: owners.collect(),
        ..socket("tcp")
    };
    let raw = SocketRow {
        kind: Some("raw"),
        protocol: Some(58),
        local_address: "::1".parse().ok(),
        peer_address: "::".parse().ok(),
        inode: None,
        found_by: SocketFoundBy::Table,
        ..socket("raw")
    };
    let unix = SocketRow {
        path: Some("@a b\u{7}".to_owned()),
        peer_inode: Some(9),
        network_namespace: None,
        ..socket("unix")
    };
    let netlink = SocketRow {
        protocol: Some(15),
        local_port: Some(123),
        ..socket("netlink")
    };
    let packet = SocketRow {
        protocol: Some(3),
        interface: Some(2),
        ..socket("packet")
    };
    let document = SocketsDocument {
        image: "a.core".to_owned(),
        sockets: vec![tcp, raw, unix, netlink, packet],
        absent_tables: vec!["tcp", "unix"],
        troubles: Vec::new(),
        more_troubles: 0,
    };
    let text = shown("sockets", &document);
    assert!(!text.contains(['\u{1b}', '\u{7}']), "{text}");
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let owners: Vec<String> = (1..=8).map(|pid| format!("{pid}/x\u{fffd} fd 3")).collect();
    let owners = owners.join(", ");
    assert_eq!(
        lines,
        [
            "NETID TYPE STATE LOCAL PEER INODE NETNS PROCESSES".to_owned(),
            format!("tcp stream ESTAB 127.0.0.1:22 0.0.0.0:* 5 4026531840 {owners}, 1 more"),
            "raw raw ESTAB [::1]:58 [::]:* - 4026531840 -".to_owned(),
            "unix stream ESTAB @a b\u{fffd} socket:[9] 5 - -".to_owned(),
            "netlink stream ESTAB uevent:123 * 5 4026531840 -".to_owned(),
            "packet stream ESTAB 0x0003:if2 * 5 4026531840 -".to_owned(),
            "note: the kernel's tables of these sockets were not found, so that those without a \
             process are not listed: tcp, unix"
                .to_owned(),
        ]
    );
}

/// The members `fields` of everything in `list`.
fn members(list: &Value, fields: &[&str]) -> Vec<Vec<Value>> {
    let list = list.as_array().unwrap().iter();
    list.map(|one| fields.iter().map(|field| one[field].clone()).collect())
        .collect()
}

#[test]
fn files_are_those_of_processes_and_of_threads_that_have_their_own() {
    let mut files = Files::new();
    let one = files.tasks.process(1, "init");
    let three = files.tasks.thread(one, 1, 3, "shares");
    let two = files.tasks.process(2, "none");
    let four = files.tasks.thread(two, 2, 4, "own");
    let root = files.root;
    let file = files.on_disk(root, "file", 0o100_644, 9);
    let file = files.open(file);
    files.give(one, 3, file);
    let shared = files.tasks.kernel.get(one + 184);
    files.kernel().put(three + 184, shared);
    files.give(four, 5, file);
    let listed = |words: &[&str]| {
        let (value, code) = document(&files.tasks.kernel, words);
        assert_eq!((&value["troubles"], code), (&json!([]), Some(0)));
        let processes = members(&value["processes"], &["pid", "tgid"]);
        (processes, value)
    };
    let number = |pid: i32, tgid: i32| [pid.into(), tgid.into()];
    let (processes, value) = listed(&["files"]);
    assert_eq!(processes, rows(&[number(1, 1), number(4, 2)]));
    let shown = members(&value["processes"][1]["files"], &["fd", "path", "access"]);
    assert_eq!(shown, rows(&[[5.into(), "/file".into(), "u".into()]]));
    // It is asked for, and not known by its process.
    let (processes, value) = listed(&["files", "--pid", "3"]);
    assert_eq!(processes, rows(&[number(3, 1)]));
    assert_eq!(value["processes"][0]["files"][0]["fd"], 3);
    let (processes, value) = listed(&["files", "--pid", "2"]);
    assert_eq!(processes, rows(&[number(2, 2), number(4, 2)]));
    assert_eq!(value["processes"][0]["files"], json!([]));
    let folder = tempfile::tempdir().unwrap();
    let kallsyms = [("proc/kallsyms", files.tasks.kernel.kallsyms())];
    write_image(folder.path(), &files.tasks.kernel, &kallsyms, "");
    // A thread has mappings only as part of its process.
    for (subcommand, pid) in [("files", "99"), ("maps", "3")] {
        let absent = output(folder.path(), &[subcommand, "a.lime", "--pid", pid]);
        let said = String::from_utf8_lossy(&absent.stderr);
        assert_eq!(absent.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("has no process {pid}")), "{said}");
    }
}

#[test]
fn sockets_have_their_owners_and_those_that_only_a_table_has_none() {
    let mut files = Files::new();
    let [one, two] = [1, 2].map(|pid| files.tasks.process(pid, "x"));
    let shared = files.sock(2, 1, 6, 10);
    let alone = files.sock(2, 2, 17, 7);
    let waiting = files.sock(2, 0, 0, 6);
    files.kernel().put_u8(waiting + 128, 6);
    let hidden = files.sock(1, 1, 0, 10);
    files.name_socket(hidden, b"\0backdoor");
    let file = files.open_socket(shared, 7);
    files.give(one, 3, file);
    files.give(two, 4, file);
    let file = files.open_socket(alone, 8);
    files.give(two, 5, file);
    let [listening, connected, unix] = [files.listening, files.connected, files.unix];
    files.chain(listening, &[shared], 1);
    files.chain(connected, &[waiting], 1);
    files.chain(unix + 8, &[hidden], 0);
    let (value, code) = document(&files.tasks.kernel, &["sockets"]);
    assert_eq!((&value["troubles"], code), (&json!([]), Some(0)));
    assert_eq!(value["absent_tables"], json!([]));
    let fields = ["netid", "state", "path", "inode", "found_by", "owners"];
    let owner = |pid: i32, fd: u64| json!({ "pid": pid, "name": "x", "fd": fd });
    let expected = rows(&[
        [
            "tcp".into(),
            "LISTEN".into(),
            Value::Null,
            7.into(),
            "both".into(),
            json!([owner(1, 3), owner(2, 4)]),
        ],
        [
            "udp".into(),
            "UNCONN".into(),
            Value::Null,
            8.into(),
            "file".into(),
            json!([owner(2, 5)]),
        ],
        [
            "tcp".into(),
            "TIME-WAIT".into(),
            Value::Null,
            Value::Null,
            "table".into(),
            json!([]),
        ],
        [
            "unix".into(),
            "LISTEN".into(),
            "@backdoor".into(),
            Value::Null,
            "table".into(),
            json!([]),
        ],
    ]);
    assert_eq!(members(&value["sockets"], &fields), expected);
    // Without the symbols of the tables, only what is open is found.
    let symbols: Vec<&str> = files
        .tasks
        .kernel
        .kallsyms()
        .lines()
        .filter(|line| !line.contains("hashinfo") && !line.contains("net_namespace"))
        .collect();
    let symbols = symbols.join("\n");
    let folder = tempfile::tempdir().unwrap();
    let kallsyms = [("proc/kallsyms", symbols.as_str())];
    write_image(folder.path(), &files.tasks.kernel, &kallsyms, "");
    let output = output(folder.path(), &["sockets", "a.lime", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let absent = json!(["tcp", "raw", "unix", "packet"]);
    assert_eq!(value["absent_tables"], absent);
    assert_eq!(value["sockets"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_is_missing_of_files_is_said_and_the_exit_code_is_3() {
    let mut files = Files::new();
    let one = files.tasks.process(1, "init");
    let sock = files.sock(2, 1, 6, 10);
    let file = files.open_socket(sock, 7);
    files.give(one, 3, file);
    files.kernel().lose(file);
    for words in [["files"], ["sockets"]] {
        let (value, code) = document(&files.tasks.kernel, &words);
        assert_eq!(code, Some(3), "{words:?}");
        let troubles = value["troubles"].to_string();
        assert!(troubles.contains("does not have"), "{words:?}: {troubles}");
    }
}

#[test]
fn what_is_missing_of_a_table_is_said_and_the_exit_code_is_3() {
    let mut files = Files::new();
    files.tasks.process(1, "init");
    let lost = files.sock(2, 1, 6, 1);
    let connected = files.connected;
    files.chain(connected, &[lost], 1);
    files.kernel().lose(lost);
    let (value, code) = document(&files.tasks.kernel, &["sockets"]);
    assert_eq!((&value["sockets"], code), (&json!([]), Some(3)));
    let troubles = value["troubles"].to_string();
    for what in ["table of TCP sockets: ", "socket: "] {
        assert!(troubles.contains(what), "{troubles}");
    }
}
