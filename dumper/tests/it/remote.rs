// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that go to another machine, by both programs as a user starts them.

use crate::fake::{Fake, flip};
use crate::json::keeps_to;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const DUMP: &str = env!("CARGO_BIN_EXE_linpmem-dump");

/// A folder with an image `a.core`, an empty folder `target` for the sender, and one for the
/// receiver.
pub struct Place {
    folder: tempfile::TempDir,
}

/// A receiver that runs, and the address that it printed.
pub struct Receiver {
    child: Option<Child>,
    pub to: String,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["target", "out"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder that has all of them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn receive(&self, listen: &str, words: &[&str]) -> Receiver {
        let mut child = Command::new(DUMP)
            .args(["receive", "--listen", listen, "--out", "out", "--json"])
            .args(words)
            .current_dir(self.folder.path())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(self.path("log")).unwrap())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let listening = serde_json::Deserializer::from_reader(out)
            .into_iter()
            .next();
        let listening: serde_json::Value = listening.unwrap().unwrap();
        keeps_to("receive", &listening);
        Receiver {
            child: Some(child),
            to: listening["to"].as_str().unwrap().to_owned(),
        }
    }

    /// The command of a sender, in a folder of its own.
    pub fn sender(&self, receiver: &Receiver, words: &[&str]) -> Command {
        let mut command = Command::new(DUMP);
        command
            .args(["--source", "file:../a.core", "--json", "--progress", "none"])
            .args(words)
            .env("LINPMEM_TO", &receiver.to)
            .current_dir(self.path("target"))
            .stderr(Stdio::piped());
        command
    }

    /// What the receiver's folder has.
    pub fn arrived(&self) -> Vec<String> {
        names(&self.path("out"))
    }

    /// The one image there.
    pub fn image(&self) -> PathBuf {
        let receipts = self.arrived();
        let receipt = receipts
            .iter()
            .find_map(|name| name.strip_suffix(".receipt.json"));
        self.path("out").join(receipt.unwrap())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

impl Receiver {
    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().unwrap().id();
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Memory that it has for itself.
    fn own_memory_kib(&self) -> u64 {
        let id = self.child.as_ref().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let number = line.unwrap().split_whitespace().nth(1).unwrap();
        number.parse().unwrap()
    }

    /// Waits for its end, and returns its exit code.
    pub fn ended(mut self) -> Option<i32> {
        self.child.take().unwrap().wait().unwrap().code()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn said(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

fn verify(image: &Path) -> Output {
    Command::new(DUMP)
        .arg("verify")
        .arg("--full")
        .arg(image)
        .output()
        .unwrap()
}

/// Waits until `is` is so.
pub fn until(is: impl FnMut() -> bool) {
    until_within(Duration::from_secs(60), is);
}

fn until_within(longest: Duration, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < longest, "it never is");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_format_arrives_as_it_would_be_here_and_leaves_nothing() {
    for (format, words) in [
        ("core", &[][..]),
        ("core.zst", &["--compress", "zstd"]),
        ("lime", &["--format", "lime"]),
        ("padded", &["--format", "raw", "--raw-layout", "padded"]),
        ("aff4", &["--format", "aff4"]),
        ("kdump", &["--format", "kdump"]),
        ("avml", &["--format", "avml"]),
    ] {
        let place = Place::new();
        let receiver = place.receive("127.0.0.1:0", &["--once"]);
        let run = place.sender(&receiver, words).output().unwrap();
        assert!(run.status.success(), "{format}: {}", said(&run));
        assert_eq!(receiver.ended(), Some(0), "{format}");
        let image = place.image();
        assert!(image.to_str().unwrap().ends_with(format), "{image:?}");
        let verified = verify(&image);
        assert!(verified.status.success(), "{format}: {verified:?}");
        let compared = Command::new(DUMP)
            .args(["compare", "a.core"])
            .arg(&image)
            .current_dir(place.folder.path())
            .output()
            .unwrap();
        assert!(compared.status.success(), "{format}: {compared:?}");
        // The sum that the receiver wrote is that of the file.
        let checked = Command::new("sha256sum")
            .args(["--check", "--status"])
            .arg(format!("{}.sha256", image.display()))
            .current_dir(place.path("out"))
            .status();
        assert!(checked.unwrap().success(), "{format}");
        assert_eq!(
            names(&place.path("target")),
            Vec::<String>::new(),
            "{format}"
        );
        assert_eq!(place.arrived().len(), 4, "{format}: {:?}", place.arrived());
    }
}

#[test]
fn the_summary_has_the_receipt_and_no_record_has_the_secret() {
    let place = Place::new();
    let receiver = place.receive("127.0.0.1:0", &[]);
    fs::write(place.path("address"), format!("\n{}\n", receiver.to)).unwrap();
    for (to, is_typed) in [("@../address", false), (receiver.to.as_str(), true)] {
        let run = place
            .sender(&receiver, &["--to", to])
            .env_remove("LINPMEM_TO")
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", said(&run));
        let last = said(&run).lines().last().unwrap().to_owned();
        let summary: serde_json::Value = serde_json::from_str(&last).unwrap();
        let confirmed = &summary["receiver"];
        assert_eq!(confirmed["verified"], true, "{last}");
        let place_of = receiver.to.split('#').next().unwrap();
        assert_eq!(confirmed["address"], place_of);
        let secret = receiver.to.split('#').nth(1).unwrap();
        let token = &secret[secret.len() - 22..];
        let mut records = vec![said(&run), place.log()];
        for name in place.arrived() {
            records.push(fs::read_to_string(place.path("out").join(&name)).unwrap_or_default());
        }
        for line in said(&run).lines().chain(place.log().lines()) {
            keeps_to("stderr", &serde_json::from_str(line).unwrap());
        }
        for record in &records {
            assert!(!record.contains(token), "{record}");
        }
        let recorded = records
            .iter()
            .any(|record| record.contains(&format!("{place_of}#…")));
        assert!(!is_typed || recorded);
    }
    // The second image of the same second gets a name of its own.
    assert_eq!(place.arrived().len(), 8, "{:?}", place.arrived());
}

#[test]
fn a_receiver_that_is_killed_and_started_anew_gets_the_rest() {
    let place = Place::new();
    let kept = ["--key", "key", "--token-file", "token"];
    let mut receiver = place.receive("127.0.0.1:0", &kept);
    let at = receiver
        .to
        .split('#')
        .next()
        .unwrap()
        .replace("linpmem://", "");
    // Slow enough to be killed in between: the image has some MiB.
    let run = place
        .sender(&receiver, &["--rate", "2", "--give-up", "60"])
        .spawn()
        .unwrap();
    for _ in 0..3 {
        let length = || {
            let partial = place
                .arrived()
                .into_iter()
                .find(|name| name.ends_with(".core.partial"));
            partial.map_or(0, |name| {
                fs::metadata(place.path("out").join(name)).map_or(0, |found| found.len())
            })
        };
        let before = length();
        until(|| length() > before);
        receiver.signal(Signal::KILL);
        receiver.ended();
        receiver = place.receive(&at, &kept);
    }
    let run = run.wait_with_output().unwrap();
    assert!(run.status.success(), "{}", said(&run));
    assert!(verify(&place.image()).status.success());
    assert!(place.log().contains("\"begun\""), "{}", place.log());
    assert_eq!(place.arrived().len(), 4, "{:?}", place.arrived());
}

#[test]
fn a_run_that_is_interrupted_leaves_what_can_be_recovered_there() {
    let place = Place::new();
    let receiver = place.receive("127.0.0.1:0", &[]);
    // It takes 24 seconds: however busy the disk is, most of it is not read yet.
    let run = place.sender(&receiver, &["--rate", "1"]).spawn().unwrap();
    let arrived = || place.arrived().into_iter();
    let partial = || arrived().find(|name| name.ends_with(".core.partial"));
    until(|| place.log().contains("begun") && partial().is_some());
    kill_process(
        Pid::from_raw(run.id().try_into().unwrap()).unwrap(),
        Signal::TERM,
    )
    .unwrap();
    let run = run.wait_with_output().unwrap();
    assert_eq!(run.status.code(), Some(1), "{}", said(&run));
    // What arrived is not called compared.
    let last = said(&run).lines().last().unwrap().to_owned();
    let summary: serde_json::Value = serde_json::from_str(&last).unwrap();
    keeps_to("stderr", &summary);
    assert_eq!(summary["receiver"]["verified"], false, "{last}");
    assert_eq!(
        summary["recover_command"],
        serde_json::Value::Null,
        "{last}"
    );
    let name = partial().unwrap();
    until(|| place.log().contains("incomplete"));
    let recovered = Command::new(DUMP)
        .args(["recover", &name, "whole.core"])
        .current_dir(place.path("out"))
        .output()
        .unwrap();
    assert_eq!(recovered.status.code(), Some(3), "{recovered:?}");
    assert_eq!(names(&place.path("target")), Vec::<String>::new());
    assert!(
        !place
            .arrived()
            .iter()
            .any(|name| name.ends_with(".receiving"))
    );
}

#[test]
fn a_receiver_without_room_says_so_and_keeps_what_it_has() {
    let place = Place::new();
    let receiver = place.receive("127.0.0.1:0", &["--min-free", "1000000GiB"]);
    let run = place.sender(&receiver, &[]).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(said(&run).contains("free"), "{}", said(&run));
    drop(receiver);
    assert_eq!(place.arrived(), Vec::<String>::new());
    // How long a compressed image will be shows only as it grows.
    let receiver = place.receive("127.0.0.1:0", &["--max-size", "1MiB"]);
    let run = place
        .sender(&receiver, &["--compress", "zstd"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(said(&run).contains("--max-size"), "{}", said(&run));
    assert!(!said(&run).contains("complete\""), "{}", said(&run));
    assert!(
        place
            .arrived()
            .iter()
            .all(|name| !name.ends_with(".receipt.json"))
    );
}

#[test]
fn nothing_begins_where_the_image_has_two_places_or_none() {
    let place = Place::new();
    let receiver = place.receive("127.0.0.1:0", &[]);
    for (words, expected) in [
        (&["here.core"][..], "LINPMEM_TO"),
        (&["--to", "@missing"], "missing"),
        (&["--to", "ftp://a"], "linpmem://"),
        (&["--to", "linpmem://a:1"], "#KEY-TOKEN"),
        (
            &["--to", "linpmem://a:1#b", "here.core"],
            "cannot be used with",
        ),
        (&["--second-pass"], "--second-pass"),
        (&["--read-back"], "--read-back"),
        (&["--sign-key", "key"], "--sign-key"),
    ] {
        let run = place.sender(&receiver, words).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{words:?}: {}", said(&run));
        assert!(said(&run).contains(expected), "{words:?}: {}", said(&run));
    }
    let wrong = receiver.to.replace("127.0.0.1", "127.0.0.9");
    let run = place.sender(&receiver, &["--to", &wrong]).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    assert!(said(&run).contains("connecting to"), "{}", said(&run));
    assert_eq!(names(&place.path("target")), Vec::<String>::new());
}

#[test]
fn an_image_that_the_receivers_disk_has_changed_is_not_confirmed() {
    let place = Place::new();
    let receiver = place.receive("127.0.0.1:0", &[]);
    let run = place.sender(&receiver, &["--rate", "2"]).spawn().unwrap();
    let mut partial = None;
    until(|| {
        let found = place.arrived();
        let name = found.iter().find(|name| name.ends_with(".core.partial"));
        partial = name.map(|name| place.path("out").join(name));
        partial
            .as_ref()
            .is_some_and(|path| fs::metadata(path).is_ok_and(|found| found.len() > 2 << 20))
    });
    flip(&partial.unwrap(), 1 << 20);
    let run = run.wait_with_output().unwrap();
    assert_eq!(run.status.code(), Some(1), "{}", said(&run));
    assert!(
        said(&run).contains("differs from its manifest"),
        "{}",
        said(&run)
    );
    let arrived = place.arrived();
    assert!(
        arrived.iter().any(|name| name.ends_with(".core.partial")),
        "{arrived:?}"
    );
    for ending in [".core", ".sha256", ".receipt.json"] {
        assert!(
            !arrived.iter().any(|name| name.ends_with(ending)),
            "{arrived:?}"
        );
    }
}

/// Many machines that one command started at once.
#[test]
fn a_hundred_senders_are_served_at_once() {
    const SENDERS: usize = 100;
    let place = Place::new();
    let receiver = place.receive("127.0.0.1:0", &[]);
    // Two seconds for each, and they all find a receiver that does not answer yet.
    receiver.signal(Signal::STOP);
    let words = [
        "--range",
        "0x100000-0x2fffff",
        "--rate",
        "1",
        "--threads",
        "1",
    ];
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| place.sender(&receiver, &words).spawn().unwrap())
        .collect();
    receiver.signal(Signal::CONT);
    let mut most_at_once = 0;
    let mut most_kib = 0;
    let mut ended = 0;
    until_within(Duration::from_secs(240), || {
        let folder = place.arrived();
        let arriving = folder.iter().filter(|name| name.ends_with(".receiving"));
        most_at_once = most_at_once.max(arriving.count());
        most_kib = most_kib.max(receiver.own_memory_kib());
        ended = folder
            .iter()
            .filter(|name| name.ends_with(".receipt.json"))
            .count();
        ended == SENDERS
    });
    for sender in senders {
        let run = sender.wait_with_output().unwrap();
        assert!(run.status.success(), "{}", said(&run));
    }
    let images: Vec<_> = place
        .arrived()
        .into_iter()
        .filter(|name| name.ends_with(".core"))
        .collect();
    assert_eq!(images.len(), SENDERS);
    for image in images {
        let verified = verify(&place.path("out").join(image));
        assert!(verified.status.success(), "{verified:?}");
    }
    println!("{most_at_once} at once, {most_kib} KiB");
    assert!(most_at_once >= SENDERS / 2, "{most_at_once}");
    assert!(most_kib <= 32 << 10, "{most_kib} KiB");
}

#[test]
fn a_run_waits_for_no_longer_than_it_may() {
    let place = Place::new();
    let mut waits = Vec::new();
    for _ in 0..4 {
        let begun = Instant::now();
        let mut run = Command::new(DUMP);
        run.args([
            "--source",
            "file:a.core",
            "--jitter",
            "2",
            "--force",
            "b.core",
        ]);
        let run = run.current_dir(place.folder.path()).output().unwrap();
        assert!(run.status.success(), "{}", said(&run));
        let words = said(&run);
        let wait = words.split("waiting for ").nth(1).unwrap();
        let wait: f64 = wait.split(' ').next().unwrap().parse().unwrap();
        assert!(begun.elapsed().as_secs_f64() >= wait - 0.1, "{words}");
        assert!(wait <= 2.0, "{words}");
        waits.push(words.lines().next().unwrap().to_owned());
    }
    waits.dedup();
    assert!(waits.len() > 1, "{waits:?}");
}
