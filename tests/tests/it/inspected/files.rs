// SPDX-License-Identifier: MIT OR Apache-2.0
//! The open files and the sockets in an image, compared with what the machine itself says of
//! them before and after it was acquired.

use crate::{host_dumper, machines};
use anyhow::{Context, Result, ensure};
use linpmem_testkit::vm::Vm;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Files of the kernel that list sockets, and what `netid` is for them.
const TABLES: [(&str, &str); 7] = [
    ("tcp", "tcp"),
    ("tcp6", "tcp"),
    ("udp", "udp"),
    ("udp6", "udp"),
    ("raw", "raw"),
    ("raw6", "raw"),
    ("unix", "unix"),
];
/// Shown for a number that is open, and no flag of the file.
const CLOSE_ON_EXEC: u64 = 0o2_000_000;
/// States by their numbers in /proc/net.
const STATES: [&str; 12] = [
    "?",
    "ESTAB",
    "SYN-SENT",
    "SYN-RECV",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "UNCONN",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
];
const TYPES: [&str; 6] = ["?", "stream", "dgram", "raw", "rdm", "seqpacket"];

/// What a machine says of its open files and its sockets, a line each.
pub struct Said {
    files: BTreeSet<String>,
    sockets: BTreeSet<String>,
}

impl Said {
    /// What `vm` says now.
    pub fn by(vm: &Vm) -> Result<Self> {
        let output = vm.run(&["fds"])?.ok()?;
        let mut sockets = BTreeSet::new();
        for (table, netid) in TABLES {
            let text = vm.kernel_file(&format!("/proc/net/{table}"))?;
            for line in text.lines().skip(1) {
                let socket = match netid {
                    "unix" => unix(line),
                    _ => internet(netid, line),
                };
                sockets.insert(socket.with_context(|| format!("{table}: {line}"))?);
            }
        }
        let files = output.stdout_text()?.lines();
        Ok(Self {
            files: files.map(without_close_on_exec).collect::<Result<_>>()?,
            sockets,
        })
    }
}

/// Compares what `files` printed with what the machine said `before` and `after`. Returns how
/// many files did not change in between.
pub fn compare_files(before: &Said, after: &Said, document: &Value) -> Result<usize> {
    let mut ours = BTreeSet::new();
    for process in array(document, "processes")? {
        let pid = &process["pid"];
        for file in array(process, "files")? {
            let path = file["path"].as_str().unwrap_or("?");
            let (position, inode) = (&file["position_bytes"], &file["inode"]);
            ours.insert(match file["role"].as_str() {
                Some("open") => {
                    let flags = file["flags"].as_str().context("no flags")?;
                    let flags = u64::from_str_radix(flags.trim_start_matches("0x"), 16)?;
                    let flags = flags & !CLOSE_ON_EXEC;
                    format!("{pid} {} {position} 0{flags:o} {inode} {path}", file["fd"])
                }
                role => format!("{pid} {} - - - {path}", role.context("no role")?),
            });
        }
    }
    // The number and the process alone: a position may move.
    let key = |line: &String| -> String {
        let mut words = line.splitn(3, ' ');
        let [pid, number] = [(); 2].map(|()| words.next().unwrap_or_default());
        format!("{pid} {number}")
    };
    let pids = |said: &Said| -> BTreeSet<String> {
        let lines = said.files.iter();
        lines
            .filter_map(|line| Some(line.split(' ').next()?.to_owned()))
            .collect()
    };
    let known: BTreeSet<String> = before.files.union(&after.files).map(key).collect();
    let (first, last) = (pids(before), pids(after));
    let surplus: Vec<&String> = ours
        .iter()
        .filter(|line| !known.contains(&key(line)))
        .filter(|line| {
            line.split(' ')
                .next()
                .is_some_and(|pid| first.contains(pid) && last.contains(pid))
        })
        // What init has while it talks to the host about the dumper.
        .filter(|line| !(line.starts_with("1 ") && line.contains("pipe:[")))
        .collect();
    ensure!(surplus.is_empty(), "the machine does not have {surplus:#?}");
    steady(&before.files, &after.files, &ours)
}

/// Compares what `sockets` printed with what the machine said `before` and `after`. Returns how
/// many sockets did not change in between.
pub fn compare_sockets(before: &Said, after: &Said, document: &Value) -> Result<usize> {
    let mut ours = BTreeSet::new();
    for socket in array(document, "sockets")? {
        let netid = socket["netid"].as_str().context("no netid")?;
        // What is not bound is in no table.
        if socket["found_by"] == "file" {
            continue;
        }
        let number = |field: &str| socket[field].as_u64().unwrap_or(0);
        let text = |field: &str| socket[field].as_str().unwrap_or("").to_owned();
        let (state, inode) = (text("state"), number("inode"));
        match netid {
            "unix" => {
                let is_listening = state == "LISTEN";
                let (kind, path) = (text("type"), text("path"));
                ours.insert(unix_line(&kind, is_listening, inode, &path));
            }
            "tcp" | "udp" | "raw" => {
                let end = |of: &str| {
                    let port = number(&format!("{of}_port"));
                    format!("{} {port}", text(&format!("{of}_address")))
                };
                let (local, peer) = (end("local"), end("peer"));
                ours.insert(format!("{netid} {local} {peer} {state} {inode}"));
            }
            _ => {}
        }
    }
    let known: BTreeSet<&String> = before.sockets.union(&after.sockets).collect();
    let surplus: Vec<&String> = ours.iter().filter(|line| !known.contains(line)).collect();
    ensure!(surplus.is_empty(), "the machine does not have {surplus:#?}");
    steady(&before.sockets, &after.sockets, &ours)
}

/// How many lines were there before and after; all of them have to be in `ours`.
fn steady(
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
    ours: &BTreeSet<String>,
) -> Result<usize> {
    let steady: Vec<&String> = before.intersection(after).collect();
    let missing: Vec<_> = steady
        .iter()
        .filter(|line| !ours.contains(**line))
        .collect();
    ensure!(missing.is_empty(), "the image lacks {missing:#?}");
    Ok(steady.len())
}

fn array<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    value[field]
        .as_array()
        .with_context(|| format!("no {field}"))
}

fn without_close_on_exec(line: &str) -> Result<String> {
    let words: Vec<&str> = line.splitn(6, ' ').collect();
    let [pid, number, position, flags, inode, name] = words[..] else {
        anyhow::bail!("fds printed `{line}`");
    };
    if flags == "-" {
        return Ok(line.to_owned());
    }
    let flags = u64::from_str_radix(flags, 8)? & !CLOSE_ON_EXEC;
    Ok(format!(
        "{pid} {number} {position} 0{flags:o} {inode} {name}"
    ))
}

/// A line of /proc/net/tcp and those like it.
fn internet(netid: &str, line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let end = |word: &str| -> Option<String> {
        let (address, port) = word.split_once(':')?;
        // Words of 32 bits, each in the order of the machine.
        let mut bytes = Vec::new();
        for start in (0..address.len()).step_by(8) {
            let word = u32::from_str_radix(address.get(start..start + 8)?, 16).ok()?;
            bytes.extend(word.to_le_bytes());
        }
        let address: IpAddr = match <[u8; 4]>::try_from(&bytes[..]) {
            Ok(bytes) => Ipv4Addr::from(bytes).into(),
            Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..]).ok()?).into(),
        };
        let port = u16::from_str_radix(port, 16).ok()?;
        // The protocol of a raw socket is in the place of a port.
        Some(format!(
            "{address} {}",
            if netid == "raw" { 0 } else { port }
        ))
    };
    let state = usize::from_str_radix(words.get(3)?, 16).ok()?;
    let (local, peer) = (end(words.get(1)?)?, end(words.get(2)?)?);
    let state = STATES.get(state)?;
    Some(format!("{netid} {local} {peer} {state} {}", words.get(9)?))
}

/// A line of /proc/net/unix.
fn unix(line: &str) -> Option<String> {
    const ACCEPTS: u64 = 0x1_0000;
    let mut rest = line;
    let mut words = Vec::new();
    for _ in 0..7 {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        words.push(word);
        rest = after.trim_start();
    }
    let flags = u64::from_str_radix(words.get(3)?, 16).ok()?;
    let kind = usize::from_str_radix(words.get(4)?, 16).ok()?;
    let inode = words.get(6)?.parse().ok()?;
    Some(unix_line(
        TYPES.get(kind)?,
        flags & ACCEPTS != 0,
        inode,
        rest,
    ))
}

fn unix_line(kind: &str, is_listening: bool, inode: u64, path: &str) -> String {
    format!("unix {kind} {is_listening} {inode} {path}")
}

#[test]
fn open_files_and_sockets_are_those_that_the_machine_has() -> Result<()> {
    let target = machines::target(|machine| machine.memory_mib(256))?;
    let mut process = target.vm.command(&["open"]).start()?;
    println!("{}", process.wait_for("opened ")?);
    let before = Said::by(&target.vm)?;
    let acquired = target.dump(&["--format", "elf"], "out.core")?;
    println!("{}", acquired.text());
    acquired.exited(0)?;
    let after = Said::by(&target.vm)?;
    let image = target.pull("out.core")?;
    // 3: memory that was read while the machine ran contradicts itself in places.
    let document = |subcommand: &str| -> Result<Value> {
        let mut command = host_dumper::command()?;
        let output = command.args([subcommand, "--json"]).arg(&image).output()?;
        let printed = host_dumper::printed(&output);
        ensure!(matches!(output.status.code(), Some(0 | 3)), "{printed}");
        serde_json::from_slice(&output.stdout).with_context(|| printed)
    };
    let files = compare_files(&before, &after, &document("files")?)?;
    let sockets = document("sockets")?;
    let held: Vec<&Value> = array(&sockets, "sockets")?
        .iter()
        .filter(|socket| socket["owners"][0]["pid"] == process.pid())
        .collect();
    let compared = compare_sockets(&before, &after, &sockets)?;
    println!(
        "{files} files and {compared} sockets are the same, {} of one process",
        held.len()
    );
    ensure!(
        files > 30 && compared > 20,
        "{files} files, {compared} sockets"
    );
    assert_eq!(held.len(), 21);
    assert_eq!(sockets["absent_tables"], serde_json::json!([]));
    drop(process);
    target.end()
}

#[test]
fn what_differs_from_the_machine_is_found() -> Result<()> {
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    let tcp = internet(
        "tcp",
        " 0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7 1 0 100",
    );
    let bound = unix("0000: 00000002 00000000 00010000 0001 01  8 @a b");
    let sockets = [tcp, bound].map(|line| line.expect("a line of the kernel's"));
    assert_eq!(
        sockets,
        [
            "tcp 127.0.0.1 8080 0.0.0.0 0 LISTEN 7",
            "unix stream true 8 @a b"
        ]
    );
    let [tcp, bound] = &sockets;
    let said = |files: &[&str]| Said {
        files: lines(files),
        sockets: lines(&[tcp, bound]),
    };
    let line = without_close_on_exec("5 3 12 02100002 9 /a b")?;
    let before = said(&[&line, "5 cwd - - - /tmp"]);
    let files = |fd: u64, position: u64| {
        serde_json::json!({ "processes": [{ "pid": 5, "files": [
            { "role": "cwd", "path": "/tmp" },
            {
                "role": "open", "fd": fd, "position_bytes": position, "flags": "0x88002",
                "inode": 9, "path": "/a b",
            },
        ] }] })
    };
    assert_eq!(compare_files(&before, &before, &files(3, 12))?, 2);
    assert!(compare_files(&before, &before, &files(3, 13)).is_err());
    assert!(compare_files(&before, &before, &files(4, 12)).is_err());
    let none = serde_json::json!({ "processes": [] });
    assert!(compare_files(&before, &before, &none).is_err());
    // A position that moved is not compared.
    let after = said(&["5 3 14 0100002 9 /a b", "5 cwd - - - /tmp"]);
    assert_eq!(compare_files(&before, &after, &files(3, 13))?, 1);
    let found = |port: u64| {
        serde_json::json!({ "sockets": [
            {
                "netid": "tcp", "found_by": "both", "state": "LISTEN", "inode": 7,
                "local_address": "127.0.0.1", "local_port": port, "peer_address": "0.0.0.0",
                "peer_port": 0,
            },
            {
                "netid": "unix", "found_by": "both", "state": "LISTEN", "inode": 8,
                "type": "stream", "path": "@a b",
            },
        ] })
    };
    assert_eq!(compare_sockets(&before, &before, &found(8080))?, 2);
    assert!(compare_sockets(&before, &before, &found(8081)).is_err());
    assert!(compare_sockets(&before, &before, &serde_json::json!({ "sockets": [] })).is_err());
    Ok(())
}
