// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::testing::{DIRECT, Files, Image};

/// The files of the task at `task`.
fn found(image: &Image, task: u64, room: &mut u64) -> Found<OpenFile> {
    let machine = image.machine();
    let task = machine.task(task, &mut Troubles::default()).unwrap();
    machine.open_files(&task, room).unwrap()
}

/// Of each file its role, its type and its name.
fn shown(found: &Found<OpenFile>) -> Vec<(FileRole, &'static str, &str)> {
    let files = found.items.iter();
    files
        .map(|file| (file.role, file.kind, file.path.as_deref().unwrap_or("?")))
        .collect()
}

const ROOM: u64 = 1 << 20;

#[test]
fn files_have_the_names_that_proc_has() {
    let mut files = Files::new();
    let task = files.tasks.process(1, "init");
    let root = files.root;
    let folder = files.folder(root, "tmp", 3);
    let gone = files.on_disk(folder, "gone", 0o100_600, 4);
    files.kernel().put(gone + 32, 0);
    let device = files.on_disk(folder, "null", 0o020_666, 5);
    let inode = files.kernel().get(device + 40);
    files.kernel().put_u32(inode + 4, 1 << 20 | 3);
    files.place(task, folder, root);
    let pipe = files.open_alone("pipefs", 0o010_600, 12, "");
    files.kernel().put_u32(pipe, 1);
    let socket = files.open_alone("sockfs", 0o140_777, 13, "TCP");
    let event = files.open_alone("anon_inodefs", 0o600, 14, "[eventfd]");
    let process = files.open_alone("pidfs", 0o100_700, 15, "");
    let memory = files.open_alone("tmpfs", 0o100_777, 16, "memfd:name");
    let [gone, device] = [gone, device].map(|dentry| files.open(dentry));
    files.kernel().put_u32(gone, 2);
    files.kernel().put(gone + 32, 7);
    // O_PATH.
    files.kernel().put_u32(device, 0x4000);
    for (fd, file) in [
        (0, pipe),
        (1, socket),
        (2, event),
        (3, process),
        (4, memory),
        (5, gone),
        (599, device),
    ] {
        files.give(task, fd, file);
    }
    let image = files.tasks.kernel.image();
    let found = found(&image, task, &mut ROOM.clone());
    assert_eq!(found.troubles, []);
    assert_eq!(
        shown(&found),
        [
            (FileRole::Cwd, "DIR", "/tmp"),
            (FileRole::Root, "DIR", "/"),
            (FileRole::Open(0), "FIFO", "pipe:[12]"),
            (FileRole::Open(1), "SOCK", "socket:[13]"),
            (FileRole::Open(2), "a_inode", "anon_inode:[eventfd]"),
            (FileRole::Open(3), "a_inode", "anon_inode:[pidfd]"),
            (FileRole::Open(4), "REG", "/memfd:name (deleted)"),
            (FileRole::Open(5), "REG", "/tmp/gone (deleted)"),
            (FileRole::Open(599), "CHR", "/tmp/null"),
        ]
    );
    let access: Vec<_> = found
        .items
        .iter()
        .map(|file| file.access.map(|access| (access.read, access.write)))
        .collect();
    let both = Some((true, true));
    let [read, write, neither] = [(true, false), (false, true), (false, false)].map(Some);
    assert_eq!(
        access,
        [None, None, read, both, both, both, both, write, neither]
    );
    let gone = &found.items[7];
    assert!(gone.is_deleted && found.items[6].is_deleted && !found.items[8].is_deleted);
    assert_eq!((gone.position, gone.flags), (Some(7), Some(2)));
    assert_eq!(
        (gone.inode, gone.filesystem.as_deref()),
        (Some(4), Some("ext4"))
    );
    assert_eq!(gone.device, Some(Device { major: 8, minor: 1 }));
    assert_eq!(gone.special, None);
    let null = Device { major: 1, minor: 3 };
    assert_eq!(found.items[8].special, Some(null));
}

#[test]
fn a_namespace_has_its_kind_and_a_mounts_own_root_its_path() {
    let mut files = Files::new();
    let task = files.tasks.process(1, "init");
    let file = files.open_alone("nsfs", 0o100_444, 4_026_531_840, "");
    let inode = files.kernel().get(file + 8);
    let [kind, operations, namespace] = [8, 8, 16].map(|size| files.kernel().allocate(size));
    files.kernel().text(kind, "net");
    files.kernel().put(operations, kind);
    files.kernel().put(namespace, operations);
    files.kernel().put(inode + 32, namespace);
    files.give(task, 0, file);
    let root = files.root;
    // What has no parent is not unlinked.
    files.kernel().put(root + 32, 0);
    let top = files.open(root);
    files.give(task, 1, top);
    // The namespace mounted at /net, as `ip netns` does it.
    let point = files.on_disk(root, "net", 0o100_644, 5);
    let dentry = files.kernel().get(file + 24);
    let above = files.mount - 16;
    let mount = files.kernel().allocate(32);
    files.kernel().put(mount, above);
    files.kernel().put(mount + 8, point);
    files.kernel().put(mount + 16, dentry);
    let mounted = files.open(dentry);
    files.kernel().put(mounted + 16, mount + 16);
    files.give(task, 2, mounted);
    let image = files.tasks.kernel.image();
    let found = found(&image, task, &mut ROOM.clone());
    assert_eq!(found.troubles, []);
    let names: Vec<_> = found
        .items
        .iter()
        .map(|file| file.path.as_deref())
        .collect();
    assert_eq!(names, [Some("net:[4026531840]"), Some("/"), Some("/net")]);
    assert!(!found.items[1].is_deleted);
}

#[test]
fn the_program_of_a_process_is_shown_and_a_kernel_threads_folders_are_not() {
    let mut files = Files::new();
    let root = files.root;
    let program = files.on_disk(root, "program", 0o100_755, 9);
    let [one, two] = [1, 2].map(|pid| files.tasks.process(pid, "x"));
    let program = files.open(program);
    let mm = files.tasks.memory(one, b"x");
    files.kernel().put(mm + 48, program);
    files.kernel().put_u32(two + 56, 0x0020_0000);
    files.place(two, root, root);
    files.give(two, 0, program);
    let image = files.tasks.kernel.image();
    let found_one = found(&image, one, &mut ROOM.clone());
    assert_eq!(shown(&found_one), [(FileRole::Exe, "REG", "/program")]);
    let found_two = found(&image, two, &mut ROOM.clone());
    assert_eq!(shown(&found_two), [(FileRole::Open(0), "REG", "/program")]);
    assert_eq!(
        (&found_one.troubles[..], &found_two.troubles[..]),
        (&[][..], &[][..])
    );
}

#[test]
fn what_is_missing_of_a_file_is_said_and_the_others_are_listed() {
    let mut files = Files::new();
    let task = files.tasks.process(1, "init");
    let root = files.root;
    let names = ["lost", "nowhere", "wild", "whole"];
    let opened = names.map(|name| {
        let dentry = files.on_disk(root, name, 0o100_644, 3);
        files.open(dentry)
    });
    for (fd, file) in (0..).zip(opened) {
        files.give(task, fd, file);
    }
    let [lost, nowhere, ..] = opened;
    files.kernel().lose(lost);
    files.kernel().put(nowhere + 8, 0);
    files.give(task, 2, DIRECT + (1 << 45));
    let image = files.tasks.kernel.image();
    let found = found(&image, task, &mut ROOM.clone());
    assert_eq!(
        shown(&found),
        [
            (FileRole::Open(0), "unknown", "?"),
            (FileRole::Open(1), "unknown", "?"),
            (FileRole::Open(2), "unknown", "?"),
            (FileRole::Open(3), "REG", "/whole"),
        ]
    );
    // One each, however much of a file is missing.
    assert_eq!(found.troubles.len(), 3);
    let troubles = found.troubles.iter();
    let troubles: Vec<String> = troubles.map(ToString::to_string).collect();
    assert!(troubles[0].contains("does not have"), "{troubles:?}");
    assert!(troubles[1].contains("is null"), "{troubles:?}");
    assert!(troubles[2].contains("not mapped"), "{troubles:?}");
}

#[test]
fn a_table_that_claims_more_than_any_kernel_has_is_read_up_to_there() {
    let mut files = Files::new();
    let task = files.tasks.process(1, "init");
    let root = files.root;
    let file = files.open(root);
    files.give(task, 0, file);
    let table = files.table(task);
    files.kernel().put_u32(table, u32::MAX);
    // At the end of memory: only the first 512 numbers can be read.
    let slots = files.kernel().aligned_page();
    files.kernel().put(slots, file);
    files.kernel().put(table + 8, slots);
    for page in (slots + 0x1000..DIRECT + crate::testing::END).step_by(0x1000) {
        files.kernel().lose(page);
    }
    let image = files.tasks.kernel.image();
    let mut room = ROOM;
    let found = found(&image, task, &mut room);
    assert_eq!(found.items.len(), 1);
    let limit = 1 << 20;
    assert_eq!(found.troubles[0], Trouble::TooMany { what: WHAT, limit });
    // One for each 512 numbers that follow; a bit of room for each number.
    assert_eq!(u64::try_from(found.troubles.len()), Ok(1000));
    assert_eq!(found.troubles.more(), (1 << 11) - 1000);
    assert_eq!(room, ROOM - (1 << 17) - FILE_BYTES - 1);
}

#[test]
fn files_that_take_more_room_than_there_is_are_left_out() {
    let mut files = Files::new();
    let task = files.tasks.process(1, "init");
    let root = files.root;
    let file = files.open(root);
    for fd in 0..3 {
        files.give(task, fd, file);
    }
    let image = files.tasks.kernel.image();
    // 600 numbers, and three files with a path of one byte.
    for (before, after, count) in [(850, 4, 3), (845, 0, 2), (400, 0, 1), (74, 0, 0)] {
        let mut room = before;
        let found = found(&image, task, &mut room);
        assert_eq!((found.items.len(), room), (count, after), "{before}");
        let is_cut = matches!(found.troubles[..], [Trouble::TooLong { what: WHAT, .. }]);
        assert_eq!(is_cut, count < 3, "{:?}", found.troubles);
    }
}
