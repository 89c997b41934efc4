// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;
use crate::testing::{
    Btf, CHAIN, DIRECT, Files, Image, Kernel, mapping_types, swap_tables, swap_trees,
};
use std::cell::RefCell;

const START: u64 = 0x40_0000;
const NAME: &str = "/swap/file";
/// The type of the area.
const KIND: u64 = 3;
const MAX: u64 = 40_000;

/// An area whose bytes tell their page. What is read of it is noted.
#[derive(Default)]
struct Pages(RefCell<Vec<(usize, u64, usize)>>);

impl ReadSwap for Pages {
    fn read(&self, area: usize, at: u64, buf: &mut [u8]) -> Result<(), String> {
        self.0.borrow_mut().push((area, at, buf.len()));
        if at / PAGE == 66 {
            return Err("it is a bad page".to_owned());
        }
        buf.fill((at / PAGE).to_le_bytes()[0]);
        Ok(())
    }
}

/// As the kernel encodes it: the type above, and below it the offset, inverted.
const fn entry(kind: u64, page: u64) -> u64 {
    kind << 59 | (!page & ((1 << 50) - 1)) << 9
}

/// A process with 16 pages at 0x400000.
struct World {
    files: Files,
    task: u64,
    info: u64,
    leaf: u64,
    /// Where the `struct page`s begin.
    vmemmap: u64,
    /// The tables of clusters, or the trees of 64 MiB.
    clusters: u64,
    /// The tree of zswap that the first page is in.
    compressed: u64,
}

fn world(define: fn(&mut Btf)) -> World {
    let mut files = Files::with(|btf| {
        mapping_types(btf);
        define(btf);
    });
    let task = files.tasks.process(1, "init");
    let mm = files.tasks.memory(task, b"x");
    let root = files.root;
    let folder = files.folder(root, "swap", 7);
    let file = files.on_disk(folder, "file", 0o100_600, 8);
    let file = files.open(file);
    let kernel = files.kernel();
    let mut leaf = kernel.get(mm);
    for place in [0, 0, 2] {
        leaf = DIRECT + (kernel.get(leaf + place * 8) & !0xfff);
    }
    let [infos, info, clusters, variable, zswap, counts] =
        [32 * 8, 128, 128 * 64, 8, 32 * 8, 32 * 4].map(|size| kernel.allocate(size));
    let vmemmap = kernel.allocate(0x1_0000);
    let trees = kernel.allocate(3 * 16);
    kernel.put(infos + KIND * 8, info);
    kernel.put(info, USED | 2);
    kernel.put_u8(info + 8, KIND.to_le_bytes()[0]);
    kernel.put_u32(info + 12, 40_000);
    kernel.put_u32(info + 16, 39_999);
    kernel.put(info + 24, file);
    kernel.put(info + 32, clusters);
    kernel.put(variable, vmemmap);
    kernel.put(zswap + KIND * 8, trees);
    kernel.put_u32(counts + 4 * 3, 3);
    for (name, at) in [
        ("swap_info", infos),
        ("vmemmap_base", variable),
        ("zswap_trees", zswap),
        ("nr_zswap_trees", counts),
    ] {
        kernel.symbol(name, at);
    }
    World {
        files,
        task,
        info,
        leaf,
        vmemmap,
        clusters,
        compressed: trees,
    }
}

impl World {
    /// As since Linux 6.18: each cluster of 512 pages has a table.
    fn with_tables() -> Self {
        let mut world = world(swap_tables);
        // Those of the pages that are used here.
        for cluster in [0, 1, 64] {
            let table = world.kernel().aligned_page();
            let at = world.clusters + cluster * 64 + 8;
            world.kernel().put(at, table);
        }
        world
    }

    /// As before: the swap cache has trees, and maps tell what is used and zero.
    fn with_trees() -> Self {
        let mut world = world(swap_trees);
        let info = world.info;
        let spaces = world.clusters;
        let kernel = world.kernel();
        let [all, users, zeros] = [32 * 8, 40_000, 5000].map(|size| kernel.allocate(size));
        kernel.put(all + KIND * 8, spaces);
        kernel.put(info + 40, users);
        kernel.put(info + 48, zeros);
        kernel.symbol("swapper_spaces", all);
        world
    }

    fn kernel(&mut self) -> &mut Kernel {
        self.files.kernel()
    }

    /// The page of the process has been written to a page of the area.
    fn swap_out(&mut self, number: u64, page: u64) {
        let at = self.leaf + number * 8;
        self.kernel().put(at, entry(KIND, page));
    }

    /// What the table has for a page of the area.
    fn put_in_table(&mut self, page: u64, value: u64) {
        let at = self.clusters + page / 512 * 64 + 8;
        let table = self.kernel().get(at);
        self.kernel().put(table + page % 512 * 8, value);
    }

    /// A page of memory that begins with `mark`, as what is cached of a page of the area: the
    /// number of the page in memory.
    fn cache(&mut self, page: u64, mark: &str) -> u64 {
        let at = self.kernel().aligned_page();
        self.kernel().text(at, mark);
        let number = (at - DIRECT) / PAGE;
        self.describe(number, KIND << 58 | page, 1 << 3);
        number
    }

    fn describe(&mut self, number: u64, private: u64, flags: u64) {
        let at = self.vmemmap + number * 64;
        self.kernel().put(at, flags);
        self.kernel().put(at + 40, private);
    }

    /// Puts `value` into the tree at `tree`, for `index`.
    fn put_in_tree(&mut self, tree: u64, index: u64, value: u64) {
        let kernel = self.kernel();
        let shifts: &[u8] = match index {
            0..64 => &[0],
            64..4096 => &[6, 0],
            _ => &[12, 6, 0],
        };
        let mut at = tree + 8;
        for &shift in shifts {
            let node = kernel.allocate(520);
            kernel.put_u8(node, shift);
            kernel.put(at, node | 2);
            at = node + 8 + (index >> shift & 63) * 8;
        }
        kernel.put(at, value);
    }

    fn image(self) -> (Image, u64) {
        (self.files.tasks.kernel.image(), self.task)
    }
}

fn area(missing: Option<&str>) -> SwapArea {
    SwapArea {
        name: NAME.to_owned(),
        size_bytes: (MAX - 1) * PAGE,
        missing: missing.map(str::to_owned),
    }
}

/// What is read of page `number` of the process, and what is read of the area for that.
fn read_with(world: World, areas: &[SwapArea], number: u64) -> (Result<Vec<u8>, Reason>, usize) {
    let (image, task) = world.image();
    let pages = Pages::default();
    let machine = image.machine().with_swap(areas, &pages);
    let task = machine.task(task, &mut crate::Troubles::default()).unwrap();
    let space = machine.space_of(&task).unwrap();
    let mut page = vec![0xee; 4096];
    let (read, error) = machine.read_some_in(space, START + number * PAGE, &mut page);
    let found = match error {
        None => {
            assert_eq!(read, 4096);
            Ok(page)
        }
        Some(error) => {
            assert_eq!((read, error.address), (0, START + number * PAGE));
            Err(error.reason)
        }
    };
    let reads = pages.0.borrow().len();
    (found, reads)
}

fn read(world: World, number: u64) -> (Result<Vec<u8>, Reason>, usize) {
    read_with(world, &[area(None)], number)
}

/// Why page 1 of the process is not read.
fn why(world: World) -> String {
    let (found, _) = read(world, 1);
    found.unwrap_err().to_string()
}

const SHADOW: u64 = 0x1234_0001;

#[test]
fn entries_are_taken_apart_as_the_kernel_puts_them_together() {
    for (value, kind, page) in [
        // Worked out by hand: pages 1 and 0x1000 of the first area.
        (0x07ff_ffff_ffff_fc00, 0, 1),
        (0x07ff_ffff_ffdf_fe00, 0, 0x1000),
        // Of the fourth, with its three low flags.
        (0x1fff_ffff_ffff_f60e, 3, 4),
        (0xffff_ffff_ffff_fe00, 31, 0),
    ] {
        assert_eq!(Slot::new(value), Some(Slot { kind, page }), "{value:#x}");
        assert_eq!(Slot::new(entry(kind, page)), Some(Slot { kind, page }));
    }
    assert_eq!(Slot::new(0), None);
    // PROT_NONE.
    assert_eq!(Slot::new(0x07ff_ffff_ffff_fd00), None);
}

#[test]
fn pages_are_read_from_the_area_across_those_that_are_in_memory() {
    let mut world = World::with_tables();
    for (number, page) in [(1, 5), (2, 700), (3, 33_000)] {
        world.swap_out(number, page);
        world.put_in_table(page, SHADOW);
    }
    let (image, task) = world.image();
    let pages = Pages::default();
    let areas = [area(None)];
    let machine = image.machine().with_swap(&areas, &pages);
    let task = machine.task(task, &mut crate::Troubles::default()).unwrap();
    let space = machine.space_of(&task).unwrap();
    let mut bytes = vec![0xee; 4096 * 3];
    let (done, error) = machine.read_some_in(space, START + 4086, &mut bytes);
    assert_eq!((done, error), (4096 * 3, None));
    let expected = [(10, 0), (4096, 5), (4096, 700_u64.to_le_bytes()[0])];
    let mut rest = bytes.as_slice();
    for (len, byte) in expected {
        let (piece, tail) = rest.split_at(len);
        assert!(piece.iter().all(|&found| found == byte), "{byte}");
        rest = tail;
    }
    assert!(
        rest.iter()
            .all(|&found| found == 33_000_u64.to_le_bytes()[0])
    );
    let read = [
        (0, 5 * 4096, 4096),
        (0, 700 * 4096, 4096),
        (0, 33_000 * 4096, 4086),
    ];
    assert_eq!(*pages.0.borrow(), read);
    // What ends within them is read as far as it goes.
    let (done, error) = machine.read_some_in(space, START + 3 * PAGE + 8, &mut bytes);
    let error = error.unwrap();
    assert_eq!((done, error.reason), (4088, Reason::NotMapped));
    assert_eq!(error.address, START + 4 * PAGE);
}

#[test]
fn what_the_swap_cache_has_is_newer_than_the_area() {
    let mut world = World::with_tables();
    world.swap_out(1, 5);
    let number = world.cache(5, "newer");
    // With three users.
    world.put_in_table(5, number << 2 | 2 | 3 << 60);
    let (found, reads) = read(world, 1);
    assert!(found.unwrap().starts_with(b"newer"));
    assert_eq!(reads, 0);
}

#[test]
fn a_folio_of_several_pages_is_cached_as_a_whole() {
    let mut world = World::with_tables();
    world.swap_out(1, 6);
    let first = world.cache(4, "first");
    let second = world.cache(4, "second");
    let third = world.cache(4, "third");
    assert_eq!((second, third), (first + 1, first + 2));
    // In the first kernels with tables, the address of the first page.
    for value in [first << 2 | 2, world.vmemmap + first * 64] {
        let mut world = World::with_tables();
        world.swap_out(1, 6);
        for mark in ["first", "second", "third"] {
            world.cache(4, mark);
        }
        world.put_in_table(6, value);
        let (found, _) = read(world, 1);
        assert!(found.unwrap().starts_with(b"third"), "{value:#x}");
    }
}

#[test]
fn a_page_that_is_not_the_slots_or_not_read_yet_is_refused() {
    for (private, flags, reason) in [
        (KIND << 58 | 4, 1, "being read"),
        (KIND << 58 | 6, 8, "another one"),
        ((KIND + 1) << 58 | 5, 8, "another one"),
        (0, 8, "another one"),
    ] {
        let mut world = World::with_tables();
        world.swap_out(1, 5);
        let number = world.cache(5, "odd");
        world.describe(number, private, flags);
        world.put_in_table(5, number << 2 | 2);
        let said = why(world);
        assert!(said.contains(reason), "{private:#x}: {said}");
    }
}

#[test]
fn a_page_of_zeros_was_never_written() {
    let mut world = World::with_tables();
    world.swap_out(1, 5);
    world.put_in_table(5, SHADOW | 1 << 59);
    let (found, reads) = read(world, 1);
    assert!(found.unwrap().iter().all(|&byte| byte == 0));
    assert_eq!(reads, 0);
    let mut world = World::with_trees();
    world.swap_out(1, 70);
    let (users, zeros) = (world.kernel_at(40), world.kernel_at(48));
    world.kernel().put_u8(users + 70, 1);
    world.kernel().put(zeros + 8, 1 << 6);
    let (found, reads) = read(world, 1);
    assert!(found.unwrap().iter().all(|&byte| byte == 0));
    assert_eq!(reads, 0);
}

#[test]
fn slots_that_nobody_uses_any_more_are_not_read() {
    for value in [0, BAD_SLOT] {
        let mut world = World::with_tables();
        world.swap_out(1, 5);
        world.put_in_table(5, value);
        let said = why(world);
        assert!(said.contains("was free"), "{said}");
    }
    // Its cluster has no table.
    let mut world = World::with_tables();
    world.swap_out(1, 5000);
    assert!(why(world).contains("was free"));
    let mut world = World::with_trees();
    world.swap_out(1, 70);
    assert!(why(world).contains("was free"));
}

#[test]
fn what_zswap_has_is_not_taken_from_the_area() {
    for page in [5, 700, 33_000] {
        let mut world = World::with_tables();
        world.swap_out(1, page);
        world.put_in_table(page, SHADOW);
        let tree = world.compressed + (page >> 14) * 16;
        world.put_in_tree(tree, page, DIRECT + 0x2000);
        let said = why(world);
        assert!(said.contains("zswap"), "{page}: {said}");
    }
    // Another page is there.
    let mut world = World::with_tables();
    world.swap_out(1, 5);
    world.put_in_table(5, SHADOW);
    let tree = world.compressed;
    world.put_in_tree(tree, 6, DIRECT + 0x2000);
    let (found, reads) = read(world, 1);
    assert_eq!((found.unwrap()[0], reads), (5, 1));
}

#[test]
fn kernels_before_tables_have_trees() {
    // Within each tree, or the whole area.
    for (page, index) in [(5, 5), (33_000, 33_000), (33_000, 33_000 & 0x3fff)] {
        let build = || {
            let mut world = World::with_trees();
            world.swap_out(1, page);
            let users = world.kernel_at(40);
            world.kernel().put_u8(users + page, 1);
            world
        };
        let (found, reads) = read(build(), 1);
        assert_eq!((found.unwrap()[0], reads), (page.to_le_bytes()[0], 1));
        let mut world = build();
        let number = world.cache(page, "newer");
        let tree = world.clusters + (page >> 14) * 16;
        let page_struct = world.vmemmap + number * 64;
        world.put_in_tree(tree, index, page_struct);
        let (found, reads) = read(world, 1);
        assert!(found.unwrap().starts_with(b"newer"), "{page} {index}");
        assert_eq!(reads, 0);
        // How long ago it was written.
        let mut world = build();
        let tree = world.clusters + (page >> 14) * 16;
        world.put_in_tree(tree, index, 0x8001);
        let (found, reads) = read(world, 1);
        assert_eq!((found.unwrap()[0], reads), (page.to_le_bytes()[0], 1));
    }
}

#[test]
fn areas_that_are_others_or_were_not_kept_are_not_read() {
    let build = || {
        let mut world = World::with_tables();
        world.swap_out(1, 5);
        world.put_in_table(5, SHADOW);
        world
    };
    let smaller = SwapArea {
        size_bytes: MAX * PAGE,
        ..area(None)
    };
    let other = SwapArea {
        name: "/swap".to_owned(),
        ..area(None)
    };
    for (areas, reason) in [
        (vec![smaller], "another one"),
        (vec![other], "no such area was kept"),
        (vec![area(Some("the disk is gone"))], "the disk is gone"),
        (Vec::new(), "no such area was kept"),
    ] {
        let (found, reads) = read_with(build(), &areas, 1);
        let said = found.unwrap_err().to_string();
        assert!(
            said.contains(reason) && said.contains("swapped out, to page 5 of /swap/file"),
            "{said}"
        );
        assert_eq!(reads, 0);
    }
}

#[test]
fn entries_that_are_of_no_area_are_said() {
    let mut world = World::with_tables();
    let leaf = world.leaf;
    // About to be moved.
    world.kernel().put(leaf + 8, entry(KIND + 20, 5));
    let (found, _) = read(world, 1);
    let kind = KIND + 20;
    assert_eq!(found.unwrap_err(), Reason::NotSwap { kind });
    let mut world = World::with_tables();
    world.swap_out(1, MAX);
    assert!(why(world).contains("has only 40000 pages"));
    let mut world = World::with_tables();
    world.swap_out(1, 0);
    assert!(why(world).contains("has only"));
    let mut world = World::with_tables();
    world.swap_out(1, 66);
    world.put_in_table(66, SHADOW);
    assert!(why(world).contains("a bad page"));
    // Another type has its place, or it is not used.
    for (place, value) in [(8, 4), (0, 0)] {
        let mut world = World::with_tables();
        world.swap_out(1, 5);
        world.put_in_table(5, SHADOW);
        let at = world.info + place;
        world.kernel().put_u8(at, value);
        let (found, _) = read(world, 1);
        assert_eq!(found.unwrap_err(), Reason::NotSwap { kind: KIND });
    }
}

#[test]
fn without_areas_a_page_is_swapped_out_as_it_was() {
    let mut world = World::with_tables();
    world.swap_out(1, 5);
    let (image, task) = world.image();
    let machine = image.machine();
    let task = machine.task(task, &mut crate::Troubles::default()).unwrap();
    let space = machine.space_of(&task).unwrap();
    let (done, error) = machine.read_some_in(space, START + PAGE, &mut [0]);
    assert_eq!((done, error.unwrap().reason), (0, Reason::SwappedOut));
}

#[test]
fn what_is_missing_in_memory_is_not_guessed() {
    let mut world = World::with_tables();
    world.swap_out(1, 5);
    let at = world.kernel_table();
    world.kernel().lose(at);
    let said = why(world);
    assert!(said.contains("cannot be told"), "{said}");
}

#[test]
fn a_tree_that_leads_to_itself_ends() {
    let mut world = World::with_tables();
    world.swap_out(1, 700);
    world.put_in_table(700, SHADOW);
    let tree = world.compressed;
    let node = world.kernel().allocate(520);
    for slot in 0..64 {
        world.kernel().put(node + 8 + slot * 8, node | 2);
    }
    world.kernel().put_u8(node, 6);
    world.kernel().put(tree + 8, node | 2);
    let (found, reads) = read(world, 1);
    assert_eq!((found.unwrap()[0], reads), (700_u64.to_le_bytes()[0], 1));
}

impl World {
    /// What the area's struct has at `place`.
    fn kernel_at(&mut self, place: u64) -> u64 {
        let at = self.info + place;
        self.kernel().get(at)
    }

    fn kernel_table(&mut self) -> u64 {
        let at = self.clusters + 8;
        self.kernel().get(at)
    }
}

#[test]
fn pages_in_areas_that_were_kept_are_counted() {
    for (areas, kept) in [(vec![area(None)], 2), (vec![area(Some("gone"))], 0)] {
        let mut world = World::with_tables();
        for (number, page) in [(1, 5), (2, 6), (3, MAX)] {
            world.swap_out(number, page);
        }
        let leaf = world.leaf;
        world.kernel().put(leaf + 4 * 8, entry(KIND + 20, 5));
        let task = world.task;
        let kernel = world.kernel();
        let vma = kernel.allocate(64);
        let mm = kernel.get(task + 88);
        kernel.put(mm + u64::from(CHAIN.2), vma);
        kernel.put(vma, START);
        kernel.put(vma + 8, START + 0x1_0000);
        kernel.put(vma + 24, 3);
        let (image, _) = world.image();
        let pages = Pages::default();
        let machine = image.machine().with_swap(&areas, &pages);
        let found = machine.tasks().unwrap();
        let tasks: Vec<&crate::Task> = found.items.iter().collect();
        let mut troubles = crate::Troubles::default();
        let counted = machine
            .user_pages(&tasks, 1, &|_| true, &mut troubles)
            .unwrap();
        assert_eq!((counted.swapped, counted.kept_in_swap), (4, kept));
        assert_eq!(*pages.0.borrow(), []);
    }
}
