// SPDX-License-Identifier: MIT OR Apache-2.0
//! What drgn lists with the kernel's debug symbols.

use super::{Ours, Pair, Rows, at, hex, key, text};
use crate::consumers::Case;
use anyhow::{Context, Result};
use linpmem_testkit::consumers::drgn;
use serde_json::Value;
use std::path::Path;

/// Its lists, and ours as it would show them.
pub fn pairs(case: &Case, image: &Path, ours: &Ours) -> Result<Vec<Pair>> {
    let found = drgn::rows(image, &case.kernel)?;
    let tasks = Rows::of(&found.tasks, |task| {
        let number = |name: &'static str| (name, at(task, &format!("/{name}")).to_string());
        let mut columns = ["tgid", "ppid", "uid"].map(number).to_vec();
        columns.push(("name", text(task, "name")?));
        columns.push(("address", hex(task, "address")?));
        Ok(Some((at(task, "/pid").to_string(), columns)))
    })?;
    let modules = Rows::of(&found.modules, |module| {
        let columns = vec![("address", hex(module, "address")?)];
        Ok(Some((text(module, "name")?, columns)))
    })?;
    let mappings = Rows::of(&found.mappings, |mapping| {
        if ours.is_torn(at(mapping, "/pid")) {
            return Ok(None);
        }
        let end = at(mapping, "/end").as_u64().context("no end")?;
        let offset = at(mapping, "/page_offset").as_u64();
        let columns = vec![
            ("last", format!("{:#x}", end - 1)),
            ("flags", hex(mapping, "flags")?),
            ("offset", format!("{:?}", offset.map(|pages| pages << 12))),
            ("address", hex(mapping, "address")?),
            ("name", text(mapping, "name")?),
        ];
        Ok(Some((
            key(at(mapping, "/pid"), &hex(mapping, "start")?),
            columns,
        )))
    })?;
    let our_mappings = Rows::of(&ours.mappings, |(pid, mapping)| {
        let columns = vec![
            ("last", text(mapping, "last")?),
            ("flags", text(mapping, "flags")?),
            (
                "offset",
                format!("{:?}", at(mapping, "/file_offset").as_u64()),
            ),
            ("address", text(mapping, "address")?),
            ("name", called_by_drgn(mapping)),
        ];
        Ok(Some((key(pid, &text(mapping, "start")?), columns)))
    })?;
    let files = Rows::of(&found.files, |file| {
        let columns = vec![
            ("address", hex(file, "address")?),
            ("path", text(file, "path")?),
        ];
        let fd = at(file, "/fd").to_string();
        Ok(Some((key(at(file, "/pid"), &fd), columns)))
    })?;
    let our_files = Rows::of(&ours.files, |(pid, file)| {
        if *at(file, "/role") != "open" {
            return Ok(None);
        }
        let columns = vec![
            ("address", text(file, "address")?),
            ("path", opened_by_drgn(file)?),
        ];
        Ok(Some((key(pid, &at(file, "/fd").to_string()), columns)))
    })?;
    Ok(vec![
        ("drgn's tasks", ours.tasks("list")?, tasks),
        ("drgn's modules", ours.modules()?, modules),
        ("drgn's mappings", our_mappings, mappings),
        ("drgn's open files", our_files, files),
    ])
}

/// It does not say that a file was deleted, and has the type of the file system for a name that is
/// in no folder. All that is mapped of these is shared memory here.
fn called_by_drgn(mapping: &Value) -> String {
    let [name, path] = ["/name", "/path"].map(|field| at(mapping, field).as_str());
    match (name, path) {
        (Some(name), _) if name.starts_with('[') => name.to_owned(),
        (_, Some(path)) if path.starts_with('/') => path.to_owned(),
        (_, Some(_)) => "[tmpfs]".to_owned(),
        (_, None) => String::new(),
    }
}

fn opened_by_drgn(file: &Value) -> Result<String> {
    let path = text(file, "path")?;
    let is_alone = !path.starts_with('/') || path.starts_with("/memfd:");
    if is_alone {
        return Ok(format!("[{}]", text(file, "filesystem")?));
    }
    let is_deleted = at(file, "/deleted").as_bool().context("no answer")?;
    Ok(match path.strip_suffix(" (deleted)") {
        Some(path) if is_deleted => path.to_owned(),
        _ => path,
    })
}
