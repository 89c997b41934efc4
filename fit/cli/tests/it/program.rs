// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line, with the small kernel of the library's tests.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

fn run(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_linpmem-fit");
    Command::new(program).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A folder with `object.o`, and `kernels/small` with a kernel.
fn files() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/fit");
    fs::create_dir_all(folder.path().join("kernels/small")).unwrap();
    for (seed, name) in [("object", "object.o"), ("vmlinux", "kernels/small/vmlinux")] {
        // The first byte is the file's number.
        let bytes = fs::read(seeds.join(seed)).unwrap();
        fs::write(folder.path().join(name), &bytes[1..]).unwrap();
    }
    folder
}

#[test]
fn a_module_is_written_and_explained() {
    let folder = files();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (object, kernel) = (at("object.o"), at("kernels/small/vmlinux"));
    let output = at("linpmem.ko");
    let arguments = ["--object", &object, "--vmlinuz", &kernel];

    let explained = run(&arguments);
    assert!(explained.status.success(), "{}", text(&explained.stderr));
    let words = text(&explained.stdout);
    assert!(words.contains("6.12.9-test"), "{words}");
    assert!(words.contains("current_task is pcpu_hot"), "{words}");
    assert!(words.contains("not written"), "{words}");

    let written = run(&[&arguments[..], &["-o", &output, "--json"]].concat());
    assert!(written.status.success(), "{}", text(&written.stderr));
    assert!(fs::read(&output).unwrap().starts_with(b"\x7fELF"));
    let document: serde_json::Value = serde_json::from_slice(&written.stdout).unwrap();
    assert_eq!(document["format"], "linpmem-fit");
    assert_eq!(document["layout"]["file_private_data"], 200);
    assert!(document["layout"]["section_size"].is_null());
    assert_eq!(document["imports"][0]["symbol"], "schedule");
    assert_eq!(document["imports"][0]["checksum"], "0x11110002");
}

#[test]
fn a_fleet_gets_its_modules_and_a_refusal_is_named() {
    let folder = files();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(folder.path().join("kernels/broken")).unwrap();
    fs::write(folder.path().join("kernels/broken/vmlinuz"), "nothing").unwrap();
    let (object, kernels, output) = (at("object.o"), at("kernels"), at("fitted"));
    let fleet = run(&["--object", &object, "--fleet", &kernels, "-o", &output]);
    assert_eq!(fleet.status.code(), Some(1));
    let words = text(&fleet.stdout);
    assert!(words.contains("broken: refused: "), "{words}");
    assert!(words.contains("linpmem-6.12.9-test.ko"), "{words}");
    assert!(Path::new(&output).join("linpmem-6.12.9-test.ko").is_file());
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let folder = files();
    let kernels = folder.path().join("kernels").display().to_string();
    let usage = run(&["--fleet", &kernels]);
    assert_eq!(usage.status.code(), Some(2));
    let both = run(&["--fleet", &kernels, "-o", "x", "--vmlinuz", "y"]);
    assert_eq!(both.status.code(), Some(2));
    let missing = run(&["--object", "/nonexistent.o", "--json"]);
    assert_eq!(missing.status.code(), Some(1));
    let error: serde_json::Value = serde_json::from_slice(&missing.stderr).unwrap();
    assert_eq!(error["format"], "linpmem-fit error");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("/nonexistent.o")
    );
}

#[test]
fn completions_and_the_manual_page_come_from_the_same_definitions() {
    for shell in ["bash", "zsh", "fish"] {
        let written = run(&["completions", shell]);
        assert!(written.status.success(), "{}", text(&written.stderr));
        assert!(text(&written.stdout).contains("vmlinuz"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let written = run(&["man", &folder.path().display().to_string()]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    let page = fs::read_to_string(folder.path().join("linpmem-fit.1")).unwrap();
    assert!(
        page.contains("EXAMPLES") && page.contains("symvers"),
        "{page}"
    );
}
