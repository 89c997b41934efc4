// SPDX-License-Identifier: MIT OR Apache-2.0
//! Artifacts, in every place where they can be stored.

use crate::fake::{Fake, manifest_of};
use assert_cmd::Command;
use linpmem_capture::AcquireError;
use linpmem_capture::artifacts::{Artifacts, MACHINE, MANIFEST};
use linpmem_capture::sink::SpaceError;
use linpmem_capture::stop::Stop;
use linpmem_dump::commands::acquire::RunError;
use linpmem_manifest::{ArtifactsPlace, Manifest, State};
use linpmem_phys::PhysAddr;
use predicates::str::contains;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// All below 9 MiB.
const LOW: [&str; 2] = ["--range", "0-0x8fffff"];

fn dump(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("linpmem-dump").unwrap();
    command.current_dir(folder);
    command
}

/// An acquisition with the artifacts of the machine that the tests run on.
fn acquire(folder: &Path, name: &str) -> Manifest {
    let fake = Fake {
        with_artifacts: true,
        ..Fake::default()
    };
    let words = [&[name][..], &LOW].concat();
    manifest_of(&fake.acquire(folder, &words).unwrap())
}

/// Bytes that do not compress.
fn noise(len: usize) -> Vec<u8> {
    let blocks = (0_u64..).flat_map(|at| Sha256::digest(at.to_le_bytes()).to_vec());
    blocks.take(len).collect()
}

fn files(image: &Path) -> Vec<(String, Vec<u8>)> {
    let artifacts = Artifacts::of_image(image).unwrap().unwrap();
    assert_eq!(artifacts.damage(), None);
    let entries = artifacts.entries().iter();
    let mut files: Vec<(String, Vec<u8>)> = entries
        .filter(|entry| entry.name != MANIFEST)
        .map(|entry| {
            let mut content = Vec::new();
            let mut file = artifacts.open(&entry.name).unwrap();
            file.read_to_end(&mut content).unwrap();
            assert_eq!(entry.length, u64::try_from(content.len()).ok());
            (entry.name.clone(), content)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn space_is_reserved_for_artifacts_and_goes_to_memory_first() {
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("named");
    // These bytes do not compress.
    fs::write(&named, noise(1 << 20)).unwrap();
    let named = named.to_str().unwrap();
    let run = |with_artifacts, words: &[&str]| {
        let fake = Fake {
            with_artifacts,
            ..Fake::default()
        };
        fake.acquire(folder.path(), &[words, &LOW].concat())
    };
    let needed = |result| match result {
        Err(RunError::Acquire(AcquireError::Space(SpaceError::TooLarge { needed, .. }))) => {
            needed.get()
        }
        other => panic!("{other:?}"),
    };
    let alone = needed(run(false, &["a.core", "--max-size", "4096"]));
    let just = format!("{alone:#x}");
    let left = || fs::read_dir(folder.path()).unwrap().count();
    for name in ["a.core", "a.aff4"] {
        // Uncompressed, so that it is an error and not a warning.
        let words = [
            name,
            "--compress",
            "none",
            "--max-size",
            &just,
            "--add",
            named,
        ];
        let both = needed(run(false, &words));
        assert!(both >= alone + (1 << 20), "{both} {alone}");
        assert_eq!(left(), 1, "all that was begun is gone");
    }
    // In a file of its own it does not count towards the image's limit.
    let words = ["a.raw", "--max-size", &just, "--add", named];
    assert!(
        manifest_of(&run(false, &words).unwrap())
            .header
            .artifacts
            .is_some()
    );
    let words = ["b.aff4", "--compress", "none", "--max-size", &just];
    let manifest = manifest_of(&run(true, &words).unwrap());
    assert_eq!(manifest.footer.state, State::Complete);
    assert_eq!(manifest.artifacts(), None);
    assert!(
        manifest
            .footer
            .warnings
            .iter()
            .any(|warning| warning.contains("would not fit with them")),
        "{:?}",
        manifest.footer.warnings
    );
}

#[test]
fn formats_without_room_get_a_file_of_artifacts_which_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = acquire(folder.path(), "a.lime");
    let image = folder.path().join("a.lime");
    let archive = folder.path().join("a.lime.artifacts.tar.zst");
    let mode = fs::metadata(&archive).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let record = manifest.artifacts().unwrap();
    assert_eq!(record.place, ArtifactsPlace::File);
    assert_eq!(record.file.as_deref(), Some("a.lime.artifacts.tar.zst"));
    let files = files(&image);
    assert_eq!(files.len(), record.files.len());
    let of = |name: &str| files.iter().find(|(known, _)| known == name).unwrap();
    assert_eq!(of("proc/version").1, fs::read("/proc/version").unwrap());
    assert_eq!(of("proc/cmdline").1, fs::read("/proc/cmdline").unwrap());
    let artifacts = Artifacts::of_image(&image).unwrap().unwrap();
    let machine = artifacts.machine().unwrap();
    assert_eq!(machine.missing, record.missing);
    assert_eq!(machine.host, manifest.header.host);
    // The file alone is enough, too.
    let alone = Artifacts::of_image(&archive).unwrap().unwrap();
    assert_eq!(alone.entries(), artifacts.entries());

    dump(folder.path())
        .args(["ls", "a.lime"])
        .assert()
        .success()
        .stdout(contains("proc/cmdline"));
    dump(folder.path())
        .args(["extract", "a.lime", "v", "--file", "/proc/version"])
        .assert()
        .success();
    assert_eq!(
        fs::read(folder.path().join("v")).unwrap(),
        of("proc/version").1
    );
    dump(folder.path())
        .args(["extract", "a.lime", "w", "--file", "proc/none"])
        .assert()
        .code(1)
        .stderr(contains("proc/none"));
    assert!(!folder.path().join("w").exists());
    dump(folder.path())
        .args(["info", "a.lime"])
        .assert()
        .success()
        .stdout(contains("banner:            Linux version"))
        // From the artifacts: LiME has no VMCOREINFO.
        .stdout(contains("kernel:            1.2.3\n"))
        .stdout(contains("VMCOREINFO:        16 bytes\n"));

    let verify = |code, said: &str| {
        dump(folder.path())
            .args(["verify", "a.lime"])
            .assert()
            .code(code)
            .stdout(contains(said));
    };
    verify(0, "the artifacts are good");
    let file = fs::OpenOptions::new().read(true).write(true).open(&archive);
    let file = file.unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 1000).unwrap();
    verify(1, "the artifacts differ");
    file.set_len(2000).unwrap();
    verify(1, "the artifacts have 2000 bytes");
    fs::remove_file(&archive).unwrap();
    verify(1, "the artifacts are missing");
}

#[test]
fn cores_and_volumes_hold_artifacts_and_conversions_keep_them() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = acquire(folder.path(), "a.core");
    assert_eq!(manifest.artifacts().unwrap().place, ArtifactsPlace::Tail);
    assert!(!folder.path().join("a.core.artifacts.tar.zst").exists());
    let original = files(&folder.path().join("a.core"));
    assert!(original.iter().any(|(name, _)| name == MACHINE));
    for (from, to) in [
        ("a.core", "b.core.zst"),
        ("b.core.zst", "c.aff4"),
        ("c.aff4", "d.padded"),
        ("d.padded", "e.core"),
    ] {
        dump(folder.path())
            .args(["convert", from, to, "--progress", "none"])
            .assert()
            .success();
        assert!(files(&folder.path().join(to)) == original, "{to}");
        dump(folder.path()).args(["verify", to]).assert().success();
    }
    // What is converted does not change: its artifacts come first, in a note.
    let converted = folder.path().join("e.core.manifest.jsonl");
    let record = linpmem_manifest::read(&converted).unwrap().header.artifacts;
    assert_eq!(record.unwrap().place, ArtifactsPlace::Note);
    // A volume has the names that the files had on the machine.
    let image = linpmem_capture::source::open_aff4(&folder.path().join("c.aff4"), &[]);
    let paths: Vec<String> = image
        .unwrap()
        .unwrap()
        .files()
        .iter()
        .map(|file| file.path.clone())
        .collect();
    assert!(
        paths.iter().any(|path| path == "/proc/cmdline"),
        "{paths:?}"
    );
}

/// Making them replaces free pages, which nobody could read any more.
#[test]
fn artifacts_are_collected_when_the_last_page_has_been_read() {
    for name in [
        "a.core",
        "a.core.zst",
        "a.lime",
        "a.aff4",
        "a.padded",
        "a.kdump",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let manifest = acquire(folder.path(), name);
        let image = folder.path().join(name);
        let artifacts = Artifacts::of_image(&image).unwrap().unwrap();
        let collected_ns = artifacts.machine().unwrap().clocks.monotonic_ns;
        let written = manifest.written.as_ref().unwrap();
        let started_ns = manifest.header.started.monotonic_ns;
        let read_end_ns = started_ns + written.read_us.end_us() * 1000;
        assert!(read_end_ns < collected_ns, "{name}: too early");
        assert!(
            collected_ns < written.synced.monotonic_ns,
            "{name}: too late"
        );
        let record = manifest.artifacts().unwrap();
        assert!(record.files.len() > 3, "{name}");
        assert_eq!(manifest.header.artifacts_file, record.file, "{name}");
        dump(folder.path())
            .args(["verify", name])
            .assert()
            .success();
    }
}

/// What the user names can end the run, and what goes to a pipe has its order.
#[test]
fn artifacts_that_are_demanded_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake {
        with_artifacts: true,
        ..Fake::default()
    };
    let words = [&["a.core", "--bundle"][..], &LOW].concat();
    let manifest = manifest_of(&fake.acquire(folder.path(), &words).unwrap());
    let record = manifest.header.artifacts.as_ref().unwrap();
    assert_eq!(record.place, ArtifactsPlace::Note);
    let artifacts = Artifacts::of_image(&folder.path().join("a.core")).unwrap();
    let collected_ns = artifacts.unwrap().machine().unwrap().clocks.monotonic_ns;
    let first = manifest.written.unwrap().read_us.begin_us * 1000;
    assert!(collected_ns < manifest.header.started.monotonic_ns + first);
}

/// After a signal as well: an image without them is worth little.
#[test]
fn an_interrupted_image_has_its_artifacts() {
    for name in ["a.core", "a.lime", "a.aff4"] {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake {
            stop_at: Some((PhysAddr::new(0x40_1000), Stop::default())),
            with_artifacts: true,
            ..Fake::default()
        };
        let words = [&[name][..], &LOW].concat();
        let summary = fake.acquire(folder.path(), &words).unwrap();
        assert_eq!(summary.acquired.state, State::Interrupted);
        assert!(manifest_of(&summary).artifacts().is_some(), "{name}");
        let artifacts = Artifacts::of_image(&summary.acquired.image).unwrap();
        assert_eq!(artifacts.unwrap().damage(), None);
    }
}

#[test]
fn a_volume_holds_its_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let words = [&["a.aff4"][..], &LOW].concat();
    let summary = Fake::default().acquire(folder.path(), &words).unwrap();
    let whole = manifest_of(&summary);
    let artifacts = Artifacts::of_image(&folder.path().join("a.aff4")).unwrap();
    let lines = artifacts.unwrap().bytes(MANIFEST, 1 << 20).unwrap();
    let inner = linpmem_manifest::parse(lines.as_slice(), "inner".as_ref()).unwrap();
    assert_eq!(inner.ranges, whole.ranges);
    assert_eq!(
        (inner.footer.file.length, inner.footer.state),
        (0, whole.footer.state)
    );
    assert_eq!(inner.footer.file.sha256_tree, whole.footer.file.sha256_tree);
    fs::remove_file(&summary.acquired.manifest).unwrap();
    dump(folder.path())
        .args(["verify", "a.aff4"])
        .assert()
        .success()
        .stdout(contains("with the manifest"));
}

#[test]
fn options_decide_whether_artifacts_are_collected_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let words = [&["a.core"][..], &LOW].concat();
    let summary = Fake::default().acquire(folder.path(), &words).unwrap();
    assert_eq!(manifest_of(&summary).artifacts(), None);
    assert!(
        Artifacts::of_image(&summary.acquired.image)
            .unwrap()
            .is_none()
    );
    dump(folder.path())
        .args(["ls", "a.core"])
        .assert()
        .code(1)
        .stderr(contains("a.core has no artifacts"));
    let convert = || {
        let mut command = dump(folder.path());
        command.args(["convert", "a.core"]);
        command
    };
    convert()
        .args(["b.lime", "--bundle"])
        .assert()
        .code(2)
        .stderr(contains("only ELF and AFF4 images can hold artifacts"));
    // Files that the user names are kept with any format, and never replace another file.
    fs::write(folder.path().join("note"), "note").unwrap();
    let archive = folder.path().join("b.lime.artifacts.tar.zst");
    fs::write(&archive, "mine").unwrap();
    convert()
        .args(["b.lime", "--add", "note"])
        .assert()
        .code(1)
        .stderr(contains("b.lime.artifacts.tar.zst exists already"));
    assert_eq!(fs::read(&archive).unwrap(), b"mine");
    assert!(!folder.path().join("b.lime.partial").exists());
    convert()
        .args(["b.lime", "--add", "note", "--force"])
        .assert()
        .success();
    let listed = files(&folder.path().join("b.lime"));
    assert_eq!(listed.len(), 1);
    assert!(listed[0].0.ends_with("/note") && listed[0].1 == b"note");
    // Even if the path is spelled differently.
    fs::create_dir(folder.path().join("below")).unwrap();
    convert()
        .args(["c.aff4", "--add", "below/../note"])
        .assert()
        .success();
    let added = files(&folder.path().join("c.aff4"));
    assert!(added.contains(&listed[0]), "{added:?}");
}

#[test]
fn what_a_pattern_matches_never_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    Fake::default().acquire(folder.path(), &["a.core"]).unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("good.conf"), b"good").unwrap();
    // As an unprivileged user would do it to stop an acquisition.
    let giant = fs::File::create(home.join("giant.conf")).unwrap();
    giant.set_len(20 << 30).unwrap();
    for (name, target) in [
        ("endless.conf", "/dev/zero"),
        ("dangling.conf", "nowhere"),
        ("link.conf", "good.conf"),
    ] {
        std::os::unix::fs::symlink(target, home.join(name)).unwrap();
    }
    fs::create_dir(home.join("folder.conf")).unwrap();
    dump(folder.path())
        .args(["convert", "a.core", "b.lime", "--add", "home/*.conf"])
        .args(["--add-limit", "1MiB"])
        .timeout(Duration::from_secs(60))
        .assert()
        .success()
        .stderr(contains("link.conf: it is a symbolic link to good.conf"))
        .stderr(contains(
            "2 files in b.lime.artifacts.tar.zst; 3 could not be collected",
        ));
    let manifest = linpmem_manifest::read(&folder.path().join("b.lime.manifest.jsonl")).unwrap();
    let artifacts = manifest.header.artifacts.unwrap();
    let mut missing: Vec<(&str, &str)> = artifacts
        .missing
        .iter()
        .map(|missing| {
            (
                missing.name.rsplit('/').next().unwrap(),
                missing.reason.as_str(),
            )
        })
        .collect();
    missing.sort_unstable();
    let [dangling, endless, giant] = missing.as_slice() else {
        panic!("{missing:?}");
    };
    assert!(dangling.0 == "dangling.conf" && dangling.1.contains("No such file"));
    assert!(endless.0 == "endless.conf" && endless.1.contains("not a regular file"));
    assert!(giant.0 == "giant.conf" && giant.1.contains("larger than the limit of 1 MiB"));
}
