// SPDX-License-Identifier: MIT OR Apache-2.0
//! `mount`: what is found in the kernel, on a small one that is made for the test.

use crate::inspect::write_image;
use crate::json::keeps_to;
use crate::mounted::Mount;
use linpmem_inspect::testing::{
    CHAIN, DIRECT, Files, LogRing, MemberOf, Of, PARTS, Tasks, log_types, mapping_types,
    module_types,
};
use linpmem_phys::Errno;
use linpmem_phys::num::usize_as_u64;
use rustix::fs::{SeekFrom, seek};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::thread;

/// What the process has in its first page, from its first address on.
const WORDS: &[u8] = b"/sbin/init\0--now\0HOME=/\0TOKEN=4f1d2c8e\0";
const START: u64 = 0x40_0000;
const MEMORY: [MemberOf; 3] = [
    CHAIN,
    ("env_start", Of::Number(8), 32),
    ("env_end", Of::Number(8), 40),
];

/// A kernel with a log, modules, and processes whose mappings are a chain.
fn world() -> Tasks {
    let mut tasks = Tasks::with(&MEMORY, |btf| {
        log_types(btf);
        mapping_types(btf);
        module_types(btf, &PARTS);
    });
    let kernel = &mut tasks.kernel;
    let log = LogRing::new(kernel);
    log.record(kernel, 0, [0, 24], "booted");
    log.range(kernel, 0, 0);
    let head = kernel.allocate(16);
    kernel.symbol("modules", head);
    let modules: Vec<u64> = ["e1000", "../evil\n", "e1000"]
        .iter()
        .map(|name| {
            let module = kernel.aligned_page();
            kernel.text(module + 24, name);
            kernel.put(module + 96, 0xffff_ffff_c000_0000);
            kernel.put_u32(module + 104, 0x3000);
            module
        })
        .collect();
    kernel.put(modules[0] + 80, 1 << 12);
    let links: Vec<u64> = modules.iter().map(|module| module + 8).collect();
    kernel.link(head, &links);
    tasks
}

/// Gives the process memory: three pages, of which the second was never touched, and a mapping
/// of nothing.
fn with_memory(tasks: &mut Tasks, task: u64, words: &[u8]) -> u64 {
    let mm = tasks.memory(task, words);
    let kernel = &mut tasks.kernel;
    let end = words
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == 0)
        .nth(1)
        .map_or(words.len(), |(at, _)| at + 1);
    kernel.put(mm + 16, START + usize_as_u64(end));
    kernel.put(mm + 32, START + usize_as_u64(end));
    kernel.put(mm + 40, START + usize_as_u64(words.len()));
    let areas = [(START, START + 0x3000), (0x7000_0000, 0x7000_2000)];
    let mut link = mm + 24;
    for (start, end) in areas {
        let area = kernel.allocate(64);
        kernel.put(link, area);
        kernel.put(area, start);
        kernel.put(area + 8, end);
        kernel.put(area + 24, 0x75);
        link = area + 16;
    }
    mm
}

/// Maps a page of the process at its third address; returns it by its address in the kernel.
fn third_page(tasks: &mut Tasks, mm: u64) -> u64 {
    let mut table = tasks.kernel.get(mm);
    for place in [0, 0, 2] {
        table = DIRECT + (tasks.kernel.get(table + place * 8) & !0xfff);
    }
    let page = tasks.kernel.aligned_page();
    tasks.kernel.put(table + 2 * 8, (page - DIRECT) | 0x67);
    page
}

fn mounted(at: &Path, tasks: &Tasks, more: &[&str]) -> Mount {
    let kallsyms = [("proc/kallsyms", tasks.kernel.kallsyms())];
    write_image(at, &tasks.kernel, &kallsyms, "");
    Mount::new(at, &[&["a.lime"], more].concat())
}

fn dump(at: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linpmem-dump"));
    let output = command.current_dir(at).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn errno_of<T: std::fmt::Debug>(result: std::io::Result<T>) -> Option<i32> {
    result.unwrap_err().raw_os_error()
}

#[test]
fn a_process_has_its_memory_its_mappings_and_its_texts() {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = world();
    let one = tasks.process(1, "init");
    let mm = with_memory(&mut tasks, one, WORDS);
    let page = third_page(&mut tasks, mm);
    tasks.kernel.text(page, "third page");
    tasks.thread(one, 1, 3, "worker");
    let mount = mounted(folder.path(), &tasks, &["--json"]);
    let document: Value = serde_json::from_str(&mount.line).unwrap();
    keeps_to("mount", &document);
    assert_eq!(document["kernel_not_found"], Value::Null);

    assert_eq!(mount.names("pid"), ["0", "1"]);
    let names = [
        "cmdline", "comm", "environ", "fd", "files", "maps", "mem", "status", "vmas",
    ];
    for pid in ["0", "1"] {
        assert_eq!(mount.names(&format!("pid/{pid}")), names);
    }
    assert_eq!(mount.read("pid/1/cmdline"), b"/sbin/init\0--now\0");
    assert_eq!(mount.read("pid/1/environ"), b"HOME=/\0TOKEN=4f1d2c8e\0");
    assert_eq!(mount.text("pid/1/comm"), "init\n");
    let maps = dump(folder.path(), &["maps", "a.lime", "--pid", "1"]);
    assert!(maps.contains("0x400000-0x402fff      r-xp"), "{maps}");
    assert_eq!(mount.text("pid/1/maps"), maps);
    let status = mount.text("pid/1/status");
    for line in [
        "Name:\tinit\n",
        "Pid:\t1\n",
        "Uid:\t1000\n",
        "Threads:\t2\n",
        "PageTable:\t0x",
    ] {
        assert!(status.contains(line), "{status}");
    }
    for (name, empty) in [
        ("cmdline", true),
        ("environ", true),
        ("mem", true),
        ("status", false),
    ] {
        assert_eq!(
            mount.read(&format!("pid/0/{name}")).is_empty(),
            empty,
            "{name}"
        );
    }
    assert_eq!(mount.names("pid/0/vmas"), [""; 0]);

    let memory = File::open(mount.path("pid/1/mem")).unwrap();
    let mut bytes = vec![0; 0x2000];
    // The second page is not there: a read ends before it, and begins nowhere in it.
    assert_eq!(memory.read_at(&mut bytes, START).unwrap(), 0x1000);
    assert_eq!(&bytes[..WORDS.len()], WORDS);
    assert!(bytes[WORDS.len()..0x1000].iter().all(|&byte| byte == 0));
    for at in [
        0,
        0x1000,
        START - 1,
        START + 0x1000,
        START + 0x1fff,
        0x7000_0000,
        1 << 62,
    ] {
        assert_eq!(
            errno_of(memory.read_at(&mut bytes, at)),
            Some(Errno::EIO.get()),
            "{at:#x}"
        );
    }
    assert_eq!(
        memory.read_at(&mut bytes[..10], START + 0x2000).unwrap(),
        10
    );
    assert_eq!(&bytes[..10], b"third page");

    // What is planted there is found in physical memory at the same time.
    let raw = mount.read("memory.raw");
    let at = usize::try_from(page - DIRECT).unwrap();
    assert_eq!(&raw[at..at + 10], b"third page");

    assert_eq!(
        mount.names("pid/1/vmas"),
        ["0x400000-0x402fff", "0x70000000-0x70001fff"]
    );
    let area = mount.read("pid/1/vmas/0x400000-0x402fff");
    assert_eq!(area.len(), 0x3000);
    assert_eq!(&area[..WORDS.len()], WORDS);
    assert!(area[0x1000..0x2000].iter().all(|&byte| byte == 0));
    assert_eq!(&area[0x2000..0x200a], b"third page");
    let area = File::open(mount.path("pid/1/vmas/0x400000-0x402fff")).unwrap();
    let found = [
        SeekFrom::Hole(0),
        SeekFrom::Data(0x1001),
        SeekFrom::Hole(0x2000),
    ];
    let found = found.map(|whence| seek(&area, whence).unwrap());
    assert_eq!(found, [0x1000, 0x2000, 0x3000]);
    let empty = File::open(mount.path("pid/1/vmas/0x70000000-0x70001fff")).unwrap();
    assert!(seek(&empty, SeekFrom::Data(0)).is_err());
    assert_eq!(
        errno_of(File::open(mount.path("pid/1/vmas/0x400000-0x402ffe"))),
        Some(2)
    );

    assert_eq!(mount.names("name"), ["init-1", "swapper\u{fffd}0-0"]);
    let link = fs::read_link(mount.path("name/init-1")).unwrap();
    assert_eq!(link, Path::new("../pid/1"));
    assert_eq!(mount.text("name/init-1/comm"), "init\n");
    let listed = mount.run(&["ls", "-lR", "."]);
    assert!(listed.contains("./pid/1/vmas:"), "{listed}");
    let found = mount.run(&[
        "grep",
        "-c",
        "TOKEN=4f1d2c8e",
        "pid/1/vmas/0x400000-0x402fff",
    ]);
    assert_eq!(found, "1\n");
    drop((memory, area, empty));
    let (code, said) = mount.end();
    assert_eq!((code, said.as_str()), (Some(0), ""));
}

#[test]
fn the_log_the_modules_and_what_is_wrong_are_those_of_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = world();
    tasks.process(1, "init");
    let lost = tasks.process(2, "lost");
    tasks.kernel.lose(lost);
    let mount = mounted(folder.path(), &tasks, &[]);
    let log = dump(folder.path(), &["dmesg", "a.lime"]);
    assert_eq!(log, "[    0.000000] booted\n");
    assert_eq!(mount.text("dmesg"), log);
    assert_eq!(
        fs::metadata(mount.path("dmesg")).unwrap().len(),
        usize_as_u64(log.len())
    );
    let evil = "..\u{fffd}evil\u{fffd}";
    assert_eq!(mount.names("modules"), [evil, "e1000", "e1000~2"]);
    let first = mount.text("modules/e1000");
    assert!(
        first.contains("base:\t0xffffffffc0000000\nsize:\t12288\nstate:\tlive\ntaints:\tO\n"),
        "{first}"
    );
    let second = mount.text("modules/e1000~2");
    assert!(second.contains("taints:\t\n"), "{second}");
    assert_eq!(mount.names("pid"), ["0", "1"]);
    let notes = mount.text("kernel-notes.txt");
    assert!(notes.starts_with("processes: "), "{notes}");
    assert!(notes.contains("which the image does not have"), "{notes}");
    assert_eq!(mount.end().0, Some(0));
}

#[test]
fn names_from_the_image_stay_in_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = world();
    for (pid, name) in [
        (1, "../../../x"),
        (2, "."),
        (3, "a\u{1b}[2J\n"),
        (4, ""),
        (5, "a-6"),
    ] {
        tasks.process(pid, name);
    }
    // Two of one number, one of them hidden; and a number that is none.
    let twin = tasks.process(7, "twin");
    tasks.kernel.put_u32(twin + 32, 5);
    tasks.kernel.put_u32(twin + 36, 5);
    let odd = tasks.process(8, "a");
    tasks.kernel.put_u32(odd + 32, u32::MAX - 5);
    tasks.kernel.put_u32(odd + 36, u32::MAX - 5);
    let mount = mounted(folder.path(), &tasks, &[]);
    assert_eq!(
        mount.names("pid"),
        ["0", "0xfffffffa", "1", "2", "3", "4", "5", "5~2"]
    );
    let names = mount.names("name");
    assert_eq!(
        names,
        [
            "..\u{fffd}..\u{fffd}..\u{fffd}x-1",
            "_-4",
            "_.-2",
            "a-0xfffffffa",
            "a-6-5",
            "a\u{fffd}[2J\u{fffd}-3",
            "swapper\u{fffd}0-0",
            "twin-5~2",
        ]
    );
    for name in &names {
        let pid = fs::metadata(mount.path(&format!("name/{name}/status"))).unwrap();
        assert!(pid.size() > 0, "{name}");
    }
    assert!(mount.text("pid/5~2/status").contains("OtherNumber:\t7\n"));
    assert!(
        mount
            .text("pid/3/status")
            .starts_with("Name:\ta\u{fffd}[2J\u{fffd}\n")
    );
    mount.run(&["ls", "-lR", "."]);
}

/// A process with open files whose names are hostile, odd or gone.
fn with_open_files() -> Files {
    let mut files = Files::new();
    let task = files.tasks.process(1, "init");
    let kernel_thread = files.tasks.process(2, "kthreadd");
    files.kernel().put_u32(kernel_thread + 56, 0x0020_0040);
    let root = files.root;
    let etc = files.folder(root, "etc", 3);
    files.place(task, etc, root);
    let mm = files.tasks.memory(task, b"init");
    let names = [
        "passwd",
        "../../../../../../etc/passwd",
        "a\u{1b}[2J\n\u{202e}",
        "gone",
    ];
    let dentries = names.map(|name| files.on_disk(etc, name, 0o100_644, 5));
    files.kernel().put(dentries[3] + 32, 0);
    let mut open: Vec<u64> = dentries.map(|dentry| files.open(dentry)).to_vec();
    files.kernel().put(mm + 48, open[0]);
    open.extend([
        files.open_alone("sockfs", 0o140_777, 13, "TCP"),
        files.open_alone("anon_inodefs", 0o600, 14, "[eventfd]"),
        // What claims to be the memory of the process next to it.
        files.open_alone("anon_inodefs", 0o600, 14, "/../../mem"),
        files.open_alone("tmpfs", 0o100_777, 16, "memfd:name"),
    ]);
    // Its page is not in the image.
    let lost = files.kernel().aligned_page();
    files.kernel().lose(lost);
    open.push(lost);
    for (fd, file) in [0, 1, 2, 3, 4, 5, 10, 20, 599].into_iter().zip(open) {
        files.give(task, fd, file);
    }
    files
}

#[test]
fn open_files_are_links_that_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let files = with_open_files();
    let mount = mounted(folder.path(), &files.tasks, &[]);
    let target = |name: &str| {
        let target = fs::read_link(mount.path(name)).unwrap();
        let len = fs::symlink_metadata(mount.path(name)).unwrap().len();
        assert_eq!(len, usize_as_u64(target.as_os_str().len()), "{name}");
        target.into_os_string().into_string().unwrap()
    };
    let numbers = ["0", "1", "10", "2", "20", "3", "4", "5", "599"];
    assert_eq!(mount.names("pid/1/fd"), numbers);
    for (name, expected) in [
        ("cwd", "../../not-in-image/etc"),
        ("exe", "../../not-in-image/etc/passwd"),
        ("root", "../../not-in-image/"),
        ("fd/0", "../../../not-in-image/etc/passwd"),
        (
            "fd/1",
            "../../../not-in-image/etc/_../_../_../_../_../_../etc/passwd",
        ),
        (
            "fd/2",
            "../../../not-in-image/etc/a\u{fffd}[2J\u{fffd}\u{fffd}",
        ),
        ("fd/3", "../../../not-in-image/etc/gone (deleted)"),
        ("fd/4", "socket:[13]"),
        ("fd/5", "anon_inode:[eventfd]"),
        ("fd/10", "../../../not-in-image/anon_inode:/_../_../mem"),
        ("fd/20", "../../../not-in-image/memfd:name (deleted)"),
        ("fd/599", "?"),
    ] {
        assert_eq!(target(&format!("pid/1/{name}")), expected, "{name}");
        let read = fs::read(mount.path(&format!("pid/1/{name}")));
        assert_eq!(errno_of(read), Some(Errno::ENOENT.get()), "{name}");
    }
    for absent in ["fd/6", "fd/00", "fd/+1", "fd/x", "not-in-image"] {
        assert!(fs::symlink_metadata(mount.path(&format!("pid/1/{absent}"))).is_err());
    }
    assert!(!mount.names("").contains(&"not-in-image".to_owned()));
    // The kernel's own have no folder, and show nobody else's.
    assert_eq!(mount.names("pid/2/fd"), [""; 0]);
    for absent in ["cwd", "exe", "root"] {
        assert!(!mount.names("pid/2").contains(&absent.to_owned()));
        let metadata = fs::symlink_metadata(mount.path(&format!("pid/2/{absent}")));
        assert_eq!(errno_of(metadata), Some(Errno::ENOENT.get()));
    }
    // Nothing that was read is the machine's own file.
    let machines = mount.run(&[
        "sh",
        "-c",
        "grep -rs root: pid name; grep -Rs root: pid/1; true",
    ]);
    assert_eq!(machines, "");
    let copied = folder.path().join("copied");
    mount.run(&["cp", "-a", "pid/1/fd", copied.to_str().unwrap()]);
    let whole = mount.path("pid/1/fd");
    for number in numbers {
        assert!(fs::metadata(copied.join(number)).is_err(), "{number}");
        assert!(fs::canonicalize(whole.join(number)).is_err(), "{number}");
    }
    let listed = mount.run(&["ls", "-l", "pid/1/fd"]);
    assert!(listed.contains(" 4 -> socket:[13]\n"), "{listed}");

    let said = mount.text("pid/1/files");
    assert_eq!(
        said,
        dump(folder.path(), &["files", "a.lime", "--pid", "1"])
    );
    assert!(said.contains("\nnote: open file: "), "{said}");
    assert_eq!(mount.text("pid/2/files").lines().count(), 1);
    assert_eq!(mount.end().0, Some(0));
}

#[test]
fn a_table_of_very_many_open_files_has_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Files::new();
    let task = files.tasks.process(1, "init");
    let table = files.table(task);
    // As many as a number can say. Most of them are beyond the memory that there is.
    let many = files.kernel().allocate(8 << 17);
    for slot in 0..1 << 17 {
        files.kernel().put(many + slot * 8, DIRECT + slot * 24);
    }
    files.kernel().put_u32(table, u32::MAX);
    files.kernel().put(table + 8, many);
    let mount = mounted(folder.path(), &files.tasks, &[]);
    let names = mount.names("pid/1/fd");
    assert!(names.len() >= 1 << 17, "{}", names.len());
    for name in names.iter().step_by(1000) {
        let target = fs::read_link(mount.path(&format!("pid/1/fd/{name}"))).unwrap();
        assert!(!target.is_absolute(), "{}", target.display());
    }
    let said = mount.text("pid/1/files");
    assert!(said.contains("note: open files of a task: more than 1048576 elements"));
    // 256 bytes of each are paid for.
    let lines = said.lines().count();
    assert!((60_000..66_000).contains(&lines), "{lines}");
    assert_eq!(mount.end().0, Some(0));
}

#[test]
fn what_cannot_be_read_of_a_process_is_an_error_and_the_others_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = world();
    let one = tasks.process(1, "init");
    let mm = with_memory(&mut tasks, one, WORDS);
    // Its arguments are said to be everywhere.
    tasks.kernel.put(mm + 8, 0x1000);
    tasks.kernel.put(mm + 16, u64::MAX);
    let two = tasks.process(2, "tables");
    let other = with_memory(&mut tasks, two, WORDS);
    tasks.kernel.put(other, 0x40_0000);
    // A chain of mappings that never ends, and one that is longer than any.
    let area = tasks.kernel.get(mm + 24);
    tasks.kernel.put(area + 16, area);
    tasks.kernel.put(area, 0);
    tasks.kernel.put(area + 8, u64::MAX);
    let mount = mounted(folder.path(), &tasks, &[]);
    assert_eq!(
        errno_of(fs::read(mount.path("pid/1/cmdline"))),
        Some(Errno::EIO.get())
    );
    assert_eq!(
        errno_of(fs::read(mount.path("pid/2/mem"))),
        Some(Errno::EIO.get())
    );
    assert_eq!(
        errno_of(fs::read(mount.path("pid/2/cmdline"))),
        Some(Errno::EIO.get())
    );
    assert_eq!(mount.text("pid/2/comm"), "tables\n");
    let maps = mount.text("pid/1/maps");
    assert!(maps.contains("runs in a circle"), "{maps}");
    let [name] = &mount.names("pid/1/vmas")[..] else {
        panic!("{:?}", mount.names("pid/1/vmas"));
    };
    let all = File::open(mount.path(&format!("pid/1/vmas/{name}"))).unwrap();
    assert_eq!(all.metadata().unwrap().len(), i64::MAX.unsigned_abs());
    let mut bytes = [1; 0x2000];
    assert_eq!(all.read_at(&mut bytes, START).unwrap(), 0x2000);
    assert_eq!(&bytes[..WORDS.len()], WORDS);
    // After many pages without anything, a hole is no longer known to be one.
    let far = seek(&all, SeekFrom::Data(START + 0x1000)).unwrap();
    assert!(far > START + 0x100_0000, "{far:#x}");
    drop(all);
    mount.run(&["ls", "-lR", "."]);
    assert_eq!(mount.end().0, Some(0));
}

#[test]
fn the_kernel_and_memory_are_read_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = world();
    for pid in 1..40 {
        let task = tasks.process(pid, &format!("p{pid}"));
        let words = format!("p{pid}\0\0");
        with_memory(&mut tasks, task, words.as_bytes());
    }
    let expected = tasks.kernel.bytes.clone();
    let mount = mounted(folder.path(), &tasks, &[]);
    thread::scope(|scope| {
        for first in 1..5 {
            let mount = &mount;
            scope.spawn(move || {
                for pid in (first..40).step_by(4) {
                    let [comm, cmdline] =
                        ["comm", "cmdline"].map(|name| mount.read(&format!("pid/{pid}/{name}")));
                    assert_eq!(comm, format!("p{pid}\n").into_bytes());
                    assert!(cmdline.starts_with(format!("p{pid}\0").as_bytes()));
                    mount.names(&format!("name/p{pid}-{pid}/vmas"));
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| assert!(mount.read("memory.raw") == expected));
        }
    });
}

#[test]
fn artifacts_of_another_boot_do_not_keep_memory_from_being_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = world();
    tasks.process(1, "init");
    tasks.kernel.text(DIRECT + 0x4000, "another kernel");
    let mount = mounted(folder.path(), &tasks, &[]);
    assert!(!mount.path("pid").exists());
    let reason = mount.text("kernel-not-found.txt");
    assert!(reason.contains("not that of Linux 7.3.4"), "{reason}");
    assert_eq!(
        mount.text("artifacts/proc/kallsyms"),
        tasks.kernel.kallsyms()
    );
    assert_eq!(mount.read("memory.raw"), tasks.kernel.bytes);
    let (code, said) = mount.end();
    assert_eq!(code, Some(0));
    assert!(
        said.contains("the kernel is not shown: the kernel's banner"),
        "{said}"
    );
}
