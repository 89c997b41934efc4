// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small kernel that is made for a test: its types as BTF, its page tables and its memory.

#![expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::new_without_default,
    clippy::unwrap_used,
    reason = "only tests use it"
)]

mod file_types;
mod files;
mod kernel_types;
mod log;
mod swap_types;

pub use file_types::file_types;
pub use files::Files;
pub use kernel_types::{
    CHAIN, PARTS, counter_types, mapping_types, module_types, old_mapping_types, queue_types,
};
pub use log::{LogRing, log_types};
pub use swap_types::{swap_tables, swap_trees};

use crate::facts::{Facts, Symbols};
use crate::machine::Machine;
use linpmem_kinfo::kallsyms::Symbol;
use linpmem_phys::{MemoryImage, MemoryMap, PhysAddr, PhysRange, Region, RegionKind};
use std::collections::HashMap;

/// Where physical address 0 is mapped.
pub const DIRECT: u64 = 0xffff_8880_0000_0000;
/// Where the kernel's image is mapped: at physical address 0, too.
pub const IMAGE: u64 = 0xffff_ffff_8000_0000;
/// The top page table, and where the banner is.
pub const TABLE: u64 = 0x1000;
const BANNER: u64 = 0x4000;
const FIRST_FREE: u64 = 0x1_0000;
pub const END: u64 = 0x40_0000;
const PRESENT: u64 = 0x63;
const HUGE: u64 = 0x80;

/// The type of a member.
#[derive(Clone, Copy)]
pub enum Of {
    Number(u32),
    Signed(u32),
    Pointer(&'static str),
    Struct(&'static str),
    Array(&'static str, u32),
    Numbers(u32, u32),
    /// So many bits of a number of four bytes; the place is in bits.
    Bits(u32),
}

/// A name, a type, and the place in bytes.
pub type MemberOf = (&'static str, Of, u32);

/// BTF in the making.
pub struct Btf {
    records: Vec<Vec<u8>>,
    strings: Vec<u8>,
    ids: HashMap<String, u32>,
}

impl Btf {
    pub fn new() -> Self {
        Self {
            records: Vec::new(),
            strings: vec![0],
            ids: HashMap::new(),
        }
    }

    fn text(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        at
    }

    /// The number of a type, which is made when it is first asked for.
    fn id(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Vec<u32>) -> u32 {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        self.records.push(Vec::new());
        let id = self.records.len() as u32;
        self.ids.insert(name.to_owned(), id);
        let words = make(self);
        self.records[id as usize - 1] = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        id
    }

    fn of(&mut self, of: Of) -> u32 {
        match of {
            Of::Number(size) => self.id(&format!("u{size}"), |_| vec![0, 1 << 24, size, size * 8]),
            Of::Signed(size) => self.id(&format!("i{size}"), |_| {
                vec![0, 1 << 24, size, (1 << 24) | (size * 8)]
            }),
            Of::Bits(_) => self.of(Of::Number(4)),
            Of::Struct(name) => self.declared(name),
            Of::Pointer(name) => self.id(&format!("*{name}"), |btf| {
                vec![0, 2 << 24, btf.declared(name)]
            }),
            Of::Array(name, count) => self.id(&format!("{name}[{count}]"), |btf| {
                let element = btf.declared(name);
                let index = btf.of(Of::Number(4));
                vec![0, 3 << 24, 0, element, index, count]
            }),
            Of::Numbers(size, count) => self.id(&format!("u{size}[{count}]"), |btf| {
                let element = btf.of(Of::Number(size));
                let index = btf.of(Of::Number(4));
                vec![0, 3 << 24, 0, element, index, count]
            }),
        }
    }

    /// A struct that may be defined later; `char` is a number of one byte.
    fn declared(&mut self, name: &str) -> u32 {
        if name == "char" {
            return self.of(Of::Number(1));
        }
        self.id(&format!("struct {name}"), |_| vec![0, 7 << 24, 0])
    }

    /// Defines a struct; one whose name begins with `?` has none.
    pub fn structure(&mut self, name: &'static str, size: u32, members: &[MemberOf]) -> &mut Self {
        let id = self.declared(name);
        let shown = if name.starts_with('?') { "" } else { name };
        let mut words = vec![
            self.text(shown),
            1 << 31 | 4 << 24 | members.len() as u32,
            size,
        ];
        for &(name, of, at) in members {
            let name = self.text(name);
            let place = match of {
                Of::Bits(count) => count << 24 | at,
                _ => at * 8,
            };
            words.extend([name, self.of(of), place]);
        }
        self.records[id as usize - 1] = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self
    }

    /// Defines an enumeration of four bytes.
    pub fn enumeration(&mut self, name: &'static str, values: &[(&'static str, u32)]) -> &mut Self {
        let mut words = vec![self.text(name), 6 << 24 | values.len() as u32, 4];
        for &(name, value) in values {
            words.extend([self.text(name), value]);
        }
        self.id(name, |_| words);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let types: Vec<u8> = self.records.concat();
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [
            24,
            0,
            types.len() as u32,
            types.len() as u32,
            self.strings.len() as u32,
        ] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(types);
        bytes.extend(&self.strings);
        bytes
    }
}

/// A kernel in the making.
pub struct Kernel {
    pub bytes: Vec<u8>,
    pub btf: Vec<u8>,
    symbols: Symbols,
    kallsyms: String,
    free: u64,
    pub missing: Vec<u64>,
}

/// The finished kernel.
pub struct Image {
    memory: MemoryImage,
    btf: Vec<u8>,
    symbols: Symbols,
}

pub const VMCOREINFO: &[u8] = b"OSRELEASE=7.3.4\nPAGESIZE=4096\nNUMBER(phys_base)=0\n\
    NUMBER(pgtable_l5_enabled)=0\nSYMBOL(swapper_pg_dir)=ffffffff80001000\n";

impl Kernel {
    pub fn new(btf: &Btf) -> Self {
        let mut kernel = Self {
            bytes: vec![0; END as usize],
            btf: btf.bytes(),
            symbols: Symbols::default(),
            kallsyms: String::new(),
            free: FIRST_FREE,
            missing: Vec::new(),
        };
        // A page of 1 GiB each: the direct map, and the kernel's image.
        kernel.put(DIRECT + TABLE + 273 * 8, 0x2000 | PRESENT);
        kernel.put(DIRECT + TABLE + 511 * 8, 0x3000 | PRESENT);
        kernel.put(DIRECT + 0x2000, PRESENT | HUGE);
        kernel.put(DIRECT + 0x3000 + 510 * 8, PRESENT | HUGE);
        kernel.text(DIRECT + BANNER, "Linux version 7.3.4 (test)\n");
        kernel.symbol("linux_banner", IMAGE + BANNER);
        kernel
    }

    pub fn symbol(&mut self, name: &str, address: u64) {
        let line = format!("{address:016x} D {name}");
        let symbol = Symbol::parse(line.as_bytes()).unwrap();
        self.symbols.see(&symbol, 0);
        self.kallsyms.push_str(&line);
        self.kallsyms.push('\n');
    }

    /// Zeroed memory, by its address in the direct map, aligned to 256 bytes.
    pub fn allocate(&mut self, size: u64) -> u64 {
        let at = self.free;
        self.free += size.next_multiple_of(256);
        assert!(self.free <= END);
        DIRECT + at
    }

    pub fn put(&mut self, at: u64, value: u64) {
        let at = (at - DIRECT) as usize;
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    pub fn get(&self, at: u64) -> u64 {
        let at = (at - DIRECT) as usize;
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    pub fn put_u32(&mut self, at: u64, value: u32) {
        let at = (at - DIRECT) as usize;
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub fn put_u8(&mut self, at: u64, value: u8) {
        self.bytes[(at - DIRECT) as usize] = value;
    }

    pub fn text(&mut self, at: u64, text: &str) {
        let at = (at - DIRECT) as usize;
        self.bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    }

    /// Links `elements` to a list that begins and ends at `head`.
    pub fn link(&mut self, head: u64, elements: &[u64]) {
        let all: Vec<u64> = [head].iter().chain(elements).copied().collect();
        for (index, &at) in all.iter().enumerate() {
            let next = all[(index + 1) % all.len()];
            self.put(at, next);
            self.put(next + 8, at);
        }
    }

    /// Where the symbol `name` is.
    pub fn symbol_at(&self, name: &str) -> u64 {
        self.symbols.get(name).unwrap()
    }

    /// The symbols, as /proc/kallsyms lists them.
    pub fn kallsyms(&self) -> &str {
        &self.kallsyms
    }

    /// The memory, as an image in LiME's format.
    pub fn lime(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for page in (0..END).step_by(0x1000) {
            if !self.missing.contains(&page) {
                file.extend(0x4c69_4d45_u32.to_le_bytes());
                file.extend(1_u32.to_le_bytes());
                for number in [page, page + 0xfff, 0] {
                    file.extend(number.to_le_bytes());
                }
                file.extend(&self.bytes[page as usize..page as usize + 0x1000]);
            }
        }
        file
    }

    /// The page of `at` is not in the image.
    pub fn lose(&mut self, at: u64) {
        self.missing.push((at - DIRECT) & !0xfff);
    }

    pub fn image(self) -> Image {
        let pages = (0..END).step_by(0x1000);
        let regions = pages
            .filter(|page| !self.missing.contains(page))
            .map(|page| Region {
                range: PhysRange::new(PhysAddr::new(page), PhysAddr::new(page + 0x1000)).unwrap(),
                kind: RegionKind::SystemRam,
            });
        Image {
            memory: MemoryImage::new(MemoryMap::new(regions).unwrap(), self.bytes),
            btf: self.btf,
            symbols: self.symbols,
        }
    }
}

impl Image {
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            vmcoreinfo: VMCOREINFO,
            btf: &self.btf,
            symbols: self.symbols.clone(),
        }
    }

    pub fn memory(&self) -> &MemoryImage {
        &self.memory
    }

    pub fn machine(&self) -> Machine<'_> {
        Machine::open(&self.memory, self.facts()).unwrap()
    }
}

/// Types of a kernel with tasks, their numbers and mappings; `mm` has the members that kernels
/// differ in.
pub fn types(mm: &[MemberOf]) -> Btf {
    let mut btf = Btf::new();
    let links = &[
        ("next", Of::Pointer("list_head"), 0),
        ("prev", Of::Pointer("list_head"), 8),
    ];
    btf.structure("list_head", 16, links)
        .structure("hlist_head", 8, &[("first", Of::Number(8), 0)])
        .structure("hlist_node", 16, &[("next", Of::Number(8), 0)])
        .structure(
            "task_struct",
            256,
            &[
                ("tasks", Of::Struct("list_head"), 0),
                ("thread_node", Of::Struct("list_head"), 16),
                ("pid", Of::Signed(4), 32),
                ("tgid", Of::Signed(4), 36),
                ("comm", Of::Array("char", 16), 40),
                ("flags", Of::Number(4), 56),
                ("__state", Of::Number(4), 60),
                ("exit_state", Of::Signed(4), 64),
                ("real_parent", Of::Pointer("task_struct"), 72),
                ("signal", Of::Pointer("signal_struct"), 80),
                ("mm", Of::Pointer("mm_struct"), 88),
                ("cred", Of::Pointer("cred"), 96),
                ("start_boottime", Of::Number(8), 104),
                ("pid_links", Of::Array("hlist_node", 4), 112),
                ("fs", Of::Pointer("fs_struct"), 176),
                ("files", Of::Pointer("files_struct"), 184),
                ("nsproxy", Of::Pointer("nsproxy"), 192),
            ],
        )
        .structure(
            "signal_struct",
            16,
            &[("thread_head", Of::Struct("list_head"), 0)],
        )
        .structure("kuid_t", 4, &[("val", Of::Number(4), 0)])
        .structure("cred", 8, &[("euid", Of::Struct("kuid_t"), 4)])
        .structure("mm_struct", 64, mm)
        .structure("xarray", 16, &[("xa_head", Of::Number(8), 8)])
        .structure("idr", 24, &[("idr_rt", Of::Struct("xarray"), 0)])
        .structure("pid_namespace", 32, &[("idr", Of::Struct("idr"), 8)])
        .structure(
            "xa_node",
            520,
            &[
                ("shift", Of::Number(1), 0),
                ("slots", Of::Numbers(8, 64), 8),
            ],
        )
        .structure("pid", 40, &[("tasks", Of::Array("hlist_head", 4), 8)]);
    btf
}

/// What all kernels' `mm_struct` has.
pub const MM: [MemberOf; 3] = [
    ("pgd", Of::Number(8), 0),
    ("arg_start", Of::Number(8), 8),
    ("arg_end", Of::Number(8), 16),
];

/// A kernel with tasks.
pub struct Tasks {
    pub kernel: Kernel,
    pub init: u64,
    /// Where the numbers are: slot by slot.
    pub numbers: u64,
    processes: Vec<u64>,
    cred: u64,
}

impl Tasks {
    pub fn new(mm: &[MemberOf]) -> Self {
        Self::with(mm, |_| {})
    }

    /// With more types, which `define` adds.
    pub fn with(mm: &[MemberOf], define: impl FnOnce(&mut Btf)) -> Self {
        let mut btf = types(&[&MM, mm].concat());
        define(&mut btf);
        let mut kernel = Kernel::new(&btf);
        let init = kernel.allocate(256);
        let cred = kernel.allocate(8);
        let namespace = kernel.allocate(32);
        let numbers = kernel.allocate(520);
        kernel.put_u32(cred + 4, 1000);
        kernel.put(namespace + 16, numbers | 2);
        kernel.symbol("init_task", init);
        kernel.symbol("init_pid_ns", namespace);
        let mut tasks = Self {
            kernel,
            init,
            numbers,
            processes: Vec::new(),
            cred,
        };
        tasks.fill(init, 0, 0, "swapper/0");
        tasks.relink();
        tasks
    }

    fn fill(&mut self, at: u64, pid: u32, tgid: u32, name: &str) {
        let kernel = &mut self.kernel;
        kernel.put_u32(at + 32, pid);
        kernel.put_u32(at + 36, tgid);
        kernel.text(at + 40, name);
        kernel.put(at + 72, self.init);
        kernel.put(at + 96, self.cred);
        kernel.put(at + 104, u64::from(pid) * 1_000_000_000);
        let signal = kernel.allocate(16);
        kernel.put(at + 80, signal);
        kernel.link(signal, &[at + 16]);
    }

    fn relink(&mut self) {
        let init = self.init;
        self.kernel.link(init, &self.processes);
    }

    /// The slot that leads to what has the number `pid`.
    pub fn slot(&self, pid: u64) -> u64 {
        self.numbers + 8 + pid * 8
    }

    fn number(&mut self, pid: u32, task: u64) {
        let entry = self.kernel.allocate(40);
        self.kernel.put(entry + 8, task + 112);
        let slot = self.slot(u64::from(pid));
        self.kernel.put(slot, entry);
    }

    /// A process, by its list and by its number, in a page of its own.
    pub fn process(&mut self, pid: u32, name: &str) -> u64 {
        let at = self.kernel.aligned_page();
        self.fill(at, pid, pid, name);
        self.number(pid, at);
        self.processes.push(at);
        self.relink();
        at
    }

    /// Another thread of the process at `leader`, in a page of its own.
    pub fn thread(&mut self, leader: u64, tgid: u32, pid: u32, name: &str) -> u64 {
        let at = self.kernel.aligned_page();
        self.fill(at, pid, tgid, name);
        self.number(pid, at);
        let signal = self.kernel.get(leader + 80);
        self.kernel.put(at + 80, signal);
        self.kernel.link(signal, &[leader + 16, at + 16]);
        at
    }

    /// Takes the process at `at` out of the list of all.
    pub fn hide(&mut self, at: u64) {
        self.processes.retain(|&process| process != at);
        self.relink();
    }

    /// Gives the task memory of its own, with `words` at 0x400000; returns its `mm_struct`.
    pub fn memory(&mut self, task: u64, words: &[u8]) -> u64 {
        let kernel = &mut self.kernel;
        let mm = kernel.allocate(64);
        let tables: Vec<u64> = (0..4).map(|_| kernel.aligned_page()).collect();
        let page = kernel.aligned_page();
        for (index, place) in [0, 0, 2, 0].into_iter().enumerate() {
            let next = tables.get(index + 1).copied().unwrap_or(page);
            kernel.put(tables[index] + place * 8, (next - DIRECT) | 0x67);
        }
        kernel.text(page, std::str::from_utf8(words).unwrap());
        kernel.put(task + 88, mm);
        kernel.put(mm, tables[0]);
        kernel.put(mm + 8, 0x40_0000);
        kernel.put(mm + 16, 0x40_0000 + words.len() as u64);
        mm
    }
}

impl Kernel {
    pub fn aligned_page(&mut self) -> u64 {
        self.free = self.free.next_multiple_of(0x1000);
        self.allocate(0x1000)
    }
}
