// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that go to object stores, by the program as a user starts it, to real servers.

use crate::fake::Fake;
use crate::json::keeps_to;
use crate::schema::Schema;
use linpmem_testkit::stores::{S3_KEYS, StoreServer};
use linpmem_testkit::troubled_line::{Trouble, TroubledLine, every_kind};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const DUMP: &str = env!("CARGO_BIN_EXE_linpmem-dump");

/// The signature of an address that Azure checks, and that nobody may see.
const ALWAYS: &str = "2090-01-01T00:00:00Z";

/// A folder with an image `a.core` of some parts, an empty folder `target` for the sender, and one
/// for the store.
pub struct Place {
    folder: tempfile::TempDir,
    /// What tells the program where S3 is.
    pub s3: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["target", "store/bucket"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        // Memory that no codec and no sum confuses with another part of it.
        let mut memory = fs::File::create(folder.path().join("memory")).unwrap();
        for page in 0_u32..5000 {
            let words = (0..1024_u32).flat_map(|word| (page * 1024 + word).to_le_bytes());
            memory.write_all(&words.collect::<Vec<u8>>()).unwrap();
        }
        let made = Command::new(DUMP)
            .args(["convert", "memory", "a.core", "--input-layout", "padded"])
            .args(["--no-artifacts", "--progress", "none"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(made.status.code(), Some(0), "{}", said(&made));
        Self {
            folder,
            s3: String::new(),
        }
    }

    /// The same, with S3 at hand.
    pub fn with_s3() -> (Self, StoreServer) {
        let mut place = Self::new();
        let server = StoreServer::s3(&place.path("store")).unwrap();
        place.s3 = format!("http://{}", server.address());
        (place, server)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(DUMP);
        for (name, _) in std::env::vars() {
            let name = name.to_ascii_lowercase();
            if name.starts_with("aws_") || name.ends_with("_proxy") {
                command
                    .env_remove(name.to_ascii_uppercase())
                    .env_remove(name);
            }
        }
        let [key, secret] = S3_KEYS;
        command
            .args(words)
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_ENDPOINT_URL", &self.s3)
            .env("HOME", self.path("target"))
            .current_dir(self.path("target"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A run that sends a.core to `to`, without the address in its command line.
    pub fn sender(&self, to: &str, words: &[&str]) -> Command {
        let run = [
            "--source",
            "file:../a.core",
            "--json",
            "--progress",
            "none",
            "--part-size",
            "5MiB",
        ];
        let mut command = self.command(&[&run, words].concat());
        command.env("LINPMEM_TO", to);
        command
    }

    pub fn sent(&self, to: &str, words: &[&str]) -> Output {
        self.sender(to, words).output().unwrap()
    }

    pub fn verify(&self, address: &str, words: &[&str]) -> Output {
        let verify = ["verify", "--json", "--progress", "none", address];
        self.command(&[&verify, words].concat()).output().unwrap()
    }

    /// How many parts of uploads the store has, which s3s-fs keeps next to its buckets.
    pub fn parts(&self) -> usize {
        let entries = fs::read_dir(self.path("store")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let parts = names.filter(|name| name.to_string_lossy().contains(".part-"));
        parts.count()
    }

    /// Interrupts `sender` when the store has `parts` parts.
    pub fn interrupted(&self, sender: Child, parts: usize) -> Output {
        let begun = Instant::now();
        while self.parts() < parts {
            assert!(begun.elapsed() < Duration::from_secs(60), "no part arrives");
            std::thread::sleep(Duration::from_millis(20));
        }
        let id = sender.id().try_into().unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
        sender.wait_with_output().unwrap()
    }

    /// What the store's folder has of the bucket.
    pub fn stored(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("store/bucket")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

pub fn said(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

/// The last line of stderr, which keeps to the schema.
pub fn summary(run: &Output) -> Value {
    let said = said(run);
    let summary: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    keeps_to("stderr", &summary);
    summary
}

pub fn code(run: &Output, code: i32) {
    let out = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(code), "{}{out}", said(run));
}

/// Requires that the image in the bucket is the one that was sent.
pub fn is_equal(place: &Place, name: &str) {
    let image = place.path("store/bucket").join(name);
    for words in [
        vec!["verify", "--full", image.to_str().unwrap()],
        vec!["compare", "../a.core", image.to_str().unwrap()],
    ] {
        code(&place.command(&words).output().unwrap(), 0);
    }
}

/// Requires that the run has left nothing on its machine.
pub fn is_untouched(place: &Place) {
    let mut left = fs::read_dir(place.path("target")).unwrap();
    assert!(left.next().is_none(), "something was left");
}

#[test]
fn every_store_takes_an_image_and_is_verified_without_a_secret_in_it() {
    let (place, _s3) = Place::with_s3();
    let azure = StoreServer::azure(place.folder.path()).unwrap();
    let container = azure.container("cont", "racwl", ALWAYS).unwrap();
    let (place_in_azure, signature) = container.split_once('?').unwrap();
    let google = StoreServer::google("bucket").unwrap();
    fs::create_dir(place.path("dav")).unwrap();
    let dav = StoreServer::webdav(&place.path("dav")).unwrap();
    for to in [
        "s3://bucket/x.core".to_owned(),
        format!("{place_in_azure}case/x.core?{signature}"),
        "gs://bucket/case 1/x.core".to_owned(),
        format!("http://{}/x.core", dav.address()),
    ] {
        let mut sender = place.sender(&to, &["--format", "elf"]);
        sender.env("STORAGE_EMULATOR_HOST", google.address().to_string());
        let run = sender.output().unwrap();
        code(&run, 0);
        let summary = summary(&run);
        assert_eq!(summary["store"]["complete"], true, "{to}");
        assert_eq!(summary["store"]["parts"], 4, "{to}");
        for secret in [S3_KEYS[1], "sig="] {
            assert!(!said(&run).contains(secret), "{to}");
        }
        is_untouched(&place);

        let verify = ["verify", "--json", "--progress", "none", &to];
        let mut verify = place.command(&verify);
        verify.env("STORAGE_EMULATOR_HOST", google.address().to_string());
        let verified = verify.output().unwrap();
        code(&verified, 0);
        let document: Value = serde_json::from_slice(&verified.stdout).unwrap();
        keeps_to("verify", &document);
        assert_eq!(document["store"]["good"], true, "{to}");
        assert!(!String::from_utf8_lossy(&verified.stdout).contains("sig="));

        // The signature of an address can be in a file.
        fs::write(place.path("address"), &to).unwrap();
        // A WebDAV server has no list.
        if !to.ends_with("/x.core") || !to.starts_with("http") {
            let folder = to.replace("x.core", "");
            let mut index = place.command(&["index", "--json", &folder]);
            index.env("STORAGE_EMULATOR_HOST", google.address().to_string());
            let index = index.output().unwrap();
            code(&index, 0);
            let index: Value = serde_json::from_slice(&index.stdout).unwrap();
            keeps_to("index", &index);
            let [image] = &index["images"].as_array().unwrap()[..] else {
                panic!("{index}");
            };
            assert_eq!(image["state"], "complete");
            assert_eq!(image["size_bytes"], summary["file_bytes"]);
        }
        let mut verify = place.command(&["verify", "@../address"]);
        verify.env("STORAGE_EMULATOR_HOST", google.address().to_string());
        code(&verify.output().unwrap(), 0);

        // Nothing is ever replaced.
        let mut again = place.sender(&to, &["--format", "elf"]);
        again.env("STORAGE_EMULATOR_HOST", google.address().to_string());
        let again = again.output().unwrap();
        code(&again, 1);
        assert!(said(&again).contains("exists"), "{}", said(&again));
    }
    is_equal(&place, "x.core");
    let manifest = fs::read_to_string(place.path("store/bucket/x.core.manifest.jsonl")).unwrap();
    assert!(!manifest.contains(S3_KEYS[1]));
    let lines = manifest
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let objects: Vec<Value> = lines
        .filter_map(|line| line.get("object").cloned())
        .collect();
    assert_eq!(objects.len(), 1);
    let schema = Schema::new(include_str!("../../../docs/manifest.schema.json"));
    schema.check("object", &objects[0]).unwrap();

    // Parts that are files are the image, one after the other.
    let mut joined = Vec::new();
    for number in 0..4 {
        joined.extend(fs::read(place.path(&format!("dav/x.core.{number:05}"))).unwrap());
    }
    assert!(!place.path("dav/x.core.00004").exists());
    assert!(joined == fs::read(place.path("store/bucket/x.core")).unwrap());
}

#[test]
fn a_folder_in_a_store_names_the_image_and_all_that_belongs_to_it() {
    let (place, _s3) = Place::with_s3();
    for format in ["raw", "lime", "aff4", "kdump"] {
        code(&place.sent("s3://bucket", &["--format", format]), 0);
    }
    let stored = place.stored();
    let images = stored
        .iter()
        .filter(|name| name.ends_with(".manifest.jsonl"));
    let images: Vec<_> = images
        .map(|name| name.strip_suffix(".manifest.jsonl").unwrap())
        .collect();
    assert_eq!(images.len(), 4, "{stored:?}");
    for image in images {
        assert!(stored.contains(&format!("{image}.sha256")), "{stored:?}");
        is_equal(&place, image);
        code(&place.verify(&format!("s3://bucket/{image}"), &[]), 0);
    }
}

#[test]
fn troubles_on_the_line_pass_and_change_nothing() {
    let (mut place, s3) = Place::with_s3();
    let line = TroubledLine::new(s3.address(), &every_kind()).unwrap();
    place.s3 = format!("http://{}", line.address);
    let run = place.sent("s3://bucket/x.core", &["--format", "elf"]);
    code(&run, 0);
    assert!(
        line.connections() > every_kind().len(),
        "{}",
        line.connections()
    );
    is_equal(&place, "x.core");
    code(&place.verify("s3://bucket/x.core", &[]), 0);
}

#[test]
fn a_store_that_stays_away_is_given_up_and_nothing_looks_complete() {
    let (mut place, s3) = Place::with_s3();
    let gone = vec![Trouble::Answer(503); 1000];
    // It goes away when the image has begun.
    let troubles = [&[Trouble::CutAfter(3_000_000)][..], &gone].concat();
    let line = TroubledLine::new(s3.address(), &troubles).unwrap();
    place.s3 = format!("http://{}", line.address);
    let begun = Instant::now();
    let run = place.sent("s3://bucket/x.core", &["--format", "elf", "--give-up", "2"]);
    code(&run, 1);
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(said(&run).contains("503"), "{}", said(&run));
    assert!(
        !place
            .stored()
            .iter()
            .any(|name| name.ends_with(".manifest.jsonl"))
    );
}

#[test]
fn who_may_not_is_told_and_has_sent_nothing() {
    let (place, _s3) = Place::with_s3();
    let mut sender = place.sender("s3://bucket/x.core", &[]);
    let run = sender
        .env("AWS_SECRET_ACCESS_KEY", "another")
        .output()
        .unwrap();
    code(&run, 1);
    assert!(
        said(&run).contains("403 (SignatureDoesNotMatch)"),
        "{}",
        said(&run)
    );
    assert!(
        said(&run).contains("check the credentials"),
        "{}",
        said(&run)
    );

    let mut sender = place.sender("s3://bucket/x.core", &[]);
    sender.env_remove("AWS_SECRET_ACCESS_KEY");
    sender.env("AWS_EC2_METADATA_DISABLED", "true");
    let run = sender.output().unwrap();
    code(&run, 1);
    assert!(
        said(&run).contains("no credentials for S3"),
        "{}",
        said(&run)
    );

    let azure = StoreServer::azure(place.folder.path()).unwrap();
    let expired = azure
        .container("cont", "cw", "2020-01-01T00:00:00Z")
        .unwrap();
    let run = place.sent(&expired, &[]);
    code(&run, 1);
    assert!(said(&run).contains("403"), "{}", said(&run));
    assert!(!said(&run).contains("sig="), "{}", said(&run));
    assert!(place.stored().is_empty(), "{:?}", place.stored());
}

#[test]
fn an_interrupted_run_leaves_what_it_has_and_says_so() {
    let (place, _s3) = Place::with_s3();
    let sender = place
        .sender("s3://bucket/x.core", &["--format", "elf", "--rate", "1"])
        .spawn()
        .unwrap();
    // A part has arrived by then, and most of the image is not read.
    let run = place.interrupted(sender, 1);
    code(&run, 1);
    let summary = summary(&run);
    assert_eq!(summary["state"], "interrupted");
    assert_eq!(summary["store"]["complete"], false);
    let stored = place.stored();
    assert_eq!(stored, ["x.core", "x.core.partial.manifest.jsonl"]);
    let length = fs::metadata(place.path("store/bucket/x.core"))
        .unwrap()
        .len();
    assert_eq!(length, summary["file_bytes"].as_u64().unwrap());
    let index = place.command(&["index", "s3://bucket"]).output().unwrap();
    code(&index, 0);
    let index = String::from_utf8_lossy(&index.stdout).into_owned();
    assert!(
        index.contains("partial") && index.contains("0 complete"),
        "{index}"
    );
    // It is no image that is complete.
    let verified = place.verify("s3://bucket/x.core", &[]);
    code(&verified, 1);
    assert!(
        said(&verified).contains("has no manifest"),
        "{}",
        said(&verified)
    );
}

#[test]
fn what_has_changed_in_a_store_is_found() {
    let (place, _s3) = Place::with_s3();
    let address = "s3://bucket/x.core";
    code(&place.sent(address, &["--format", "elf"]), 0);
    let image = place.path("store/bucket/x.core");
    let whole = fs::read(&image).unwrap();
    let damages = |expected: &str| {
        let verified = place.verify(address, &[]);
        code(&verified, 1);
        let said = String::from_utf8_lossy(&verified.stdout).into_owned();
        assert!(said.contains(expected), "{said}");
    };
    let file = fs::File::options().write(true).open(&image).unwrap();
    file.write_all_at(b"another", 6_000_000).unwrap();
    damages("its part 2 is another");
    fs::write(&image, &whole[..whole.len() - 1]).unwrap();
    damages("bytes of");
    fs::write(&image, [&whole[..], b"x"].concat()).unwrap();
    damages("bytes of");
    fs::remove_file(&image).unwrap();
    damages("it is not there");
}

/// Names in a manifest that lead elsewhere are not followed.
#[test]
fn a_manifest_that_lies_about_its_objects_is_refused() {
    let (place, _s3) = Place::with_s3();
    code(&place.sent("s3://bucket/x.core", &["--format", "elf"]), 0);
    let path = place.path("store/bucket/x.core.manifest.jsonl");
    let manifest = fs::read_to_string(&path).unwrap();
    let lied = manifest.replace("\"name\":\"x.core\"", "\"name\":\"../x.core\"");
    assert_ne!(manifest, lied);
    fs::write(&path, lied).unwrap();
    let verified = place.verify("s3://bucket/x.core", &[]);
    code(&verified, 1);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(said.contains("no name of an object"), "{said}");

    fs::write(
        &path,
        manifest.replace("\"part_bytes\":5242880", "\"part_bytes\":1"),
    )
    .unwrap();
    let verified = place.verify("s3://bucket/x.core", &[]);
    code(&verified, 1);
    assert!(Path::new(&path).exists());
    let said = self::said(&verified);
    assert!(said.contains("does not have"), "{said}");
}

#[test]
fn unreadable_pages_stay_unreadable_in_a_store() {
    let (place, _s3) = Place::with_s3();
    Fake::default()
        .acquire(place.folder.path(), &["b.core"])
        .unwrap();
    let mut sender = place.command(&["--source", "file:../b.core", "--json", "--progress", "none"]);
    let run = sender
        .env("LINPMEM_TO", "s3://bucket/b.core")
        .output()
        .unwrap();
    assert!(matches!(run.status.code(), Some(0 | 3)), "{}", said(&run));
    let image = place.path("store/bucket/b.core");
    let compared = place
        .command(&["compare", "../b.core", image.to_str().unwrap()])
        .output()
        .unwrap();
    code(&compared, 0);
}
