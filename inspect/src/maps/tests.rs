// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::error::Reason;
use crate::testing::{
    Btf, CHAIN, DIRECT, Image, Kernel, Of, Tasks, file_types, mapping_types, old_mapping_types,
};

/// A process with three mappings, the last of them of the file /usr/lib/x, where /usr is
/// a mount of its own.
struct World {
    kernel: Kernel,
    task: u64,
    mm: u64,
    areas: [u64; 3],
    /// Of the file: x, lib, the mount's own root, usr, and the first root.
    dentries: [u64; 5],
}

fn world() -> World {
    world_with(mapping_types)
}

fn world_with(mappings: fn(&mut Btf)) -> World {
    let landmarks = [
        ("start_brk", Of::Number(8), 32),
        ("brk", Of::Number(8), 40),
        ("start_stack", Of::Number(8), 48),
    ];
    let mut tasks = Tasks::with(&[&[CHAIN], &landmarks[..]].concat(), |btf| {
        file_types(btf);
        mappings(btf);
    });
    let task = tasks.process(1, "init");
    let mm = tasks.memory(task, b"init");
    let mut kernel = tasks.kernel;
    let areas = [(); 3].map(|()| kernel.aligned_page());
    let names = ["x", "lib", "/", "usr", "/"];
    let dentries = [(); 5].map(|()| kernel.aligned_page());
    for (at, name) in dentries.iter().zip(names) {
        kernel.text(at + 0x100, name);
        kernel.put(at + 16, at + 0x100);
    }
    let [file, lib, own_root, usr, root] = dentries;
    for (at, parent) in [
        (file, lib),
        (lib, own_root),
        (own_root, own_root),
        (usr, root),
        (root, root),
    ] {
        kernel.put(at, parent);
        // In the table of names.
        kernel.put(at + 32, at);
    }
    let [first, second] = [(); 2].map(|()| kernel.allocate(32));
    for (mount, parent, point, top) in [(first, first, root, root), (second, first, usr, own_root)]
    {
        kernel.put(mount, parent);
        kernel.put(mount + 8, point);
        kernel.put(mount + 16, top);
    }
    let open = kernel.allocate(32);
    kernel.put(open + 16, second + 16);
    kernel.put(open + 24, file);
    kernel.put(mm + 24, areas[0]);
    for (index, &at) in areas.iter().enumerate() {
        let start = 0x40_0000 + index as u64 * 0x10_0000;
        kernel.put(at, start);
        kernel.put(at + 8, start + 0x1000);
        kernel.put(at + 16, areas.get(index + 1).copied().unwrap_or(0));
        kernel.put(at + 24, 0x75);
    }
    kernel.put(areas[2] + 32, 3);
    kernel.put(areas[2] + 40, open);
    kernel.put(areas[1] + 24, 0x83);
    World {
        kernel,
        task,
        mm,
        areas,
        dentries,
    }
}

fn maps(image: &Image, task: u64) -> Found<Mapping> {
    let machine = image.machine();
    let task = machine.task(task, &mut Troubles::default()).unwrap();
    machine.maps(&task, &mut (1 << 20)).unwrap()
}

#[test]
fn mappings_have_their_rights_and_the_paths_of_their_files_across_mounts() {
    let world = world();
    let found = maps(&world.kernel.image(), world.task);
    assert_eq!(found.troubles, []);
    let [first, second, file] = &found.items[..] else {
        panic!("{found:?}");
    };
    assert_eq!((first.start, first.end), (0x40_0000, 0x40_1000));
    assert_eq!((first.rights().as_str(), first.is_file), ("r-xp", false));
    assert_eq!(second.rights(), "rw-s");
    assert_eq!(file.path.as_deref(), Some("/usr/lib/x"));
    assert_eq!((file.offset, file.is_file), (0x3000, true));
    assert_eq!(file.address, world.areas[2]);
}

#[test]
fn a_path_whose_parents_lead_in_a_circle_ends() {
    let mut world = world();
    let [file, lib, ..] = world.dentries;
    world.kernel.put(lib, file);
    let found = maps(&world.kernel.image(), world.task);
    assert_eq!(found.items[2].path, None);
    let [Trouble::Unreadable { error, .. }] = &found.troubles[..] else {
        panic!("{:?}", found.troubles);
    };
    assert!(matches!(error, Error::Endless { .. }), "{error}");
    let text = "is longer than any path, or leads in a circle";
    assert!(error.to_string().ends_with(text), "{error}");
}

#[test]
fn the_first_names_of_a_long_path_are_left_out() {
    let mut world = world();
    let [_, mut below, own_root, ..] = world.dentries;
    let name = world.kernel.allocate(256);
    world.kernel.text(name, &"n".repeat(255));
    // 40 folders between the mount and lib.
    for _ in 0..40 {
        let folder = world.kernel.allocate(32);
        world.kernel.put(folder + 16, name);
        world.kernel.put(below, folder);
        below = folder;
    }
    world.kernel.put(below, own_root);
    let found = maps(&world.kernel.image(), world.task);
    assert_eq!(found.troubles, []);
    let path = found.items[2].path.as_ref().unwrap();
    assert!(path.starts_with("\u{2026}/nnn"), "{path}");
    assert!(path.ends_with("n/lib/x"), "{path}");
    assert!((4096 - 256..=4096 + 4).contains(&path.len()), "{path}");
}

#[test]
fn a_file_whose_names_are_missing_is_a_mapping_all_the_same() {
    let mut world = world();
    world.kernel.lose(world.dentries[1]);
    let found = maps(&world.kernel.image(), world.task);
    assert_eq!((found.items.len(), found.troubles.len()), (3, 1));
    assert!(found.items[2].is_file && found.items[2].path.is_none());
}

#[test]
fn mappings_that_take_more_room_than_there_is_are_left_out() {
    let world = world();
    let image = world.kernel.image();
    let machine = image.machine();
    let task = machine.task(world.task, &mut Troubles::default()).unwrap();
    // The third has a path of ten bytes.
    for (before, after, count) in [(400, 6, 3), (393, 0, 2), (200, 0, 1)] {
        let mut room = before;
        let found = machine.maps(&task, &mut room).unwrap();
        assert_eq!((found.items.len(), room), (count, after), "{before}");
        let is_cut = matches!(found.troubles[..], [Trouble::TooLong { what: WHAT, .. }]);
        assert_eq!(is_cut, count < 3, "{:?}", found.troubles);
    }
}

#[test]
fn a_chain_in_a_circle_and_one_that_breaks_end() {
    let mut circle = world();
    circle.kernel.put(circle.areas[2] + 16, circle.areas[1]);
    let found = maps(&circle.kernel.image(), circle.task);
    assert_eq!(found.items.len(), 3);
    let at = circle.areas[1];
    assert_eq!(found.troubles, [Trouble::Circle { what: WHAT, at }]);
    let mut broken = world();
    broken.kernel.put(broken.areas[0] + 16, DIRECT + (1 << 45));
    let found = maps(&broken.kernel.image(), broken.task);
    assert_eq!(found.items.len(), 1);
    let [Trouble::Unreadable { error, .. }, ..] = &found.troubles[..] else {
        panic!("{:?}", found.troubles);
    };
    let Error::Memory(error) = error else {
        panic!("{error}");
    };
    assert_eq!(error.reason, Reason::NotMapped);
}

#[test]
fn a_mapping_that_ends_before_it_begins_is_said() {
    let mut world = world();
    world.kernel.put(world.areas[0] + 8, 0x1000);
    let found = maps(&world.kernel.image(), world.task);
    assert_eq!(found.items.len(), 3);
    let value = 0x40_0000;
    let at = world.areas[0];
    let what = WHAT;
    assert_eq!(found.troubles, [Trouble::Wild { what, at, value }]);
}

/// Gives the mapping a file in a file system of its own, which is in no folder.
fn map_alone(kernel: &mut Kernel, area: u64, filesystem: &str, name: &str) {
    let [kind, of, superblock, inode, dentry, mount] =
        [8, 64, 16, 64, 64, 32].map(|size| kernel.allocate(size));
    let text = kernel.allocate(64);
    kernel.text(text, filesystem);
    kernel.put(kind, text);
    kernel.put(superblock + 8, kind);
    kernel.put(inode + 24, superblock);
    let text = kernel.allocate(64);
    kernel.text(text, name);
    kernel.put(dentry, dentry);
    kernel.put(dentry + 16, text);
    kernel.put(mount, mount);
    kernel.put(of + 8, inode);
    kernel.put(of + 16, mount + 16);
    kernel.put(of + 24, dentry);
    kernel.put(area + 40, of);
}

#[test]
fn files_that_were_deleted_and_shared_memory_are_called_as_in_proc() {
    let mut world = world();
    let [first, second, _] = world.areas;
    map_alone(&mut world.kernel, first, "tmpfs", "memfd:a b");
    map_alone(&mut world.kernel, second, "tmpfs", "dev/zero");
    world.kernel.put(world.dentries[0] + 32, 0);
    let found = maps(&world.kernel.image(), world.task);
    assert_eq!(found.troubles, []);
    let items = found.items.iter();
    let shown: Vec<_> = items
        .map(|one| [&one.path, &one.name].map(|text| text.as_deref().unwrap_or("?")))
        .collect();
    assert_eq!(
        shown,
        [
            ["memfd:a b", "/memfd:a b (deleted)"],
            ["dev/zero", "/dev/zero (deleted)"],
            ["/usr/lib/x", "/usr/lib/x (deleted)"],
        ]
    );
    assert!(found.items.iter().all(|one| one.is_deleted));
}

/// The names of the mappings.
fn names(found: &Found<Mapping>) -> Vec<Option<&str>> {
    found.items.iter().map(|one| one.name.as_deref()).collect()
}

/// A `struct anon_vma_name`.
fn given(kernel: &mut Kernel, area: u64, name: &str) {
    let at = kernel.allocate(96);
    kernel.text(at + 4, name);
    kernel.put(area + 64, at);
}

#[test]
fn heap_and_stack_are_where_the_process_has_them() {
    let mut world = world();
    let (mm, [first, _, file]) = (world.mm, world.areas);
    // The heap is in the first mapping, and the stack at the very end of the second.
    world.kernel.put(mm + 32, 0x40_0800);
    world.kernel.put(mm + 40, 0x40_0900);
    world.kernel.put(mm + 48, 0x50_1000);
    given(&mut world.kernel, first, "mine");
    given(&mut world.kernel, file, "shared");
    let found = maps(&world.kernel.image(), world.task);
    assert_eq!(
        names(&found),
        [Some("[heap]"), Some("[stack]"), Some("[anon_shmem:shared]")]
    );
    assert_eq!(found.items[2].path.as_deref(), Some("/usr/lib/x"));
    assert_eq!(found.troubles, []);
}

#[test]
fn a_heap_that_is_empty_or_ends_where_a_mapping_begins_is_not_that_mapping() {
    for (start, end, named) in [
        (0x40_1000, 0x40_1000, None),
        (0x3f_f000, 0x40_0000, None),
        (0x40_0fff, 0x40_1000, Some("[heap]")),
        (0x3f_f000, 0x40_0001, Some("[heap]")),
    ] {
        let mut world = world();
        world.kernel.put(world.mm + 32, start);
        world.kernel.put(world.mm + 40, end);
        let found = maps(&world.kernel.image(), world.task);
        assert_eq!(names(&found), [named, None, None], "{start:#x}-{end:#x}");
    }
}

#[test]
fn what_the_kernel_or_the_process_has_named_is_called_so() {
    let mut world = world();
    let [first, second, _] = world.areas;
    let kernel = &mut world.kernel;
    let [operations, special, text] = [8, 32, 16].map(|size| kernel.allocate(size));
    kernel.text(text, "[vdso]");
    kernel.put(special, text);
    kernel.put(first + 48, operations);
    kernel.put(first + 56, special);
    given(kernel, first, "not this one");
    given(kernel, second, "a\nname");
    // Some driver's.
    kernel.put(second + 48, operations + 8);
    kernel.put(second + 56, DIRECT + (1 << 45));
    kernel.symbol("special_mapping_vmops", operations);
    let image = world.kernel.image();
    let found = maps(&image, world.task);
    assert_eq!(
        names(&found),
        [Some("[vdso]"), Some("[anon:a\nname]"), None]
    );
    assert_eq!(found.troubles, []);
}

#[test]
fn before_6_2_a_mapping_of_a_file_has_something_else_in_place_of_a_name() {
    let mut world = world_with(old_mapping_types);
    let [_, own, file] = world.areas;
    given(&mut world.kernel, own, "mine");
    given(&mut world.kernel, file, "no name at all");
    let found = maps(&world.kernel.image(), world.task);
    assert_eq!(names(&found), [None, Some("[anon:mine]"), None]);
}

#[test]
fn a_name_that_cannot_be_read_is_said_and_the_mapping_is_there() {
    let mut world = world();
    world.kernel.put(world.areas[1] + 64, DIRECT + (1 << 45));
    let found = maps(&world.kernel.image(), world.task);
    assert_eq!(names(&found), [None, None, None]);
    let [Trouble::Unreadable { what, .. }] = found.troubles[..] else {
        panic!("{:?}", found.troubles);
    };
    assert_eq!(what, "name of a mapping");
}

#[test]
fn names_take_room() {
    let mut world = world();
    given(&mut world.kernel, world.areas[0], &"n".repeat(80));
    let image = world.kernel.image();
    let machine = image.machine();
    let task = machine.task(world.task, &mut Troubles::default()).unwrap();
    for (before, count) in [(128 + 86, 0), (128 + 87, 1)] {
        let found = machine.maps(&task, &mut before.clone()).unwrap();
        assert_eq!(found.items.len(), count, "{before}");
    }
}
