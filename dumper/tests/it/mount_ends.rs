// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mount`: how it ends, why it does not begin, and what it goes on without.

use crate::fake::page;
use crate::json::keeps_to;
use crate::mount::{END, compare, fake};
use crate::mounted::{Mount, may_mount, refused};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::Command;

#[test]
fn signals_unmount_even_while_a_file_is_open() {
    let folder = tempfile::tempdir().unwrap();
    fake().acquire(folder.path(), &["a.lime"]).unwrap();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut mount = Mount::new(folder.path(), &["a.lime"]);
        assert!(mount.is_mounted());
        let said = format!(
            "`umount {}` or Ctrl-C unmounts it\n",
            mount.folder.display()
        );
        assert!(mount.line.ends_with(&said), "{}", mount.line);
        let mut open = File::open(mount.path("memory.raw")).unwrap();
        open.read_exact(&mut [0; 10]).unwrap();
        let pid = Pid::from_child(&mount.program);
        kill_process(pid, signal).unwrap();
        assert_eq!(mount.wait().code(), Some(0), "{signal:?}");
        assert!(!mount.is_mounted());
        assert_eq!(fs::read_dir(&mount.folder).unwrap().count(), 0);
        assert!(open.read_at(&mut [0; 10], 0x1_0000_0000).is_err());
    }
}

#[test]
fn a_mount_below_is_left_alone() {
    may_mount();
    let folder = tempfile::tempdir().unwrap();
    fake().acquire(folder.path(), &["a.lime"]).unwrap();
    let mount = Mount::new(folder.path(), &["a.lime"]);
    // A second one over it: each `umount` takes one.
    let words = ["a.lime", &*mount.folder.to_string_lossy()];
    let covered = refused(folder.path(), &words);
    let said = String::from_utf8_lossy(&covered.stderr);
    assert!(said.contains("is not empty"), "{said}");
    let mut tmpfs = Command::new("mount");
    let tmpfs = tmpfs.args(["-t", "tmpfs", "none"]).arg(&mount.folder);
    assert!(tmpfs.status().unwrap().success());
    // Asked to end, it does not unmount what is not its own.
    let mut mount = mount;
    kill_process(Pid::from_child(&mount.program), Signal::TERM).unwrap();
    let status = mount.wait();
    assert_eq!(status.code(), Some(1));
    let mut said = String::new();
    let mut stderr = mount.program.stderr.take().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert!(said.contains("shows another file system"), "{said}");
    assert!(mount.is_mounted());
    for _ in 0..2 {
        let umount = Command::new("umount").arg(&mount.folder).status();
        assert!(umount.unwrap().success());
    }
    assert!(!mount.is_mounted());
}

#[test]
fn what_cannot_be_mounted_is_said() {
    may_mount();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fake().acquire(at, &["a.lime"]).unwrap();
    fs::create_dir_all(at.join("full/below")).unwrap();
    fs::create_dir(at.join("empty")).unwrap();
    for (words, complaint) in [
        (["a.lime", "missing"], "missing: No such file or directory"),
        (["a.lime", "a.lime"], "a.lime is not a folder"),
        (["a.lime", "full"], "full is not empty"),
        (
            ["a.lime", "."],
            "a.lime is in ., where nobody could read it",
        ),
        (
            ["a.lime.sha256", "empty"],
            "a.lime.sha256: this has no known magic number",
        ),
        (["nothing", "empty"], "nothing: No such file"),
    ] {
        let output = refused(at, &words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains(complaint), "{words:?}: {said}");
    }
    // As on a machine without FUSE, and as one who may not mount.
    let program = env!("CARGO_BIN_EXE_linpmem-dump");
    let without_device = format!("mount -t tmpfs none /dev && exec {program} mount a.lime empty");
    let shell = |words: &[&str], script: &str| {
        let mut command = Command::new(words[0]);
        let command = command.current_dir(at).args(&words[1..]);
        let output = command.args(["sh", "-c", script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        said
    };
    let said = shell(&["unshare", "--mount"], &without_device);
    assert!(
        said.contains("/dev/fuse does not exist: load the kernel's module"),
        "{said}"
    );
    let unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let said = shell(&unprivileged, &format!("exec {program} mount a.lime empty"));
    assert!(
        said.contains("empty is not permitted: run this as root"),
        "{said}"
    );
    assert_eq!(fs::read_dir(at.join("empty")).unwrap().count(), 0);
}

#[test]
fn an_image_that_was_cut_off_is_mounted_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    fake().acquire(folder.path(), &["a.core"]).unwrap();
    let path = folder.path().join("a.core");
    let len = fs::metadata(&path).unwrap().len();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(len - 0x10_0000).unwrap();
    let mount = Mount::new(folder.path(), &["a.core"]);
    let listed = mount.text("unreadable.txt");
    assert!(
        listed.contains("0x100eff000-0x100ffefff, 256 pages: ENOLINK (cut off"),
        "{listed}"
    );
    let raw = File::open(mount.path("memory.raw")).unwrap();
    assert_eq!(raw.metadata().unwrap().len(), END);
    let mut page_before = [0; 4096];
    raw.read_exact_at(&mut page_before, 0x1_00ef_e000).unwrap();
    assert_eq!(page_before, page(0x1_00ef_e000));
    drop(raw);
    let (code, said) = mount.end();
    assert_eq!(code, Some(3), "{said}");
}

#[test]
fn a_damaged_manifest_does_not_keep_memory_from_being_mounted() {
    let folder = tempfile::tempdir().unwrap();
    fake().acquire(folder.path(), &["a.lime"]).unwrap();
    fs::write(folder.path().join("a.lime.manifest.jsonl"), "{}\n").unwrap();
    let mount = Mount::new(folder.path(), &["a.lime"]);
    assert!(!mount.path("info.json").exists());
    compare(&File::open(mount.path("memory.raw")).unwrap(), 5);
    let (code, said) = mount.end();
    assert_eq!(code, Some(0));
    assert!(
        said.contains("info.json is left out: a.lime.manifest.jsonl"),
        "{said}"
    );
}

#[test]
fn a_kernel_that_is_not_found_is_said_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fake().acquire(at, &["a.lime"]).unwrap();
    let mount = Mount::new(at, &["a.lime", "--json"]);
    let document: Value = serde_json::from_str(&mount.line).unwrap();
    keeps_to("mount", &document);
    let reason = document["kernel_not_found"].as_str().unwrap().to_owned();
    assert!(reason.contains("has no artifacts"), "{reason}");
    assert_eq!(mount.text("kernel-not-found.txt"), format!("{reason}\n"));
    assert_eq!(
        mount.names("."),
        [
            "info.json",
            "kernel-not-found.txt",
            "memory.elf",
            "memory.raw",
            "ranges",
            "unreadable.txt"
        ]
    );
    let (code, said) = mount.end();
    assert_eq!(code, Some(0));
    let line: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(line.to_string().contains("has no artifacts"), "{line}");
}
