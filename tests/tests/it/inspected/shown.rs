// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes, mappings, modules and the log: the same rows as the machine's own files.

use crate::host_dumper;
use anyhow::{Context, Result, ensure};
use linpmem_testkit::processes::{self, Process, is_fleeting};
use linpmem_testkit::vm::Vm;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What a machine said of itself.
pub struct Guest {
    before: BTreeSet<Process>,
    after: BTreeSet<Process>,
    /// A process that does nothing.
    planted: u64,
    /// Its mappings, its state and its command line.
    maps: String,
    stat: String,
    command_line: Vec<String>,
    modules: String,
    /// Processes that the machine does not show.
    hidden: BTreeSet<Process>,
}

impl Guest {
    /// Asks it before memory is read.
    pub fn before(vm: &Vm, planted: u64) -> Result<Self> {
        let text = |name: &str| -> Result<String> {
            let path = format!("/proc/{planted}/{name}");
            Ok(String::from_utf8(vm.read(&path)?)?)
        };
        let command_line = text("cmdline")?;
        let words = command_line.trim_end_matches('\0').split('\0');
        Ok(Self {
            before: processes::processes(vm)?,
            after: BTreeSet::new(),
            planted,
            maps: text("maps")?,
            stat: text("stat")?,
            command_line: words.map(str::to_owned).collect(),
            modules: String::from_utf8(vm.read("/proc/modules")?)?,
            hidden: BTreeSet::new(),
        })
    }

    /// Asks it after memory was read.
    pub fn after(&mut self, vm: &Vm) -> Result<()> {
        self.after = processes::processes(vm)?;
        Ok(())
    }

    /// Whether it shows the process.
    pub fn has(&self, pid: u64) -> bool {
        self.before.iter().any(|(number, _)| *number == pid)
    }

    /// It has a process that it does not show.
    pub fn hide(&mut self, pid: u64, name: &str) {
        self.hidden.insert((pid, name.to_owned()));
    }
}

/// What a command prints about `image` as JSON, and its exit code.
pub fn json(command: &str, image: &Path, more: &[&str]) -> Result<(Option<i32>, Value)> {
    let mut run = host_dumper::command()?;
    run.args([command, "--json"]).args(more).arg(image);
    let output = run.output()?;
    let said = serde_json::from_slice(&output.stdout);
    let said = said.with_context(|| format!("{command}: {}", host_dumper::printed(&output)))?;
    Ok((output.status.code(), said))
}

/// The value that a JSON pointer leads to; null if there is none.
pub fn at<'a>(document: &'a Value, pointer: &str) -> &'a Value {
    document.pointer(pointer).unwrap_or(&Value::Null)
}

/// Compares what the program shows of `image` with what the machine said.
pub fn compare(image: &Path, guest: &Guest) -> Result<()> {
    let tasks = ps(image, guest)?;
    let mappings = maps(image, guest.planted, &guest.maps)?;
    for name in NAMES {
        let mut names = guest.maps.lines().map(|line| line.replace("\\012", "\n"));
        ensure!(
            names.any(|line| line.ends_with(name)),
            "no {name} in {}",
            guest.maps
        );
    }
    let modules = modules(image, &guest.modules)?;
    let records = dmesg(image)?;
    println!(
        "the same as in the machine: {tasks} processes, {mappings} mappings, {modules} modules, \
         {records} records of the log"
    );
    Ok(())
}

fn ps(image: &Path, guest: &Guest) -> Result<usize> {
    let (code, document) = json("ps", image, &[])?;
    // 3: lists may be torn, and tasks may come and go.
    ensure!(matches!(code, Some(0 | 3)), "exit code {code:?}");
    let rows = array(&document, "tasks")?;
    let mut found = BTreeSet::new();
    for row in rows {
        let pid = at(row, "/pid").as_u64().context("no number")?;
        if pid != 0 {
            found.insert((pid, text(row, "name")?));
        }
    }
    let steady: BTreeSet<_> = guest.before.intersection(&guest.after).cloned().collect();
    let missing: Vec<_> = steady.union(&guest.hidden).cloned().collect();
    let missing: Vec<_> = missing
        .iter()
        .filter(|process| !found.contains(process))
        .collect();
    ensure!(missing.is_empty(), "{missing:?} not found in {found:?}");
    let known = guest.before.union(&guest.after).cloned();
    let known: BTreeSet<_> = known.chain(guest.hidden.iter().cloned()).collect();
    let unknown: Vec<_> = found
        .difference(&known)
        .filter(|(_, name)| !is_fleeting(name))
        .collect();
    ensure!(unknown.is_empty(), "{unknown:?} never existed");

    let planted = rows
        .iter()
        .find(|row| at(row, "/pid") == guest.planted)
        .context("no planted process")?;
    // 12 (a name) S 1 …: the state, the parent, and later the threads and the start.
    let (_, rest) = guest.stat.rsplit_once(") ").context("no state")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let word = |index: usize| words.get(index).copied().context("a short line");
    let seconds = at(planted, "/start_seconds").as_f64().context("no start")?;
    let ticks: f64 = word(19)?.parse()?;
    ensure!(
        text(planted, "state")? == word(0)?
            && at(planted, "/ppid") == word(1)?.parse::<u64>()?
            && at(planted, "/threads") == word(17)?.parse::<u64>()?
            && (seconds * 100.0).floor() == ticks,
        "{planted} is not {}",
        guest.stat
    );
    ensure!(
        *at(planted, "/arguments") == Value::from(guest.command_line.clone()),
        "{planted} has not {:?}",
        guest.command_line
    );
    Ok(found.len())
}

/// A mapping: first and last address, rights, the offset of a file, and the name.
type Row = (String, String, String, Option<u64>, String);

/// Compares the mappings of a process with its file /proc/PID/maps. Returns how many they are.
pub fn maps(image: &Path, pid: u64, said: &str) -> Result<usize> {
    let pid = pid.to_string();
    let (code, document) = json("maps", image, &["--pid", &pid])?;
    ensure!(matches!(code, Some(0 | 3)), "exit code {code:?}");
    let processes = array(&document, "processes")?;
    let process = processes.first().context("no process")?;
    let found = array(process, "mappings")?.iter().map(shown_mapping);
    let found: Vec<Row> = found.collect::<Result<_>>()?;
    // What x86-64 shows of every process is a mapping of none.
    let lines = said.lines().filter(|line| !line.ends_with("[vsyscall]"));
    let expected: Vec<Row> = lines.map(mapping).collect::<Result<_>>()?;
    ensure!(found == expected, "{found:#?} is not {said}");
    Ok(found.len())
}

/// Names of mappings that the planted process has, or how they end.
const NAMES: [&str; 9] = [
    "/memfd:planted memory (deleted)",
    "/gone (deleted)",
    "/odd (deleted)",
    "/two\nlines",
    "/dev/zero (deleted)",
    "/SYSV00000000 (deleted)",
    "[heap]",
    "[stack]",
    "[vdso]",
];

/// A mapping of the program's.
pub fn shown_mapping(row: &Value) -> Result<Row> {
    let of_file = at(row, "/file_offset").as_u64();
    let shown = at(row, "/name").as_str().or(at(row, "/path").as_str());
    let is_deleted = at(row, "/deleted").as_bool().context("no answer")?;
    let path = at(row, "/path").as_str();
    ensure!(!is_deleted || path != shown, "{row} is and is not deleted");
    ensure!(
        of_file.is_some() == path.is_some(),
        "{row} is of a file or not"
    );
    let [start, last, rights] = ["start", "last", "rights"].map(|name| text(row, name));
    Ok((
        start?,
        last?,
        rights?,
        of_file,
        shown.unwrap_or_default().to_owned(),
    ))
}

/// `START-END RIGHTS OFFSET DEVICE INODE   NAME`, which may have spaces.
fn mapping(line: &str) -> Result<Row> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    let (range, rights, offset) = (word(), word(), word());
    let file = (word(), word());
    let (start, end) = range.split_once('-').context("no range")?;
    let hex = |digits: &str| u64::from_str_radix(digits, 16);
    Ok((
        format!("{:#x}", hex(start)?),
        format!("{:#x}", hex(end)? - 1),
        rights.to_owned(),
        match file {
            ("00:00", "0") => None,
            _ => Some(hex(offset)?),
        },
        // The only character that it escapes.
        rest.replace("\\012", "\n"),
    ))
}

/// Compares the modules with /proc/modules. Returns how many they are.
pub fn modules(image: &Path, said: &str) -> Result<usize> {
    let (code, document) = json("modules", image, &[])?;
    ensure!(code == Some(0), "exit code {code:?}");
    let mut found = BTreeSet::new();
    for row in array(&document, "modules")? {
        let size = at(row, "/size_bytes").as_u64().context("no size")?;
        found.insert((text(row, "name")?, size, text(row, "base")?));
    }
    let mut expected = BTreeSet::new();
    for line in said.lines() {
        // NAME SIZE USES BY STATE ADDRESS
        let words: Vec<&str> = line.split(' ').collect();
        let [name, size, _, _, _, address, ..] = words[..] else {
            anyhow::bail!("an unexpected line: {line}");
        };
        expected.insert((name.to_owned(), size.parse()?, address.to_owned()));
    }
    ensure!(found == expected, "{found:?} is not {expected:?}");
    Ok(found.len())
}

/// Compares the log with the one that its device gave, which is among the artifacts. That one
/// was read after memory, so that it may have more at its end. Returns how many records are
/// the same.
pub fn dmesg(image: &Path) -> Result<usize> {
    let (code, document) = json("dmesg", image, &[])?;
    ensure!(matches!(code, Some(0 | 3)), "exit code {code:?}");
    let mut found = BTreeMap::new();
    for row in array(&document, "records")? {
        let sequence = at(row, "/sequence").as_u64().context("no sequence")?;
        found.insert(sequence, text(row, "text")?);
    }
    let output = image.with_extension("kmsg");
    let args = ["--file", "dev/kmsg"];
    host_dumper::ok("extract", &[&args[0], &args[1], &image, &output])?;
    let mut same = 0;
    let mut last = 0;
    for line in fs::read_to_string(&output)?.lines() {
        // LEVEL,SEQUENCE,MICROSECONDS,FLAGS;TEXT, and lines that begin with a space.
        let Some((head, expected)) = line.split_once(';').filter(|_| !line.starts_with(' ')) else {
            continue;
        };
        let sequence: u64 = head.split(',').nth(1).context("no sequence")?.parse()?;
        last = sequence;
        if let Some(text) = found.get(&sequence) {
            let text = escaped(text);
            ensure!(text == expected, "{sequence}: {text:?} is not {expected:?}");
            same += 1;
        }
    }
    fs::remove_file(&output)?;
    let lacks: Vec<u64> = (0..last).filter(|one| !found.contains_key(one)).collect();
    ensure!(
        same > 100 && lacks.len() < 10,
        "{same} records are the same, and {lacks:?} are not there"
    );
    Ok(same)
}

/// As the device shows what is not printable.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            ' '..='~' if character != '\\' => escaped.push(character),
            _ => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    escaped.push_str(&format!("\\x{byte:02x}"));
                }
            }
        }
    }
    escaped
}

fn array<'a>(document: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    at(document, &format!("/{name}"))
        .as_array()
        .with_context(|| format!("no {name} in {document}"))
}

fn text(row: &Value, name: &str) -> Result<String> {
    let text = at(row, &format!("/{name}")).as_str();
    Ok(text
        .with_context(|| format!("no {name} in {row}"))?
        .to_owned())
}
