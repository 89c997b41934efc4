// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Volatility 3 lists with the symbol file that we make.

use super::{Ours, Pair, Rows, SHOWN, array, at, key, text};
use crate::consumers::Case;
use anyhow::{Context, Result};
use linpmem_testkit::consumers::volatility::column;
use serde_json::Value;
use std::path::Path;

/// Its lists, and ours as it would show them.
pub fn pairs(case: &Case, image: &Path, ours: &Ours) -> Result<Vec<Pair>> {
    let run = |plugin: &[&str]| case.volatility.rows(&case.symbols, image, plugin);
    let number = |row: &Value, name: &str| -> Result<u64> {
        let value = row.get(name).and_then(Value::as_u64);
        value.with_context(|| format!("no {name} in {row}"))
    };
    let hex =
        |row: &Value, name: &str| Ok::<_, anyhow::Error>(format!("{:#x}", number(row, name)?));
    let tasks = Rows::of(&run(&["linux.pslist", "--threads"])?, |row| {
        let columns = vec![
            ("tgid", column(row, "PID")),
            ("ppid", column(row, "PPID")),
            ("uid", column(row, "EUID")),
            ("name", column(row, "COMM")),
            (
                "address",
                format!("{:#x}", number(row, "OFFSET (V)")? & SHOWN),
            ),
        ];
        Ok(Some((column(row, "TID"), columns)))
    })?;
    let mappings = Rows::of(&run(&["linux.proc.Maps"])?, |row| {
        if ours.is_torn(&row["PID"]) {
            return Ok(None);
        }
        let columns = vec![
            ("last", format!("{:#x}", number(row, "End")? - 1)),
            ("rights", column(row, "Flags")),
            ("offset", number(row, "PgOff")?.to_string()),
            ("name", column(row, "File Path")),
        ];
        let key = key(&row["PID"], &hex(row, "Start")?);
        Ok(Some((key, columns)))
    })?;
    let our_mappings = Rows::of(&ours.mappings, |(pid, mapping)| {
        let rights = text(mapping, "rights")?;
        let offset = at(mapping, "/file_offset").as_u64().unwrap_or(0);
        let columns = vec![
            ("last", text(mapping, "last")?),
            // It does not say whether a mapping is shared.
            ("rights", rights.chars().take(3).collect()),
            ("offset", offset.to_string()),
            ("name", called_by_volatility(mapping)),
        ];
        Ok(Some((key(pid, &text(mapping, "start")?), columns)))
    })?;
    let files = Rows::of(&run(&["linux.lsof"])?, |row| {
        // It lists the files of each thread, which are those of the process.
        if row["TID"] != row["PID"] {
            return Ok(None);
        }
        let columns = vec![("path", column(row, "Path"))];
        Ok(Some((key(&row["PID"], &column(row, "FD")), columns)))
    })?;
    let our_files = Rows::of(&ours.files, |(pid, file)| {
        if *at(file, "/role") != "open" {
            return Ok(None);
        }
        let path = match (text(file, "path")?, at(file, "/inode")) {
            // It has the number in place of the kind.
            (path, inode) if path.starts_with("anon_inode:") => format!("anon_inode:[{inode}]"),
            (path, _) => marked(path, at(file, "/deleted")),
        };
        let key = key(pid, &at(file, "/fd").to_string());
        Ok(Some((key, vec![("path", path)])))
    })?;
    let sockets = Rows::of(&run(&["linux.sockstat"])?, |row| {
        if row["TID"] != row["PID"] {
            return Ok(None);
        }
        let columns = vec![
            (
                "address",
                format!("{:#x}", number(row, "Sock Offset")? & SHOWN),
            ),
            ("netns", column(row, "NetNS")),
        ];
        Ok(Some((key(&row["PID"], &column(row, "FD")), columns)))
    })?;
    let mut owned = Vec::new();
    for socket in &ours.sockets {
        let owners = array(socket, "owners")?.iter();
        owned.extend(owners.map(|owner| (owner, socket)));
    }
    let our_sockets = Rows::of(&owned, |(owner, socket)| {
        let columns = vec![
            ("address", text(socket, "address")?),
            ("netns", at(socket, "/network_namespace").to_string()),
        ];
        let fd = at(owner, "/fd").to_string();
        Ok(Some((key(at(owner, "/pid"), &fd), columns)))
    })?;
    let mut pairs = vec![
        (
            "Volatility's tasks",
            ours.tasks("number")?.shortened()?,
            tasks,
        ),
        ("Volatility's mappings", our_mappings, mappings),
        ("Volatility's open files", our_files, files),
        ("Volatility's sockets", our_sockets.shortened()?, sockets),
    ];
    // It does not support the modules of the newest kernels.
    if !case.is_newest() {
        let modules = Rows::of(&run(&["linux.lsmod"])?, |row| {
            let address = format!("{:#x}", number(row, "Offset")? & SHOWN);
            Ok(Some((
                column(row, "Module Name"),
                vec![("address", address)],
            )))
        })?;
        pairs.push((
            "Volatility's modules",
            ours.modules()?.shortened()?,
            modules,
        ));
    }
    Ok(pairs)
}

/// It knows heap, stack and vdso alone of what is of no file, and has a space in front of the path
/// of a file that was deleted.
fn called_by_volatility(mapping: &Value) -> String {
    const ANONYMOUS: &str = "Anonymous Mapping";
    let [name, path] = ["/name", "/path"].map(|field| at(mapping, field).as_str());
    match (name, path) {
        (Some(name @ ("[heap]" | "[stack]" | "[vdso]")), None) => name.to_owned(),
        (_, None) => ANONYMOUS.to_owned(),
        (Some(name), Some(_)) if name.starts_with('/') => {
            marked(name.to_owned(), at(mapping, "/deleted"))
        }
        // What the process has named is shared memory here.
        (Some(_), Some(path)) => format!("/{path} (deleted)"),
        (None, Some(path)) => path.to_owned(),
    }
}

/// A path that is deleted, with the space. What never was in a folder has none.
fn marked(path: String, is_deleted: &Value) -> String {
    let made_up = ["/memfd:", "/dev/zero (", "/SYSV"];
    match is_deleted == true && !made_up.iter().any(|start| path.starts_with(start)) {
        true => format!(" {path}"),
        false => path,
    }
}
