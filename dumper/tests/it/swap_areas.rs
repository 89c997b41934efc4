// SPDX-License-Identifier: MIT OR Apache-2.0
//! Swap areas beside an image, on a machine whose /proc/swaps says what a test wants: in a mount
//! namespace of its own, where another file is mounted over it.

use crate::encryption::{PUBLIC, dump, keys};
use crate::fake::{Fake, manifest_of};
use crate::remote::Place;
use linpmem_capture::AcquireError;
use linpmem_capture::artifacts::{Artifacts, Machine, SwapError};
use linpmem_dump::commands::acquire::RunError;
use linpmem_manifest::Manifest;
use linpmem_phys::num::{len_bytes, usize_as_u64};
use linpmem_testkit::stores::StoreServer;
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

const LOW: [&str; 3] = ["--add-swap", "--range", "0-0x8fffff"];
const PAGES: usize = 600;

/// An area whose pages have their numbers.
fn area() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..PAGES)
        .flat_map(|page| u32::try_from(page).unwrap().to_le_bytes().repeat(1024))
        .collect();
    bytes[..4096].fill(0);
    bytes[1024] = 1;
    bytes[1028..1032].copy_from_slice(&u32::try_from(PAGES - 1).unwrap().to_le_bytes());
    bytes[4086..4096].copy_from_slice(b"SWAPSPACE2");
    bytes
}

/// Runs `test` where /proc/swaps lists `areas`: paths, kinds and KiB. It gets the folder that
/// `areas` got.
fn with_areas(
    areas: impl FnOnce(&Path) -> Vec<(PathBuf, &'static str, usize)>,
    test: impl FnOnce(&Path) + Send,
) {
    assert!(
        rustix::process::geteuid().is_root(),
        "tests of swap areas mount a file over /proc/swaps: run them as root"
    );
    let folder = tempfile::tempdir().unwrap();
    let mut text = "Filename\tType\tSize\tUsed\tPriority\n".to_owned();
    for (path, kind, kib) in areas(folder.path()) {
        let path = path.to_str().unwrap().replace(' ', "\\040");
        text.push_str(&format!("{path} {kind}\t{kib}\t\t8\t\t-2\n"));
    }
    let swaps = folder.path().join("swaps");
    fs::write(&swaps, text).unwrap();
    // The namespace is that of a thread, and of those and the programs that it starts.
    let work = || {
        enter_namespace(&swaps);
        test(folder.path());
    };
    let ended = thread::scope(|scope| scope.spawn(work).join());
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

/// Gives this thread mounts of its own, with `swaps` over /proc/swaps.
fn enter_namespace(swaps: &Path) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    // What other tests have mounted would stay mounted as long as this namespace is there.
    let script = "mount --make-rprivate / \
                  && awk '$3 ~ /^fuse/ { print $2 }' /proc/self/mounts | xargs -r -n 1 umount -l; \
                  mount --bind \"$1\" /proc/swaps";
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-c", script, "sh"])
        .arg(swaps)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn fake() -> Fake {
    Fake {
        with_artifacts: true,
        ..Fake::default()
    }
}

fn acquire(folder: &Path, words: &[&str]) -> Manifest {
    let words = [words, &LOW].concat();
    manifest_of(&fake().acquire(folder, &words).unwrap())
}

fn opened(image: &Path) -> (Artifacts, Machine) {
    let artifacts = Artifacts::of_image(image).unwrap().unwrap();
    let machine = artifacts.machine().unwrap();
    (artifacts, machine)
}

fn good(folder: &Path) -> (PathBuf, &'static str, usize) {
    let path = folder.join("swap file");
    fs::write(&path, area()).unwrap();
    (path, "file", (PAGES - 1) * 4)
}

#[test]
fn areas_are_kept_in_every_place_of_artifacts() {
    with_areas(|folder| vec![good(folder)], each_format);
}

fn each_format(folder: &Path) {
    let expected = area();
    let command = |words: &[&str]| dump(folder, words);
    for name in ["a.core", "a.aff4", "a.lime"] {
        let manifest = acquire(folder, &[name]);
        let kept = manifest.header.artifacts.or(manifest.late_artifacts);
        let kept = kept.unwrap();
        let record = kept.files.iter().find(|file| file.name == "swap/0");
        assert_eq!(record.unwrap().length, len_bytes(&expected), "{name}");
        let image = folder.join(name);
        assert_is_kept(&image, &expected);
        command(&["verify", name]).assert().success();
        let out = format!("{name}.swap");
        let words = ["extract", name, &out, "--file", "swap/0"];
        command(&words).assert().success();
        assert!(fs::read(folder.join(out)).unwrap() == expected, "{name}");
    }
    for (from, to) in [
        ("a.core", "b.aff4"),
        ("b.aff4", "c.lime"),
        ("c.lime", "d.core"),
    ] {
        command(&["convert", from, to]).assert().success();
        assert_is_kept(&folder.join(to), &expected);
    }
    // The system's tar takes the frames for one archive.
    let archive = folder.join("a.lime.artifacts.tar.zst");
    let tar = Command::new("tar")
        .args(["--zstd", "-xf"])
        .arg(&archive)
        .arg("-C")
        .arg(folder)
        .arg("swap/0")
        .output()
        .unwrap();
    assert!(tar.status.success(), "{tar:?}");
    assert!(fs::read(folder.join("swap/0")).unwrap() == expected);
}

fn assert_is_kept(image: &Path, expected: &[u8]) {
    let (artifacts, machine) = opened(image);
    let [swap] = &machine.swaps[..] else {
        panic!("{:?}", machine.swaps);
    };
    assert!(swap.name.ends_with("/swap file"), "{swap:?}");
    assert_eq!((swap.kind.as_str(), swap.priority), ("file", -2));
    assert_eq!(swap.size_bytes, len_bytes(expected) - 4096);
    assert_eq!(swap.used_bytes, 8192);
    assert_eq!(
        (swap.artifact.as_deref(), &swap.missing),
        (Some("swap/0"), &None)
    );
    let mut found = Vec::new();
    let mut file = artifacts.open("swap/0").unwrap();
    file.read_to_end(&mut found).unwrap();
    assert!(found == expected, "{}", image.display());
    let pages = artifacts.at("swap/0").unwrap().unwrap();
    let mut page = [0; 4096];
    for number in [1, 255, 256, PAGES - 1] {
        pages
            .read_exact_at(usize_as_u64(number) * 4096, &mut page)
            .unwrap();
        assert!(page == expected[number * 4096..][..4096], "page {number}");
    }
}

#[test]
fn an_area_that_is_not_there_ends_nothing() {
    let areas = |folder: &Path| {
        let other = folder.join("other");
        fs::write(&other, vec![0; PAGES * 4096]).unwrap();
        let kib = (PAGES - 1) * 4;
        vec![
            (folder.join("gone (deleted)"), "file", kib),
            (other, "file", kib),
            (folder.to_path_buf(), "partition", kib),
            (PathBuf::from("/dev/null"), "partition", kib),
            good(folder),
        ]
    };
    with_areas(areas, odd_areas);
}

fn odd_areas(folder: &Path) {
    let manifest = acquire(folder, &["a.core"]);
    let (artifacts, machine) = opened(&folder.join("a.core"));
    let reasons: Vec<_> = machine
        .swaps
        .iter()
        .map(|swap| swap.missing.clone().unwrap_or_default())
        .collect();
    for (reason, expected) in reasons.iter().zip([
        "its file was deleted",
        "does not begin with the header",
        "not what the kernel swaps to",
        "not what the kernel swaps to",
        "",
    ]) {
        assert!(reason.contains(expected), "{reasons:?}");
        assert_eq!(reason.is_empty(), expected.is_empty(), "{reasons:?}");
    }
    assert!(artifacts.has("swap/4") && !artifacts.has("swap/0"));
    assert_eq!(machine.swaps[4].artifact.as_deref(), Some("swap/4"));
    assert!(artifacts.has("proc/kallsyms"));
    let missing = machine
        .missing
        .iter()
        .filter(|it| it.name.starts_with("swap/"));
    assert_eq!(missing.count(), 4);
    let said = manifest.footer.warnings.iter();
    assert_eq!(said.filter(|it| it.contains("--add-swap: ")).count(), 4);
}

#[test]
fn without_the_option_areas_are_only_listed() {
    with_areas(|folder| vec![good(folder)], not_wanted);
}

fn not_wanted(folder: &Path) {
    let words = ["a.core", "--range", "0-0x8fffff"];
    fake().acquire(folder, &words).unwrap();
    let (artifacts, machine) = opened(&folder.join("a.core"));
    let [swap] = &machine.swaps[..] else {
        panic!("{:?}", machine.swaps);
    };
    assert_eq!(swap.missing.as_deref(), Some("--add-swap was not given"));
    assert!(!artifacts.has("swap/0"));
}

#[test]
fn what_cannot_fit_is_said_before_anything_is_read() {
    with_areas(|folder| vec![good(folder)], no_room);
    let huge = |folder: &Path| vec![(folder.join("huge"), "partition", 2 << 30)];
    with_areas(huge, too_much);
}

fn no_room(folder: &Path) {
    // Memory alone fits.
    let words = [&["a.core", "--max-size", "12MiB"][..], &LOW].concat();
    match fake().acquire(folder, &words) {
        Err(RunError::Acquire(AcquireError::Swap(error @ SwapError::Space { .. }))) => {
            let said = error.to_string();
            assert!(said.contains("leave out --add-swap"), "{said}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!folder.join("a.core").exists() && !folder.join("a.core.partial").exists());
    let words = ["a.core", "--max-size", "12MiB", "--range", "0-0x8fffff"];
    fake().acquire(folder, &words).unwrap();
}

fn too_much(folder: &Path) {
    let words = [&["a.core"][..], &LOW].concat();
    match fake().acquire(folder, &words) {
        Err(RunError::Acquire(AcquireError::Swap(SwapError::TooLarge { .. }))) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn encrypted_images_have_small_areas() {
    with_areas(|folder| vec![good(folder)], encrypted);
    let large = |folder: &Path| vec![(folder.join("large"), "partition", 256 << 10)];
    with_areas(large, encrypted_and_large);
}

fn encrypted(folder: &Path) {
    keys(folder);
    for name in ["a.core", "a.lime", "a.aff4"] {
        let words = [&[name, "--encrypt-to", PUBLIC][..], &LOW].concat();
        fake().acquire(folder, &words).unwrap();
        let (image, out) = (format!("{name}.age"), format!("{name}.swap"));
        for words in [
            vec!["verify", &image],
            vec!["extract", &image, &out, "--file", "swap/0"],
        ] {
            let words = [words.as_slice(), &["--identity", "key.txt"]].concat();
            dump(folder, &words).assert().success();
        }
        assert!(fs::read(folder.join(out)).unwrap() == area(), "{name}");
    }
}

fn encrypted_and_large(folder: &Path) {
    let words = [&["a.core", "--encrypt-to", PUBLIC][..], &LOW].concat();
    match fake().acquire(folder, &words) {
        Err(RunError::Acquire(AcquireError::Swap(error @ SwapError::InMemory { .. }))) => {
            assert!(error.to_string().contains("kept in memory"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn small_areas_go_to_a_receiver() {
    with_areas(|folder| vec![good(folder)], received);
}

fn received(folder: &Path) {
    let encrypt = &["--encrypt-to", PUBLIC][..];
    let identity = &["--identity", "key.txt"][..];
    for (encrypt, identity) in [(&[][..], &[][..]), (encrypt, identity)] {
        let place = Place::new();
        let receiver = place.receive("127.0.0.1:0", &["--once"]);
        let to = address(folder, &receiver.to);
        let words = [&["--to", &to], &LOW[..], encrypt].concat();
        fake().acquire(folder, &words).unwrap();
        assert_eq!(receiver.ended(), Some(0), "{}", place.log());
        let image = place.image();
        if encrypt.is_empty() {
            assert_is_kept(&image, &area());
        }
        keys(place.folder());
        let extract = ["extract", image.to_str().unwrap(), "swap"];
        let words = [&extract, &["--file", "swap/0"][..], identity].concat();
        dump(place.folder(), &words).assert().success();
        assert!(fs::read(place.path("swap")).unwrap() == area());
    }
}

#[test]
fn small_areas_go_to_a_store() {
    with_areas(|folder| vec![good(folder)], stored);
}

fn stored(folder: &Path) {
    let store = folder.join("store");
    fs::create_dir(&store).unwrap();
    let server = StoreServer::webdav(&store).unwrap();
    let to = address(folder, &format!("http://{}/x.core", server.address()));
    let words = [&["--to", &to, "--format", "elf"][..], &LOW].concat();
    fake().acquire(folder, &words).unwrap();
    // A server for HTTP PUT cannot append: each part is a file.
    let parts = ["x.core.00000", "x.core.00001"].map(|name| fs::read(store.join(name)).unwrap());
    fs::write(store.join("x.core"), parts.concat()).unwrap();
    assert_is_kept(&store.join("x.core"), &area());
    dump(&store, &["verify", "x.core"]).assert().success();
}

#[test]
fn large_areas_are_not_kept_elsewhere() {
    let large = |folder: &Path| vec![(folder.join("large"), "partition", 257 << 10)];
    with_areas(large, large_and_elsewhere);
}

fn large_and_elsewhere(folder: &Path) {
    let store = folder.join("store");
    fs::create_dir(&store).unwrap();
    let server = StoreServer::webdav(&store).unwrap();
    let place = Place::new();
    let receiver = place.receive("127.0.0.1:0", &[]);
    for to in [
        receiver.to.clone(),
        format!("http://{}/x.core", server.address()),
    ] {
        let to = address(folder, &to);
        let words = [&["--to", &to, "--format", "elf"][..], &LOW].concat();
        match fake().acquire(folder, &words) {
            Err(RunError::Acquire(AcquireError::Swap(error @ SwapError::InMemory { .. }))) => {
                assert!(error.to_string().contains("kept in memory"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(place.arrived(), Vec::<String>::new());
    assert_eq!(fs::read_dir(&store).unwrap().count(), 0);
}

/// `to`, from a file.
fn address(folder: &Path, to: &str) -> String {
    let path = folder.join("address");
    fs::write(&path, to).unwrap();
    format!("@{}", path.display())
}
