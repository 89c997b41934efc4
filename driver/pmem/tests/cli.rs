// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line without a module; `cargo xtask test pmem` tests the rest.

use assert_cmd::Command;
use linpmem_cli::ExitStatus;
use predicates::str::contains;

fn pmem(words: &[&str]) -> assert_cmd::assert::Assert {
    Command::new(env!("CARGO_BIN_EXE_pmem"))
        .args(words)
        .assert()
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for (words, hint) in [
        (&["-a", "1"][..], "--mode"),
        (&["-m", "byte"], "--address"),
        (&["-a", "1", "-m", "buffer"], "--size"),
        (&["-a", "1", "-m", "nibble"], "byte"),
        (&["-a", "x", "-m", "byte"], "decimal"),
        (&["--cr3", "-p", "x"], "--pid"),
        (&["insmod", "a.ko", "major"], "NAME=VALUE"),
        (&["read"], "ADDR"),
        (&["read", "1+0"], "above 0"),
        (&["read", "00100000-3ffdcfff"], "0x00100000-0x3ffdcfff"),
        (&["read", "100000+1000f"], "0x1000f"),
        (&["read", "0-4GiB"], "0+4GiB"),
        (&["read", "1MB"], "1MiB"),
        (&["read", "0xffffffffffffffff+2"], "below 2^64"),
        (&["-a", "00100000", "-m", "byte"], "0x00100000"),
        (&["vtop", "ffffffff81000000"], "0xffffffff81000000"),
        (&["read", "1", "--uncached"], "--mmio"),
        (&["read", "1", "--json", "--format", "hex"], "--json"),
        (&["vtop", "1", "--pid", "1", "--cr3", "1"], "cannot be used"),
        (&["cr3", "--all", "1"], "cannot be used"),
        (&["--cr3", "info"], "cannot be used"),
    ] {
        pmem(words).code(2).stdout("").stderr(contains(hint));
    }
}

#[test]
fn failures_are_exit_code_1_and_say_error() {
    for words in [&[][..], &["-p", "1"], &["-s", "5"]] {
        pmem(words).code(1).stdout("").stderr(contains("Error: "));
    }
    for words in [
        &["info", "--device", "/dev/null"][..],
        &["read", "0x1000", "--device", "/dev/null"],
        &["cr3", "--device", "/dev/null"],
    ] {
        pmem(words)
            .code(1)
            .stdout("")
            .stderr(contains("Error: /dev/null is a device, but"));
    }
    pmem(&["insmod", "/nonexistent.ko"])
        .code(1)
        .stderr(contains("/nonexistent.ko"));
}

#[test]
fn help_completions_and_manual_come_from_the_same_definitions() {
    pmem(&["--help"]).success().stdout(contains("pmem vtop"));
    pmem(&["read", "--help"])
        .success()
        .stdout(contains("--mmio"));
    for shell in ["bash", "zsh", "fish"] {
        let run = pmem(&["completions", shell]).success();
        let text = String::from_utf8_lossy(&run.get_output().stdout).into_owned();
        assert!(
            text.contains("virt-address") && text.contains("vtop"),
            "{shell}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man");
    pmem(&["man", path.to_str().unwrap()]).success();
    for page in ["pmem.1", "pmem-read.1", "pmem-vtop.1"] {
        let text = std::fs::read_to_string(path.join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
}

#[test]
fn mistakes_and_failures_are_json_where_json_was_asked_for() {
    for (words, code, hint) in [
        (&["read", "00100000", "--json"][..], 2, "0x00100000"),
        (&["info", "--device", "/dev/null", "--json"], 1, "/dev/null"),
        (
            &["insmod", "/nonexistent.ko", "--json"],
            1,
            "/nonexistent.ko",
        ),
    ] {
        let run = pmem(words).code(code).stdout("");
        let error: serde_json::Value = serde_json::from_slice(&run.get_output().stderr).unwrap();
        assert_eq!(error["event"], "error");
        assert_eq!(error["format"], "pmem error");
        assert_eq!(error["exit_code"], code);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(hint), "{message}");
    }
}

#[test]
fn help_and_manual_have_the_table_of_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    pmem(&["man", folder.path().to_str().unwrap()]).success();
    let page = std::fs::read_to_string(folder.path().join("pmem-vtop.1")).unwrap();
    let help = pmem(&["--help"]).success();
    let help = String::from_utf8_lossy(&help.get_output().stdout).into_owned();
    let help: Vec<&str> = help.split_whitespace().collect();
    for status in ExitStatus::ALL {
        let meaning = status.meaning();
        assert!(page.contains(meaning), "{page}");
        assert!(help.join(" ").contains(meaning), "{help:?}");
    }
}
