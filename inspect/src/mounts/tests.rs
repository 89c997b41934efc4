// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::testing::Files;

/// A namespace with four mounts: the first one; on it a file system of its own, and on that a
/// folder of the first one; and a namespace that is kept as a file.
struct Namespace {
    files: Files,
    at: u64,
    first: u64,
    second: u64,
    third: u64,
    kept: u64,
    /// The folder that is mounted at the third one.
    folder: u64,
}

impl Namespace {
    fn new() -> Self {
        let mut files = Files::new();
        let at = files.mount_namespace(4_026_531_841);
        let (first, root) = (files.mount - 16, files.root);
        let [srv, net] = [(root, "srv"), (root, "net")].map(|(of, name)| files.folder(of, name, 3));
        let folder = files.folder(srv, "a folder", 4);
        let own = files.filesystem("fuse", 0, 30);
        let subtype = files.name("sshfs");
        files.kernel().put(own + 16, 1 | 1 << 25);
        files.kernel().put(own + 24, subtype);
        let inode = files.inode(own, 0o040_755, 1);
        let top = files.dentry(0, "/", inode);
        let place = files.dentry(top, "place", inode);
        let disk = files.kernel().get(first + 24);
        let second = files.mount_at(first, srv, own, top, 20);
        let third = files.mount_at(second, place, disk, folder, 21);
        files.kernel().put_u32(third + 32, 0x40 | 0x20 | 1);
        let spaces = files.filesystem("nsfs", 0, 4);
        let space = files.inode(spaces, 0o100_444, 4_026_532_000);
        let [kinds, kind, text] = [16, 8, 0].map(|size| match size {
            0 => files.name("net"),
            size => files.kernel().allocate(size),
        });
        files.kernel().put(kind, text);
        files.kernel().put(kinds, kind);
        files.kernel().put(space + 32, kinds);
        let alone = files.dentry(0, "", space);
        let kept = files.mount_at(first, net, spaces, alone, 22);
        files.kernel().put(kept + 72, 0);
        files.list_mounts(first, &[second, kept]);
        files.list_mounts(second, &[third]);
        Self {
            files,
            at,
            first,
            second,
            third,
            kept,
            folder,
        }
    }

    fn found(self) -> Found<Mount> {
        self.found_within(&mut 1_000_000)
    }

    fn found_within(self, room: &mut u64) -> Found<Mount> {
        let image = self.files.tasks.kernel.image();
        image.machine().mounts(self.at, room).unwrap()
    }
}

#[test]
fn each_mount_is_shown_before_those_on_it() {
    let namespace = Namespace::new();
    let (first, third) = (namespace.first, namespace.third);
    let found = namespace.found();
    assert_eq!(found.troubles, []);
    let rows: Vec<_> = found
        .items
        .iter()
        .map(|mount| {
            let texts = [
                &mount.mount_point,
                &mount.root,
                &mount.filesystem,
                &mount.source,
            ];
            let texts = texts.map(|text| text.as_deref().unwrap_or("?"));
            (mount.id, mount.parent, texts)
        })
        .collect();
    assert_eq!(
        rows,
        [
            (1, Some(1), ["/", "/", "ext4", "none"]),
            (20, Some(1), ["/srv", "/", "fuse.sshfs", "/dev/sda"]),
            (
                21,
                Some(20),
                ["/srv/place", "/srv/a folder", "ext4", "/dev/sda"]
            ),
            (22, Some(1), ["/net", "net:[4026532000]", "nsfs", "none"]),
        ]
    );
    assert_eq!(found.items[0].address, first);
    let own = |index: usize| found.items[index].options.as_deref();
    let shared = |index: usize| found.items[index].filesystem_options.as_deref();
    assert_eq!((own(1), shared(1)), (Some("rw"), Some("ro,lazytime")));
    assert_eq!(
        (own(2), shared(2)),
        (Some("ro,nosuid,relatime"), Some("rw"))
    );
    let Mount {
        address,
        namespace,
        device,
        ..
    } = found.items[2];
    assert_eq!((address, namespace), (third, Some(4_026_531_841)));
    assert_eq!(device, Some(Device { major: 8, minor: 1 }));
}

#[test]
fn a_folder_whose_name_was_removed_is_said_to_be_deleted() {
    let mut namespace = Namespace::new();
    let hash = namespace.folder + 32;
    namespace.files.kernel().put(hash, 0);
    let found = namespace.found();
    assert_eq!(
        found.items[2].root.as_deref(),
        Some("/srv/a folder//deleted")
    );
}

#[test]
fn a_missing_mount_is_said_and_the_others_are_listed() {
    let mut namespace = Namespace::new();
    let lost = namespace.second;
    namespace.files.kernel().lose(lost);
    let found = namespace.found();
    let ids: Vec<i32> = found.items.iter().map(|mount| mount.id).collect();
    assert_eq!(ids, [1, 22]);
    assert!(!found.troubles.is_empty());
}

#[test]
fn a_mount_on_one_that_is_on_it_ends_the_walk() {
    let mut namespace = Namespace::new();
    let (first, third) = (namespace.first, namespace.third);
    namespace.files.list_mounts(third, &[first]);
    namespace.files.kernel().put(first, third);
    let found = namespace.found();
    assert_eq!(found.items.len(), 4);
    let circle = Trouble::Circle {
        what: TREE,
        at: first,
    };
    assert!(found.troubles.contains(&circle), "{:?}", found.troubles);
}

#[test]
fn a_mount_of_another_list_is_said_and_not_listed_twice() {
    let mut namespace = Namespace::new();
    let (third, kept) = (namespace.third, namespace.kept);
    // It was moved while memory was read: two lists lead to it, and it leads to the one.
    namespace.files.list_mounts(kept, &[third]);
    let found = namespace.found();
    let ids: Vec<i32> = found.items.iter().map(|mount| mount.id).collect();
    assert_eq!(ids, [1, 20, 21, 22]);
    let wild = found.troubles.iter();
    let wild = wild.filter(|one| matches!(one, Trouble::Wild { .. } | Trouble::Circle { .. }));
    assert!(wild.count() > 0, "{:?}", found.troubles);
}

#[test]
fn no_more_is_read_than_there_is_room_for() {
    let mut room = 2 * MOUNT_BYTES + 60;
    let found = Namespace::new().found_within(&mut room);
    assert_eq!((found.items.len(), room), (2, 0));
    assert!(matches!(found.troubles[..], [Trouble::TooLong { .. }]));
}

#[test]
fn the_namespace_is_that_of_the_task() {
    let mut namespace = Namespace::new();
    let at = namespace.at;
    let with = namespace.files.tasks.process(5, "sshd");
    let without = namespace.files.tasks.process(6, "gone");
    let proxy = namespace.files.kernel().allocate(16);
    namespace.files.kernel().put(proxy + 8, at);
    namespace.files.kernel().put(with + 192, proxy);
    let image = namespace.files.tasks.kernel.image();
    let machine = image.machine();
    let tasks = machine.tasks().unwrap().items;
    let mut troubles = Troubles::default();
    let of = |task: u64, troubles: &mut Troubles| {
        let task = tasks.iter().find(|one| one.address == task).unwrap();
        machine.mount_namespace(task, troubles).unwrap()
    };
    assert_eq!(of(with, &mut troubles), Some(at));
    assert_eq!(of(without, &mut troubles), None);
    assert_eq!(troubles, []);
}
