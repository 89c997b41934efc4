// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the memory of processes is in the image: what their page tables lead to, beside what
//! the kernel itself has counted.

use crate::address_space::{AddressSpace, Place};
use crate::error::Error;
use crate::machine::{Machine, Struct};
use crate::tasks::Task;
use crate::trouble::Trouble;
use crate::troubles::Troubles;
use linpmem_phys::PAGE_SIZE;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::collections::HashSet;

const PAGE: u64 = PAGE_SIZE.get();

/// How many entries of page tables are looked at, of all processes and of one.
const MAX_LOOKS: u64 = 1 << 20;
const MAX_LOOKS_OF_ONE: u64 = 1 << 16;
/// So many pages that one entry maps count as one more look.
const PAGES_A_LOOK: u64 = 16;
/// How many pages of programs are read.
const MAX_CODE_PAGES: usize = 2048;

/// `VM_EXEC`.
const EXECUTABLE: u64 = 4;
/// `VM_PFNMAP`, `VM_IO`, `VM_HUGETLB` and `VM_MIXEDMAP`: what is mapped there is not counted as
/// the process's.
const UNCOUNTED: u64 = 0x400 | 0x4000 | 0x40_0000 | 0x1000_0000;
/// Of the kernel's counters: pages of files, without files, and shared. The third one is of
/// pages in swap.
const RESIDENT: [u64; 3] = [0, 1, 3];
/// Processors whose parts of a counter are added.
const MAX_CPUS: u64 = 8192;

/// What the page tables of processes lead to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserPages {
    /// Processes whose page tables were followed.
    pub processes: u64,
    /// Pages that they lead to.
    pub mapped: u64,
    /// Those of them that are not in the image.
    pub outside: u64,
    /// Pages that are in swap or about to be moved.
    pub swapped: u64,
    /// Those of them that are in swap areas which were kept with the image.
    pub kept_in_swap: u64,
    /// Tables that cannot be read, or lead out of memory.
    pub broken: u64,
    /// Processes that were followed to the end and whose pages the kernel has counted.
    pub counted_processes: u64,
    /// The pages that the kernel has counted of those.
    pub counted: u64,
    /// The pages that their page tables lead to.
    pub found: u64,
    /// Pages of programs and libraries that were read.
    pub code_pages: u64,
    /// Those of them with zeros alone; several next to each other count as one, since a program
    /// may have a table of zeros, which linkers for arm64 put where the code is.
    pub empty_code_pages: u64,
}

/// A mapping, as far as it matters here.
struct Area {
    start: u64,
    end: u64,
    flags: u64,
    is_file: bool,
}

impl Machine<'_> {
    /// Follows the page tables of `tasks`; `is_in_image` tells whether the image has the page at
    /// a physical address. The machine has `cpus` processors.
    ///
    /// # Errors
    /// If this kernel keeps mappings in another way.
    pub fn user_pages(
        &self,
        tasks: &[&Task],
        cpus: u64,
        is_in_image: &dyn Fn(u64) -> bool,
        troubles: &mut Troubles,
    ) -> Result<UserPages, Error> {
        let mut walk = Walk {
            machine: self,
            is_in_image,
            pages: UserPages::default(),
            looks_left: MAX_LOOKS,
            seen_code: HashSet::new(),
            after_empty: None,
        };
        let mut seen = HashSet::new();
        for task in tasks {
            let (Some(mm), Some(space)) = (task.mm, self.space_of(task)) else {
                continue;
            };
            if walk.looks_left == 0 {
                break;
            }
            if !seen.insert(mm) {
                continue;
            }
            let mm = self.structure("mm_struct", mm)?;
            let areas = self.areas(mm)?;
            let mut is_whole = areas.troubles.is_empty();
            troubles.append(areas.troubles);
            let before = (walk.pages.mapped, walk.pages.broken);
            let mut looks_left = MAX_LOOKS_OF_ONE.min(walk.looks_left);
            let budget = looks_left;
            for at in areas.items {
                match self.area(at) {
                    Ok(area) if area.flags & UNCOUNTED == 0 => {
                        is_whole &= walk.area(space, &area, &mut looks_left);
                    }
                    Ok(_) => {}
                    Err(error @ Error::Memory(_)) => {
                        is_whole = false;
                        let what = "mapping of a process";
                        troubles.push(Trouble::Unreadable { what, error });
                    }
                    Err(other) => return Err(other),
                }
            }
            walk.looks_left -= budget - looks_left;
            walk.pages.processes += 1;
            is_whole &= walk.pages.broken == before.1;
            if let (true, Ok(counted)) = (is_whole, self.resident(mm, cpus)) {
                walk.pages.counted_processes += 1;
                walk.pages.counted += counted;
                walk.pages.found += walk.pages.mapped - before.0;
            }
        }
        Ok(walk.pages)
    }

    fn area(&self, at: u64) -> Result<Area, Error> {
        let area = self.structure("vm_area_struct", at)?;
        Ok(Area {
            start: area.field("vm_start")?.u64()?,
            end: area.field("vm_end")?.u64()?,
            flags: area.field("vm_flags")?.u64()?,
            is_file: area.field("vm_file")?.u64()? != 0,
        })
    }

    /// The pages of a process that are in memory, as the kernel has counted them: in parts, one
    /// for each processor, since Linux 6.2.
    fn resident(&self, mm: Struct<'_>, cpus: u64) -> Result<u64, Error> {
        let stat = mm.field("rss_stat")?;
        let mut sum = 0_i64;
        let is_in_parts = stat.count().is_ok();
        let counters = match is_in_parts {
            true => stat,
            false => stat.structure().field("count")?,
        };
        for index in RESIDENT {
            let counter = counters.index(index)?.structure();
            if !is_in_parts {
                sum = sum.saturating_add(signed(counter.field("counter")?.u64()?));
                continue;
            }
            sum = sum.saturating_add(signed(counter.field("count")?.u64()?));
            let parts = counter.field("counters")?.u64()?;
            for cpu in 0..cpus.min(MAX_CPUS) {
                let mut bytes = [0; 4];
                self.read(parts.wrapping_add(self.per_cpu_offset(cpu)?), &mut bytes)?;
                sum = sum.saturating_add(i32::from_le_bytes(bytes).into());
            }
        }
        // Each counter is for itself and may be below zero for a moment; pages are of 4 KiB
        // here.
        let pages = u64::try_from(sum).unwrap_or(0);
        Ok(pages.saturating_mul(self.page_size() / PAGE))
    }
}

const fn signed(number: u64) -> i64 {
    i64::from_ne_bytes(number.to_ne_bytes())
}

struct Walk<'m> {
    machine: &'m Machine<'m>,
    is_in_image: &'m dyn Fn(u64) -> bool,
    pages: UserPages,
    looks_left: u64,
    /// Pages of programs that were read: processes share them.
    seen_code: HashSet<u64>,
    /// Where the page after the last empty one of a program would be.
    after_empty: Option<u64>,
}

impl Walk<'_> {
    /// Follows the page tables of `area`; returns whether that was possible to its end.
    fn area(&mut self, space: AddressSpace, area: &Area, looks_left: &mut u64) -> bool {
        let mut at = area.start;
        self.after_empty = None;
        while at < area.end {
            let Some(left) = looks_left.checked_sub(1) else {
                return false;
            };
            *looks_left = left;
            let len = match self.machine.place_in(space, at) {
                Place::Mapped { phys, page_bytes } => {
                    let len = (page_bytes - at % page_bytes).min(area.end - at);
                    // A page of 1 GiB is more than one look.
                    *looks_left = looks_left.saturating_sub(len / PAGE / PAGES_A_LOOK);
                    for within in (0..len).step_by(u64_as_usize(PAGE)) {
                        self.page(at.wrapping_add(within), phys.wrapping_add(within), area);
                    }
                    len
                }
                Place::Absent { bytes, is_swapped } => {
                    self.pages.swapped += u64::from(is_swapped);
                    let is_kept = is_swapped && self.machine.is_swap_kept(space, at);
                    self.pages.kept_in_swap += u64::from(is_kept);
                    bytes - at % bytes
                }
                Place::Broken { bytes } => {
                    self.pages.broken += 1;
                    bytes - at % bytes
                }
            };
            let Some(next) = at.checked_add(len) else {
                break;
            };
            at = next;
        }
        true
    }

    fn page(&mut self, virt: u64, phys: u64, area: &Area) {
        self.pages.mapped += 1;
        if !(self.is_in_image)(phys) {
            self.pages.outside += 1;
            return;
        }
        let is_code = area.is_file && area.flags & EXECUTABLE != 0;
        if !is_code || self.seen_code.len() == MAX_CODE_PAGES || !self.seen_code.insert(phys) {
            return;
        }
        let mut page = [0; u64_as_usize(PAGE)];
        if self.machine.read_phys(phys, &mut page) {
            self.pages.code_pages = usize_as_u64(self.seen_code.len());
            if page.iter().all(|&byte| byte == 0) {
                self.pages.empty_code_pages += u64::from(self.after_empty != Some(virt));
                self.after_empty = Some(virt.wrapping_add(PAGE));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CHAIN, DIRECT, Image, MemberOf, Of, Tasks, counter_types, mapping_types};

    const START: u64 = 0x40_0000;

    /// How a kernel counts pages.
    const WHOLE: MemberOf = ("rss_stat", Of::Struct("mm_rss_stat"), 32);
    const PARTS: MemberOf = ("rss_stat", Of::Array("percpu_counter", 4), 32);

    /// A process with a program of 16 pages at 0x400000, and its page tables.
    struct World {
        tasks: Tasks,
        area: u64,
        mm: u64,
        leaf: u64,
        first: u64,
    }

    fn world(stat: MemberOf) -> World {
        let mut tasks = Tasks::with(&[CHAIN, stat], |btf| {
            mapping_types(btf);
            counter_types(btf);
        });
        let one = tasks.process(1, "init");
        let mm = tasks.memory(one, b"x");
        let kernel = &mut tasks.kernel;
        let area = kernel.allocate(64);
        kernel.put(mm + 24, area);
        kernel.put(area, START);
        kernel.put(area + 8, START + 0x1_0000);
        kernel.put(area + 24, 5);
        kernel.put(area + 40, DIRECT);
        // From the top table down to the one with the pages.
        let mut leaf = kernel.get(mm);
        for place in [0, 0, 2] {
            leaf = DIRECT + (kernel.get(leaf + place * 8) & !0xfff);
        }
        let first = DIRECT + (kernel.get(leaf) & !0xfff);
        World {
            tasks,
            area,
            mm,
            leaf,
            first,
        }
    }

    fn pages(image: &Image, is_in_image: &dyn Fn(u64) -> bool) -> UserPages {
        let machine = image.machine();
        let found = machine.tasks().unwrap();
        let tasks: Vec<&Task> = found.items.iter().collect();
        let mut troubles = Troubles::default();
        let pages = machine.user_pages(&tasks, 1, is_in_image, &mut troubles);
        assert_eq!(troubles, []);
        pages.unwrap()
    }

    #[test]
    fn pages_are_found_beside_what_the_kernel_has_counted() {
        let mut world = world(WHOLE);
        let kernel = &mut world.tasks.kernel;
        let code = [kernel.aligned_page(), kernel.aligned_page()];
        kernel.put(code[0] + 8, 0xcc);
        for (slot, entry) in [
            // Two pages of code, the second of them empty.
            (3, (code[0] - DIRECT) | 0x67),
            (4, (code[1] - DIRECT) | 0x67),
            // In swap.
            (5, 0x1234_0000),
            // Not in the image.
            (15, 0x7000_0000 | 0x67),
            // Beyond the mapping.
            (16, 0x7000_1000 | 0x67),
        ] {
            kernel.put(world.leaf + slot * 8, entry);
        }
        for (index, count) in [(0, 3), (1, 2), (2, 100), (3, 4)] {
            kernel.put(world.mm + 32 + index * 8, count);
        }
        let first = world.first - DIRECT;
        let image = world.tasks.kernel.image();
        let found = pages(&image, &|phys| phys < 0x7000_0000);
        let expected = UserPages {
            processes: 1,
            mapped: 4,
            outside: 1,
            swapped: 1,
            kept_in_swap: 0,
            broken: 0,
            counted_processes: 1,
            counted: 9,
            found: 4,
            code_pages: 3,
            empty_code_pages: 1,
        };
        assert_eq!(found, expected);
        assert_eq!(pages(&image, &|phys| phys != first).outside, 1);
    }

    #[test]
    fn a_table_of_zeros_in_a_program_counts_once() {
        let mut world = world(WHOLE);
        let kernel = &mut world.tasks.kernel;
        for slot in 3..8 {
            let page = kernel.aligned_page();
            if slot == 3 || slot == 6 {
                kernel.put(page + 8, 0xcc);
            }
            kernel.put(world.leaf + slot * 8, (page - DIRECT) | 0x67);
        }
        // One of two pages next to each other, and one behind it by itself.
        let found = pages(&world.tasks.kernel.image(), &|_| true);
        assert_eq!((found.code_pages, found.empty_code_pages), (6, 2));
    }

    #[test]
    fn a_counter_in_parts_is_the_sum_of_them() {
        let mut world = world(PARTS);
        let kernel = &mut world.tasks.kernel;
        let offsets = kernel.allocate(8);
        let own = kernel.allocate(8);
        kernel.symbol("__per_cpu_offset", offsets);
        kernel.put(offsets, own - 0x20);
        kernel.put_u32(own, u32::MAX - 6);
        for index in [0, 1, 3] {
            kernel.put(world.mm + 32 + index * 16, 10);
            kernel.put(world.mm + 40 + index * 16, 0x20);
        }
        let found = pages(&world.tasks.kernel.image(), &|_| true);
        // Three times 10 - 7.
        assert_eq!((found.counted, found.found), (9, 1));
    }

    #[test]
    fn what_is_no_memory_of_the_process_is_left_out() {
        let mut world = world(WHOLE);
        world.tasks.kernel.put(world.area + 24, 5 | 0x400);
        let found = pages(&world.tasks.kernel.image(), &|_| true);
        assert_eq!((found.processes, found.mapped), (1, 0));
    }

    #[test]
    fn tables_that_are_missing_are_counted_and_their_process_is_not_compared() {
        let mut world = world(WHOLE);
        world.tasks.kernel.lose(world.leaf);
        let found = pages(&world.tasks.kernel.image(), &|_| true);
        assert_eq!((found.broken, found.mapped), (1, 0));
        assert_eq!(found.counted_processes, 0);
    }

    #[test]
    fn a_mapping_of_all_addresses_ends() {
        let mut world = world(WHOLE);
        let kernel = &mut world.tasks.kernel;
        kernel.put(world.area, 0);
        kernel.put(world.area + 8, u64::MAX);
        // Every table is the top table, which maps itself and 1 GiB.
        let top = kernel.get(world.mm);
        for slot in 0..512 {
            kernel.put(top + slot * 8, (top - DIRECT) | 0x67);
        }
        let found = pages(&world.tasks.kernel.image(), &|_| true);
        assert!(found.mapped >= MAX_LOOKS_OF_ONE / 2, "{found:?}");
        assert_eq!(found.counted_processes, 0);
    }
}
