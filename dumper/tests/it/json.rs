// SPDX-License-Identifier: MIT OR Apache-2.0
//! What programs read: --json of every command, the exit codes, the manual pages.

use crate::fake::{Fake, range};
use crate::schema::Schema;
use assert_cmd::Command;
use linpmem_capture::artifacts::no_volatility;
use linpmem_capture::stop::Stop;
use linpmem_cli::{Document, ExitStatus};
use linpmem_dump::text::symbols::SymbolsDocument;
use linpmem_phys::{Errno, PhysAddr};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const SCHEMA: &str = include_str!("../../../docs/json.schema.json");
const GUIDE: &str = include_str!("../../../docs/json.md");

/// All below 9 MiB.
const LOW: [&str; 2] = ["--range", "0-0x8fffff"];

fn dump(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("linpmem-dump").unwrap();
    command.current_dir(folder);
    command
}

fn schema() -> Schema {
    Schema::new(SCHEMA)
}

/// Panics unless `value` matches the schema's `name`.
pub fn keeps_to(name: &str, value: &Value) {
    if let Err(error) = schema().check(name, value) {
        panic!("{name}: {error}\n{value:#}");
    }
}

struct Run {
    code: i32,
    stdout: Vec<u8>,
    /// The lines on stderr, each of which matches the schema.
    events: Vec<Value>,
}

impl Run {
    fn of(folder: &Path, words: &[&str]) -> Self {
        let output = dump(folder).args(words).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let events: Vec<Value> = stderr
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{words:?}: {line}")))
            .collect();
        events.iter().for_each(|event| keeps_to("stderr", event));
        Self {
            code: output.status.code().unwrap(),
            stdout: output.stdout,
            events,
        }
    }

    fn last(&self) -> &Value {
        self.events.last().expect("stderr is empty")
    }
}

/// The document that a command prints, which matches the schema; the exit code is `code`.
fn document(folder: &Path, words: &[&str], code: i32) -> Value {
    let run = Run::of(folder, words);
    assert_eq!(run.code, code, "{words:?}: {:?}", run.events);
    let value: Value = serde_json::from_slice(&run.stdout).unwrap();
    let name = words.first().unwrap();
    assert_eq!(value["format"], format!("linpmem-dump {name}"));
    keeps_to(name, &value);
    value
}

fn restless() -> Fake {
    Fake {
        refused: vec![
            (range(0x2000, 0x2fff), Errno::EIO),
            (range(0x10_0000, 0x10_0fff), Errno::new(4000)),
        ],
        restless: vec![range(0x20_0000, 0x20_1fff)],
        ..Fake::default()
    }
}

#[test]
fn info_tells_the_same_in_text_and_json() {
    let folder = tempfile::tempdir().unwrap();
    restless()
        .acquire(
            folder.path(),
            &["a.core", "--include-reserved", "--hash", "md5"],
        )
        .unwrap();
    let value = document(folder.path(), &["info", "a.core", "--json"], 0);
    let machine = &value["machine"];
    assert_eq!(machine["kernel"], "1.2.3");
    assert_eq!(machine["direct_map_base"], "0xffff888000000000");
    assert_eq!(machine["paging_levels"], 4);
    assert_eq!(machine["kaslr_offset"], Value::Null);
    let manifest = &value["manifest"];
    assert_eq!(manifest["state"], "complete-with-unreadable");
    assert_eq!(manifest["unreadable"][1]["errno"], 4000);
    assert_eq!(manifest["unreadable"][1]["name"], Value::Null);
    let text = dump(folder.path())
        .args(["info", "a.core"])
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    for word in [
        "kernel:            1.2.3\n",
        "paging levels:     4\n",
        "direct map base:   0xffff888000000000\n",
        "unreadable: 0x100000-0x100fff, 1 page: errno (4000)\n",
        manifest["sha256"].as_str().unwrap(),
        manifest["hashes"][0]["digest"].as_str().unwrap(),
        manifest["ranges"][2]["sha256_tree"].as_str().unwrap(),
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    for stored in value["ranges"].as_array().unwrap() {
        let [start, kind] = [&stored["start"], &stored["kind"]].map(|part| part.as_str().unwrap());
        let is_shown = |line: &str| line.contains(start) && line.contains(kind);
        assert!(text.lines().any(is_shown), "{stored}: {text}");
    }
}

#[test]
fn facts_come_from_the_kernel_s_note() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    let mut source = fake.source();
    source.machine.vmcoreinfo = Some(
        b"OSRELEASE=6.1\nBUILD-ID=abcd\nNUMBER(phys_base)=-469762048\nKERNELOFFSET=1c000000\n"
            .to_vec(),
    );
    crate::fake::acquire_source(folder.path(), &["a.core"], source).unwrap();
    let value = document(folder.path(), &["info", "a.core", "--json"], 0);
    let machine = &value["machine"];
    assert_eq!(machine["phys_base"], "-0x1c000000");
    assert_eq!(machine["kaslr_offset"], "0x1c000000");
    assert_eq!(machine["build_id"], "abcd");
    let text = dump(folder.path())
        .args(["info", "a.core"])
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("phys_base:         -0x1c000000\n"), "{text}");
    assert!(text.contains("KASLR offset:      0x1c000000\n"), "{text}");
}

#[test]
fn hostile_strings_are_escaped_in_json_and_replaced_in_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut source = Fake::default().source();
    source.machine.vmcoreinfo = Some(b"OSRELEASE=\x1b[2Jevil\x07\n".to_vec());
    crate::fake::acquire_source(folder.path(), &["a.core"], source).unwrap();
    let run = Run::of(folder.path(), &["info", "a.core", "--json"]);
    assert!(!run.stdout.contains(&0x1b));
    let value: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(value["machine"]["kernel"], "\u{1b}[2Jevil\u{7}");
    let text = dump(folder.path())
        .args(["info", "a.core"])
        .output()
        .unwrap();
    assert!(!text.stdout.contains(&0x1b) && !text.stdout.contains(&7));
    assert!(String::from_utf8_lossy(&text.stdout).contains("\u{fffd}[2Jevil\u{fffd}"));
}

#[test]
fn documents_of_every_command_keep_to_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("note"), "note").unwrap();
    restless().acquire(path, &["a.core"]).unwrap();
    let words = [&["b.aff4"][..], &LOW].concat();
    restless().acquire(path, &words).unwrap();
    dump(path)
        .args(["convert", "b.aff4", "c.lime", "--add", "note"])
        .assert()
        .code(3);
    for image in ["a.core", "b.aff4", "c.lime"] {
        document(path, &["info", image, "--json"], 0);
        let value = document(path, &["verify", image, "--json"], 0);
        assert_eq!(value["good"], true);
        assert_eq!(value["image_hashes"].is_object(), image == "b.aff4");
        assert_eq!(value["artifacts"].is_object(), image == "c.lime");
    }
    let listed = document(path, &["ls", "c.lime", "--json"], 0);
    assert_eq!(listed["files"][0]["size_bytes"], 4);
    let value = document(path, &["ranges", "--source", "file:a.core", "--json"], 0);
    assert_eq!(value["totals"]["System RAM"]["left_out_bytes"], 0);

    // Damage, to an image with hashes of its own and to one without.
    for image in ["b.aff4", "c.lime"] {
        let bytes = fs::read(path.join(image)).unwrap();
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        damaged.push(0);
        fs::write(path.join(image), damaged).unwrap();
        let value = document(path, &["verify", image, "--json"], 1);
        assert_eq!(value["good"], false);
        let damages = value["comparison"]["damages"].as_array().unwrap();
        let kinds: Vec<_> = damages.iter().map(|damage| &damage["kind"]).collect();
        assert!(kinds.contains(&&json!("appended")), "{value:#}");
        fs::write(path.join(image), bytes).unwrap();
    }
    fs::remove_file(path.join("c.lime.artifacts.tar.zst")).unwrap();
    let value = document(path, &["verify", "c.lime", "--json"], 1);
    assert_eq!(value["artifacts"]["good"], false);
    // Without any manifest.
    dump(path)
        .args(["convert", "a.core", "d.aff4", "--range", "0-0x1fffff"])
        .assert()
        .code(3);
    let volume = fs::read(path.join("d.aff4")).unwrap();
    let found = |signature: &[u8]| {
        let mut windows = volume.windows(signature.len());
        windows.position(|bytes| bytes == signature).unwrap()
    };
    // Killed before the archive's directory, and before the member of this name.
    // The last segment, which is not full, is described after it.
    for (name, end, code, manifest) in [
        (
            "e",
            found(b"PK\x01\x02"),
            0,
            json!("e.recovered.aff4/manifest.jsonl"),
        ),
        ("f", found(b"manifest.jsonl") - 30, 3, Value::Null),
    ] {
        let partial = format!("{name}.aff4.partial");
        fs::write(path.join(&partial), &volume[..end]).unwrap();
        let value = document(path, &["recover", &partial, "--json"], code);
        assert_eq!(value["output"], format!("{name}.recovered.aff4"));
        let recovered = value["output"].as_str().unwrap();
        let value = document(path, &["verify", recovered, "--json"], 0);
        assert_eq!(value["manifest"], manifest);
        assert_eq!(value["comparison"].is_null(), manifest.is_null());
        assert_eq!(value["not_compared"].is_null(), !manifest.is_null());
    }
    // Whether there is BTF depends on the kernel that the tests run on.
    let made = SymbolsDocument::new(
        Path::new("a.json"),
        1,
        [2, 3],
        None,
        no_volatility(false, Some(5)),
    );
    keeps_to("symbols", &serde_json::to_value(made.tagged()).unwrap());
}

#[test]
fn comparisons_are_lines_that_keep_to_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    restless().acquire(folder.path(), &["a.core"]).unwrap();
    Fake::default()
        .acquire(folder.path(), &["b.core", "--range", "0-0x4fffff"])
        .unwrap();
    let run = Run::of(folder.path(), &["compare", "a.core", "b.core", "--json"]);
    assert_eq!((run.code, run.events.len()), (1, 0));
    let text = String::from_utf8(run.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines.iter().for_each(|line| keeps_to("compare", line));
    assert_eq!(lines[0]["event"], "begin");
    assert_eq!(lines[0]["format"], "linpmem-dump compare");
    assert_eq!(lines[0]["version"], 1);
    let names: BTreeSet<_> = lines.iter().map(|line| line["event"].as_str()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    let summary = lines.last().unwrap();
    assert_eq!(summary["event"], "summary");
    let text = dump(folder.path())
        .args(["compare", "a.core", "b.core"])
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    for line in lines.iter().filter(|line| line["event"] == "extent") {
        let range = format!(
            "{}-{}",
            line["start"].as_str().unwrap(),
            line["last"].as_str().unwrap()
        );
        assert!(text.contains(&range), "{range}: {text}");
    }
}

#[test]
fn a_run_is_json_lines_that_end_in_its_summary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    restless().acquire(path, &["a.core"]).unwrap();
    for words in [
        &["convert", "a.core", "b.core", "--json"][..],
        &["convert", "a.core", "c.core", "--progress", "json"],
        &["--source", "file:a.core", "d.core", "--json"],
        &[
            "--source=file:a.core",
            "e.core",
            "--json",
            "--progress=none",
        ],
    ] {
        let run = Run::of(path, words);
        assert_eq!((run.code, run.stdout.len()), (3, 0), "{words:?}");
        let begin = json!({ "event": "begin", "format": "linpmem-dump run", "version": 1 });
        assert_eq!(run.events[0], begin);
        let has_progress = run.events.iter().any(|event| event["event"] == "end");
        assert_eq!(has_progress, !words.contains(&"--progress=none"));
        let summary = run.last();
        assert_eq!(summary["event"], "summary");
        assert_eq!(summary["exit_code"], 3);
        assert_eq!(summary["unreadable_pages"], 2);
        assert_eq!(summary["first_unreadable"][0]["start"], "0x2000");
        // A run that cannot begin says so in the same stream.
        let run = Run::of(path, words);
        assert_eq!(run.code, 1);
        assert_eq!(run.last()["event"], "error");
        assert_eq!(run.last()["exit_code"], 1);
        assert!(run.last()["message"].as_str().unwrap().contains("exists"));
    }
}

#[test]
fn summaries_of_every_kind_of_run_keep_to_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let interrupted = Fake {
        stop_at: Some((PhysAddr::new(0x20_0000), Stop::default())),
        ..Fake::default()
    };
    let failed = Fake {
        dead_from: Some(PhysAddr::new(0x20_0000)),
        ..Fake::default()
    };
    let with_artifacts = Fake {
        with_artifacts: true,
        ..Fake::default()
    };
    for (fake, words) in [
        (restless(), &["a.core", "--second-pass"][..]),
        (restless(), &["b.core.zst", "--hash", "sha1"]),
        (with_artifacts, &["c.lime"]),
        (interrupted, &["d.aff4", "--range", "0-0x8fffff"]),
        (failed, &["e.padded"]),
    ] {
        let summary = fake.acquire(folder.path(), words).unwrap();
        let document = summary.document();
        let mut value = serde_json::to_value(document.tagged()).unwrap();
        value["event"] = "summary".into();
        keeps_to("stderr", &value);
        assert_eq!(value["exit_code"], summary.exit_status().code());
        // The same as text.
        let text = summary.to_string();
        for field in ["image", "manifest", "error", "sha256", "recover_command"] {
            let Some(word) = value[field].as_str() else {
                continue;
            };
            assert!(text.contains(word), "{field}: {text}");
        }
    }
}

#[test]
fn copies_say_what_the_image_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    let words = ["extract", "a.core", "-", "--json", "--range"];
    let run = Run::of(
        folder.path(),
        &[&words[..], &["0x7ff000-0x800fff"]].concat(),
    );
    assert_eq!(
        (run.code, run.stdout.len(), run.events.len()),
        (3, 0x2000, 1)
    );
    let missing = &run.last()["unreadable"];
    assert_eq!(missing[0]["start"], "0x800000");
    assert_eq!(missing[0]["name"], "ENXIO");
    let run = Run::of(folder.path(), &[&words[..], &["0x1000+4KiB"]].concat());
    assert_eq!((run.code, &run.last()["unreadable"]), (0, &json!([])));
}

#[test]
fn errors_are_json_and_the_exit_code_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    for (words, code, hint) in [
        (&["info", "none", "--json"][..], 1, "none: No such file"),
        (&["ls", "a.core", "--json"], 1, "has no artifacts"),
        (&["check", "a.core", "--json"], 1, "has no artifacts"),
        (&["ps", "a.core", "--json"], 1, "has no artifacts"),
        (&["modules", "a.core", "--json"], 1, "has no artifacts"),
        (&["dmesg", "a.core", "--json"], 1, "has no artifacts"),
        (&["maps", "a.core", "--json"], 1, "has no artifacts"),
        (&["files", "a.core", "--json"], 1, "has no artifacts"),
        (&["sockets", "a.core", "--json"], 1, "has no artifacts"),
        (&["mounts", "a.core", "--json"], 1, "has no artifacts"),
        (&["verify", "none", "--json"], 1, "none"),
        (&["compare", "a.core", "none", "--json"], 1, "none"),
        (&["symbols", "a.core", "--json"], 1, "symbols --live"),
        (&["recover", "a.core", "b", "--json"], 1, "a.core"),
        (
            &["extract", "none", "-", "--range=0+1", "--json"],
            1,
            "none",
        ),
        (&["ranges", "--source=file:none", "--json"], 1, "none"),
        (&["info", "--json"], 2, "<IMAGE>"),
        (&["a.raw", "--json", "--merge-gaps=1MiB"], 2, "--merge-gaps"),
        (&["a", "--progress", "json", "--range", "5"], 2, "--range"),
        (&["a", "--progress=json", "--bogus"], 2, "--bogus"),
        (&["a", "--json", "--progress=bar"], 2, "--progress"),
        (
            &["verify", "a", "--json", "--progress=bar"],
            2,
            "--progress",
        ),
    ] {
        let run = Run::of(folder.path(), words);
        assert_eq!((run.code, run.events.len()), (code, 1), "{words:?}");
        let error = run.last();
        assert_eq!(error["event"], "error");
        assert_eq!(error["exit_code"], code);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(hint), "{words:?}: {message}");
        assert!(!message.starts_with("error:"), "{message}");
    }
}

/// The names of all fields in a schema.
fn fields<'a>(schema: &'a Value, names: &mut BTreeSet<&'a str>) {
    match schema {
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                match (keyword.as_str(), value) {
                    ("properties" | "$defs", Value::Object(members)) => {
                        if keyword == "properties" {
                            names.extend(members.keys().map(String::as_str));
                        }
                        members.values().for_each(|member| fields(member, names));
                    }
                    _ => fields(value, names),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, names)),
        _ => {}
    }
}

#[test]
fn every_field_is_explained() {
    let root: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut names = BTreeSet::new();
    fields(&root, &mut names);
    assert!(names.len() > 100, "{names:?}");
    let lacking: Vec<_> = names
        .into_iter()
        .filter(|name| !GUIDE.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(lacking, [""; 0]);
}

#[test]
fn the_schema_refuses_other_documents() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    let good = document(folder.path(), &["info", "a.core", "--json"], 0);
    let breaks: [fn(&mut Value); 5] = [
        |value| value["version"] = 2.into(),
        |value| value["surplus"] = 1.into(),
        |value| value["machine"]["phys_base"] = 5.into(),
        |value| value["ranges"][0]["start"] = "4096".into(),
        |value| {
            value["machine"].as_object_mut().unwrap().remove("kernel");
        },
    ];
    let schema = schema();
    for (number, damage) in breaks.iter().enumerate() {
        let mut bad = good.clone();
        damage(&mut bad);
        assert!(schema.check("info", &bad).is_err(), "{number}");
    }
}

#[test]
fn help_guide_and_manual_have_one_table_of_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let help = dump(folder.path()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let help: Vec<&str> = help.split_whitespace().collect();
    let help = help.join(" ");
    dump(folder.path()).args(["man", "man1"]).assert().success();
    let page = |name: &str| fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
    let pages = ["linpmem-dump.1", "linpmem-dump-verify.1"].map(page);
    for status in ExitStatus::ALL {
        let (code, meaning) = (status.code(), status.meaning());
        assert!(help.contains(&format!("{code} {meaning}")), "{help}");
        assert!(GUIDE.contains(&format!("| {code} | {meaning} |")));
        for page in &pages {
            assert!(
                page.contains(&format!("\\fB{code}\\fR\n{meaning}")),
                "{page}"
            );
        }
    }
}

#[test]
fn completions_and_manual_pages_come_from_the_same_definitions() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = dump(folder.path())
            .args(["completions", shell])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for word in ["include-reserved", "verify", "second-pass"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
    dump(folder.path())
        .args(["man", "new/man1"])
        .assert()
        .success();
    let mut pages: Vec<String> = fs::read_dir(folder.path().join("new/man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    assert_eq!(pages.len(), 29, "{pages:?}");
    assert!(pages.contains(&"linpmem-dump-custody-add.1".to_owned()));
    assert!(pages.contains(&"linpmem-dump.1".to_owned()));
    let page = fs::read_to_string(folder.path().join("new/man1/linpmem-dump.1")).unwrap();
    for word in [".TH", "EXAMPLES", "FILES", "OUTPUT.partial", "EXIT STATUS"] {
        assert!(page.contains(word), "{word}: {page}");
    }
    fs::write(folder.path().join("file"), "").unwrap();
    dump(folder.path()).args(["man", "file"]).assert().code(1);
}
