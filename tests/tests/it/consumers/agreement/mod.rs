// SPDX-License-Identifier: MIT OR Apache-2.0
//! Volatility 3 and drgn beside our own commands, row by row. All read the same image, so that
//! nothing may differ but what `docs/consumers.md` names.

mod with_drgn;
mod with_volatility;

use super::{Case, rows};
use crate::inspected::shown::{self, at};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The dumper itself: where its mappings were changed while it read them, the tree leads to what has
/// become part of another one. drgn follows that, and we say that it contradicts itself.
const TORN: &str = "linpmem-dump";
/// What Volatility shows of an address.
const SHOWN: u64 = (1 << 48) - 1;

/// Rows by what they are of; each has a text for each column.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows(BTreeMap<String, BTreeMap<&'static str, String>>);

impl Rows {
    fn of<T>(
        list: &[T],
        row: impl Fn(&T) -> Result<Option<(String, Vec<(&'static str, String)>)>>,
    ) -> Result<Self> {
        let mut rows = Self::default();
        for one in list {
            if let Some((key, columns)) = row(one)? {
                let columns = columns.into_iter().collect();
                let before = rows.0.insert(key.clone(), columns);
                ensure!(before.is_none(), "two rows of {key}");
            }
        }
        Ok(rows)
    }

    /// With addresses as Volatility shows them: without what they all begin with.
    fn shortened(mut self) -> Result<Self> {
        for row in self.0.values_mut() {
            if let Some(address) = row.get_mut("address") {
                let number = u64::from_str_radix(address.trim_start_matches("0x"), 16)?;
                *address = format!("{:#x}", number & SHOWN);
            }
        }
        Ok(self)
    }

    /// A sentence for each row that is not in both, and for each column that differs.
    fn differences(&self, theirs: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.0.keys().chain(theirs.0.keys()).collect();
        let mut said = Vec::new();
        for key in keys {
            let (ours, theirs) = match (self.0.get(key), theirs.0.get(key)) {
                (Some(ours), Some(theirs)) => (ours, theirs),
                (Some(ours), None) => {
                    said.push(format!("{key}: only we have it: {ours:?}"));
                    continue;
                }
                (None, theirs) => {
                    said.push(format!("{key}: we lack it: {theirs:?}"));
                    continue;
                }
            };
            let columns: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            for column in columns {
                let [ours, theirs] = [ours, theirs].map(|row| row.get(column));
                if ours != theirs {
                    said.push(format!("{key}: {column} is {ours:?}, theirs {theirs:?}"));
                }
            }
        }
        said
    }
}

/// Lists that have to be equal: whose they are and of what, ours and theirs.
type Pair = (&'static str, Rows, Rows);

/// Compares all lists of both programs with ours.
pub fn compare(case: &Case) -> Result<()> {
    let image = case.folder.join(rows::ELF);
    let ours = Ours::of(&image)?;
    let mut pairs = with_drgn::pairs(case, &image, &ours)?;
    pairs.extend(with_volatility::pairs(case, &image, &ours)?);
    let mut said = Vec::new();
    for (what, ours, theirs) in &pairs {
        println!("{what}: {} rows, {} of ours", theirs.0.len(), ours.0.len());
        let differences = ours.differences(theirs).into_iter();
        said.extend(differences.map(|difference| format!("{what}: {difference}")));
    }
    ensure!(said.is_empty(), "{}", said.join("\n"));
    for (what, ours, _) in &pairs {
        ensure!(ours.0.len() >= 3, "{what}: {} rows", ours.0.len());
    }
    Ok(())
}

/// What our commands print, and which processes are in both of the kernel's lists.
struct Ours {
    tasks: Vec<Value>,
    mappings: Vec<(Value, Value)>,
    files: Vec<(Value, Value)>,
    sockets: Vec<Value>,
    modules: Vec<Value>,
}

impl Ours {
    fn of(image: &Path) -> Result<Self> {
        let document = |command: &str, more: &[&str]| -> Result<Value> {
            let (code, document) = shown::json(command, image, more)?;
            ensure!(matches!(code, Some(0 | 3)), "{command}: exit code {code:?}");
            Ok(document)
        };
        // What is in the list `inner` of each process, with the number of that.
        let of_each = |document: &Value, inner: &str| -> Result<Vec<(Value, Value)>> {
            let mut all = Vec::new();
            for process in array(document, "processes")? {
                if inner == "mappings" && *at(process, "/name") == TORN {
                    continue;
                }
                let pid = at(process, "/pid");
                let rows = array(process, inner)?.iter();
                all.extend(rows.map(|row| (pid.clone(), row.clone())));
            }
            Ok(all)
        };
        Ok(Self {
            tasks: array(&document("ps", &["--threads"])?, "tasks")?.clone(),
            mappings: of_each(&document("maps", &[])?, "mappings")?,
            files: of_each(&document("files", &[])?, "files")?,
            sockets: array(&document("sockets", &[])?, "sockets")?.clone(),
            modules: array(&document("modules", &[])?, "modules")?.clone(),
        })
    }

    /// The tasks but for the ones that processors idle with, which nobody else lists. `lacks` are
    /// those that the other program looks for in another way.
    fn tasks(&self, lacks: &str) -> Result<Rows> {
        Rows::of(&self.tasks, |task| {
            if *at(task, "/pid") == 0 || *at(task, "/found_by") == lacks {
                return Ok(None);
            }
            let columns = ["tgid", "ppid", "uid"].map(|name| (name, at(task, &format!("/{name}"))));
            let columns = columns.map(|(name, value)| (name, value.to_string()));
            let mut columns = columns.to_vec();
            columns.push(("name", text(task, "name")?));
            columns.push(("address", text(task, "address")?));
            Ok(Some((at(task, "/pid").to_string(), columns)))
        })
    }

    /// Whether this is the number of the dumper.
    fn is_torn(&self, pid: &Value) -> bool {
        let mut tasks = self.tasks.iter();
        tasks.any(|task| at(task, "/pid") == pid && *at(task, "/name") == TORN)
    }

    fn modules(&self) -> Result<Rows> {
        Rows::of(&self.modules, |module| {
            let columns = vec![("address", text(module, "address")?)];
            Ok(Some((text(module, "name")?, columns)))
        })
    }
}

fn key(pid: &Value, more: &str) -> String {
    format!("{pid} {more}")
}

fn array<'a>(document: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    let list = at(document, &format!("/{name}")).as_array();
    list.with_context(|| format!("no {name} in {document}"))
}

fn text(row: &Value, name: &str) -> Result<String> {
    let text = at(row, &format!("/{name}")).as_str();
    Ok(text
        .with_context(|| format!("no {name} in {row}"))?
        .to_owned())
}

fn hex(row: &Value, name: &str) -> Result<String> {
    let number = at(row, &format!("/{name}")).as_u64();
    let number = number.with_context(|| format!("no {name} in {row}"))?;
    Ok(format!("{number:#x}"))
}

#[test]
fn each_row_that_differs_is_named() -> Result<()> {
    let rows = |list: &[(&str, &[(&'static str, &str)])]| {
        Rows::of(list, |(key, columns)| {
            let columns = columns
                .iter()
                .map(|&(name, value)| (name, value.to_owned()));
            Ok(Some(((*key).to_owned(), columns.collect())))
        })
    };
    let ours = rows(&[
        ("1", &[("name", "init"), ("ppid", "0")]),
        ("2", &[("name", "a")]),
    ])?;
    assert_eq!(ours.differences(&ours), [""; 0]);
    let theirs = rows(&[
        ("1", &[("name", "init"), ("ppid", "1")]),
        ("3", &[("name", "b")]),
    ])?;
    assert_eq!(
        ours.differences(&theirs),
        [
            "1: ppid is Some(\"0\"), theirs Some(\"1\")",
            "2: only we have it: {\"name\": \"a\"}",
            "3: we lack it: Some({\"name\": \"b\"})",
        ]
    );
    assert!(rows(&[("1", &[]), ("1", &[])]).is_err());
    Ok(())
}
