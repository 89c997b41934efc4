// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page about an acquisition.

use crate::fake::{Fake, manifest_of, range};
use crate::json::keeps_to;
use assert_cmd::Command;
use linpmem_phys::Errno;
use predicates::str::contains;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// All that a page is made of.
const ELEMENTS: [&str; 32] = [
    "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "header", "main", "section",
    "footer", "h1", "h2", "p", "ul", "li", "table", "caption", "thead", "tbody", "tr", "th", "td",
    "code", "pre", "div", "span", "dl", "dt", "dd", "svg", "rect",
];

pub fn dump(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::cargo_bin("linpmem-dump").unwrap();
    command.current_dir(folder).args(words);
    command
}

/// An image of eight megabytes, with somebody's name on it.
pub fn acquired(folder: &Path, more: &[&str]) {
    fs::write(folder.join("memory"), vec![7; 8 << 20]).unwrap();
    let words = "convert memory a.core --input-layout padded --no-artifacts --progress none";
    let words: Vec<_> = words.split(' ').chain(more.iter().copied()).collect();
    dump(folder, &words).assert().code(0);
}

/// The page of a.core in `folder`.
fn page(folder: &Path, more: &[&str], code: i32) -> String {
    let words = [&["report", "a.core", "-o", "-"], more].concat();
    let run = dump(folder, &words).assert().code(code);
    String::from_utf8(run.get_output().stdout.clone()).unwrap()
}

/// Every tag of `page`, from `<` to `>`.
fn tags(page: &str) -> Vec<&str> {
    page.split('<')
        .skip(1)
        .map(|rest| rest.split_once('>').expect("a tag without an end").0)
        .collect()
}

/// Requires that `page` has nothing that loads, runs or leads anywhere, and nothing that shows
/// other characters in another way.
fn is_harmless(page: &str) {
    for tag in tags(page) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next();
        assert!(ELEMENTS.contains(&name.unwrap()), "<{tag}>");
        for attribute in tag.split(' ').skip(1) {
            assert!(!attribute.starts_with("on"), "<{tag}>");
            assert!(!attribute.starts_with("src"), "<{tag}>");
            assert!(!attribute.contains("href"), "<{tag}>");
        }
    }
    assert!(!page.contains("url("), "it loads something");
    let strange = |letter: &char| {
        let is_control = letter.is_control() && *letter != '\n';
        is_control || matches!(*letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert_eq!(page.chars().find(strange), None);
}

#[test]
fn a_page_says_what_the_manifest_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    acquired(folder, &["--operator", "R. Responder", "--case", "2026-17"]);
    let run = dump(folder, &["report", "a.core"]).assert().code(0);
    run.stdout(contains("a.core.report.html: open it in a browser"));
    let page = fs::read_to_string(folder.join("a.core.report.html")).unwrap();
    is_harmless(&page);
    let sum = fs::read_to_string(folder.join("a.core.sha256")).unwrap();
    let manifest = fs::read_to_string(folder.join("a.core.manifest.jsonl")).unwrap();
    let header: Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    for expected in [
        &sum[..64],
        "R. Responder",
        "2026-17",
        ">Complete<",
        header["header"]["host"]["hostname"].as_str().unwrap(),
        header["header"]["image"]["id"].as_str().unwrap(),
        "8 MiB (8,388,608 bytes)",
        "drgn -c a.core",
        "default-src 'none'",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }

    // Nothing is replaced unless that is asked for.
    let again = dump(folder, &["report", "a.core"]).assert().code(1);
    again.stderr(contains("a.core.report.html"));
    dump(folder, &["report", "a.core", "--force"])
        .assert()
        .code(0);

    let run = dump(folder, &["report", "a.core", "--force", "--json"]).assert();
    let document: Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    keeps_to("report", &document);
    assert_eq!(document["page"], "a.core.report.html");
    assert_eq!(document["verified"], Value::Null);
}

#[test]
fn nothing_that_others_wrote_gets_out_of_its_place() {
    let hostile = "</title></style><script>document.title='owned'</script><img src=x \
                   onerror=alert(1)>\" ' onload=alert(2) \u{1b}[31m\u{202e}&amp;";
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    acquired(
        folder,
        &["--operator", hostile, "--case", hostile, "--note", hostile],
    );
    // The machine, its kernel and the tool may be anybody's as well.
    let path = folder.join("a.core.manifest.jsonl");
    let mut lines: Vec<Value> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let header = &mut lines[0]["header"];
    for (part, name) in [
        ("host", "hostname"),
        ("host", "kernel_release"),
        ("host", "kernel_version"),
        ("host", "machine"),
        ("host", "machine_id"),
        ("host", "boot_id"),
        ("tool", "name"),
        ("tool", "version"),
        ("image", "name"),
        ("image", "compression"),
        ("source", "kind"),
        ("source", "detail"),
    ] {
        header[part][name] = hostile.into();
    }
    header["command"] = vec![hostile; 3].into();
    header["started"]["utc"] = hostile.into();
    let footer = &mut lines.last_mut().unwrap()["footer"];
    footer["warnings"] = vec![hostile].into();
    footer["error"] = hostile.into();
    footer["ended"]["utc"] = hostile.into();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, text).unwrap();
    let quoted = "x' <b>&.core";
    fs::rename(folder.join("a.core"), folder.join(quoted)).unwrap();
    fs::rename(&path, folder.join(format!("{quoted}.manifest.jsonl"))).unwrap();
    let run = dump(folder, &["report", quoted, "-o", "-"])
        .assert()
        .code(0);
    let page = String::from_utf8(run.get_output().stdout.clone()).unwrap();
    is_harmless(&page);
    let places = page.matches("&lt;script&gt;").count();
    assert!(places >= 18, "shown {places} times: {page}");
    assert!(
        page.contains("x&apos; &lt;b&gt;&amp;.core") || page.contains("x' &lt;b&gt;&amp;.core")
    );
}

#[test]
fn what_is_missing_is_the_first_thing_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fake = Fake {
        refused: vec![
            (range(0x2000, 0x2fff), Errno::EIO),
            (range(0x1f_e000, 0x20_1fff), Errno::new(133)),
        ],
        ..Fake::default()
    };
    let summary = fake.acquire(folder, &["a.core"]).unwrap();
    assert_eq!(manifest_of(&summary).footer.unreadable_pages, 5);
    let whole = page(folder, &[], 0);
    is_harmless(&whole);
    for expected in [
        "Complete, but for 5 pages that could not be read",
        "5 pages (20 KiB (20,480 bytes)",
        "<code>0x1fe000</code>",
        "<code>0x201fff</code>",
        "EIO",
    ] {
        assert!(whole.contains(expected), "{expected}: {whole}");
    }
    let at = |text: &str| whole.find(text).unwrap();
    assert!(at("could not be read") < at("The acquisition"));

    // A run that was killed has no last line.
    let path = folder.join("a.core.manifest.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let half = lines[..lines.len() / 2].join("\n");
    fs::write(&path, half + "\n").unwrap();
    let killed = page(folder, &[], 0);
    is_harmless(&killed);
    assert!(
        killed.contains("INCOMPLETE: the run was killed"),
        "{killed}"
    );
    assert!(killed.contains("are not in the image. What lies there is missing"));
}

#[test]
fn a_comparison_is_on_the_page_and_in_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    acquired(folder, &[]);
    let good = page(folder, &["--verify"], 0);
    assert!(good.contains("every byte of it is what the manifest describes"));
    assert!(!page(folder, &[], 0).contains("every byte of it"));

    let image = folder.join("a.core");
    let mut bytes = fs::read(&image).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&image, bytes).unwrap();
    let bad = page(folder, &["--verify"], 1);
    is_harmless(&bad);
    assert!(bad.contains("NOT GOOD"), "{bad}");
    let run = dump(
        folder,
        &["report", "a.core", "-o", "-", "--verify", "--json"],
    )
    .assert()
    .code(1);
    let said = String::from_utf8(run.get_output().stderr.clone()).unwrap();
    let summary: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    keeps_to("stderr", &summary);
    assert_eq!(summary["verified"], "bad");
}

/// What is to be typed is on the page, and opens the image: what other programs do not read is
/// converted first.
#[test]
fn the_commands_are_those_that_open_this_image() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("memory"), vec![7; 8192]).unwrap();
    let convert = "linpmem-dump convert";
    for (name, converted, opened) in [
        ("a.core", None, "drgn -c a.core<"),
        (
            "a.core.zst",
            Some("a.core --format elf<"),
            "drgn -c a.core<",
        ),
        (
            "a.lime.lz4",
            Some("a.lime --format lime<"),
            "vol -s . -f a.lime ",
        ),
        (
            "a.avml",
            Some("a.avml.core --format elf<"),
            "vol -s . -f a.avml.core ",
        ),
        ("a.kdump", None, "crash vmlinux a.kdump<"),
        (
            "a.raw",
            Some("a.raw.core --format elf<"),
            "drgn -c a.raw.core<",
        ),
    ] {
        let words = ["convert", "memory", name, "--input-layout", "padded"];
        let more = ["--note", "it's two words", "--progress=none"];
        dump(folder, &[&words[..], &more].concat()).assert().code(0);
        let run = dump(folder, &["report", name, "-o", "-"]).assert().code(0);
        let page = String::from_utf8(run.get_output().stdout.clone()).unwrap();
        assert!(page.contains(opened), "{name}: {opened}: {page}");
        match converted {
            Some(words) => assert!(
                page.contains(&format!("{convert} {name} {words}")),
                "{page}"
            ),
            None => assert!(!page.contains(&format!("{convert} {name}")), "{page}"),
        }
        // The acquisition's own command, as a shell takes it.
        assert!(page.contains(r"--note 'it'\''s two words'"), "{page}");
    }
}

#[cfg(feature = "encrypt")]
#[test]
fn the_page_of_an_encrypted_image_needs_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    crate::encryption::keys(folder);
    acquired(folder, &["--encrypt-to", crate::encryption::PUBLIC]);
    let run = dump(folder, &["report", "a.core.age"]).assert().code(1);
    run.stderr(contains("--identity"));
    let words = ["report", "a.core.age", "--identity", "key.txt", "--verify"];
    dump(folder, &words).assert().code(0);
    let page = fs::read_to_string(folder.join("a.core.report.html")).unwrap();
    is_harmless(&page);
    for expected in [
        "every byte of it is what the manifest describes",
        "linpmem-dump convert a.core.age a.core --format elf --identity KEY",
        "drgn -c a.core<",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
}

#[test]
fn an_image_without_a_manifest_has_no_page() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    acquired(folder, &[]);
    fs::remove_file(folder.join("a.core.manifest.jsonl")).unwrap();
    let run = dump(folder, &["report", "a.core"]).assert().code(1);
    run.stderr(contains("a.core.manifest.jsonl does not exist"));
    assert!(!folder.join("a.core.report.html").exists());
    fs::write(folder.join("a.core.manifest.jsonl"), "{}\n").unwrap();
    dump(folder, &["report", "a.core"]).assert().code(1);
}
