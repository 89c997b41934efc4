// SPDX-License-Identifier: MIT OR Apache-2.0
//! Translations compared with what the kernel reports elsewhere.

use crate::sys::{self, Memory, RAM};
use anyhow::{Context, Result, bail, ensure};
use linpmem::{AddressSpace, Architecture, Device, Outcome};
use linpmem_guest::Random;
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

const MIB: usize = 1 << 20;

/// The entry of /proc/self/pagemap for an address: bits 0-54 are the page frame, bit 63
/// is set if the page is present (Documentation/admin-guide/mm/pagemap.rst).
fn pagemap(map: &File, virt: u64) -> Result<Option<u64>> {
    let mut entry = [0; 8];
    let page = u64::try_from(sys::page_bytes())?;
    map.read_exact_at(&mut entry, virt / page * 8)?;
    let entry = u64::from_le_bytes(entry);
    let frame = entry & ((1 << 55) - 1);
    ensure!(
        entry >> 63 == 0 || frame != 0,
        "pagemap hides its frames: not root?"
    );
    Ok((entry >> 63 == 1).then_some(frame * page + virt % page))
}

/// This process's own memory, in pages of all sizes and in one without access.
pub fn user_pages(with_gigantic: bool) -> Result<String> {
    let device = Device::open()?;
    let map = File::open("/proc/self/pagemap")?;
    let mut said = Vec::new();

    // A table of page-table entries fills a page.
    let page = sys::page_bytes();
    let large = page / 8 * page;

    let mut small = Memory::anonymous(16 * MIB, 4096, 0)?;
    let _ = small.advise(0, 16 * MIB, libc::MADV_NOHUGEPAGE);
    small.bytes().fill(0xa5);
    said.push(compare(&device, &map, &small, 16 * MIB, page)?);

    small.protect(0, 4 * MIB, libc::PROT_NONE)?;
    let hidden = small.address() + 4096;
    let found = device.translate(AddressSpace::Caller, hidden)?;
    let mapped = found.mapped().context("a PROT_NONE page is not mapped")?;
    ensure!(mapped.no_access, "a PROT_NONE page must be marked");
    ensure!(
        pagemap(&map, hidden)? == Some(mapped.phys.get()),
        "a PROT_NONE page is elsewhere"
    );

    let len = large.max(16 * MIB);
    let mut huge = huge_pages(len, large)?;
    huge.bytes().fill(0x5a);
    said.push(compare(&device, &map, &huge, len, large)?);

    if with_gigantic {
        let flags = libc::MAP_HUGETLB | 30 << libc::MAP_HUGE_SHIFT;
        let mut gigantic = Memory::anonymous(1 << 30, 1 << 30, flags)?;
        for byte in gigantic.bytes().iter_mut().step_by(4096) {
            *byte = 7;
        }
        said.push(compare(&device, &map, &gigantic, 1 << 30, 1 << 30)?);
    }

    let absent = Memory::anonymous(MIB, 4096, 0)?;
    let found = device.translate(AddressSpace::Caller, absent.address())?;
    ensure!(
        found.outcome == Outcome::NotPresent,
        "untouched memory is {:?}",
        found.outcome
    );
    Ok(format!("user pages: {}", said.join(", ")))
}

/// Memory in pages of `size`, 2 MiB or more: transparent ones, or reserved ones of 2 MiB
/// where the kernel has no others (PREEMPT_RT).
fn huge_pages(len: usize, size: usize) -> Result<Memory> {
    const RESERVED: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    if Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
        let memory = Memory::anonymous(len, size, 0)?;
        memory.advise(0, len, libc::MADV_HUGEPAGE)?;
        return Ok(memory);
    }
    fs::write(RESERVED, (len / (2 * MIB)).to_string()).context("reserving huge pages")?;
    let flags = libc::MAP_HUGETLB | 21 << libc::MAP_HUGE_SHIFT;
    Memory::anonymous(len, 2 * MIB, flags)
}

/// Checks thousands of addresses of `memory`, and that one of the page sizes is `page`.
fn compare(
    device: &Device,
    map: &File,
    memory: &Memory,
    len: usize,
    page: usize,
) -> Result<String> {
    const COUNT: u64 = 4000;
    let page = u64::try_from(page)?;
    let mut random = Random::new(page);
    let mut of_that_size = 0;
    for _ in 0..COUNT {
        let virt = memory.address() + random.below(len.try_into()?);
        let found = device.translate(AddressSpace::Caller, virt)?;
        let mapped = found
            .mapped()
            .with_context(|| format!("{virt:#x} is {:?}", found.outcome))?;
        let wanted = pagemap(map, virt)?;
        ensure!(
            wanted == Some(mapped.phys.get()),
            "{virt:#x} is at {}, and for pagemap at {wanted:x?}",
            mapped.phys
        );
        ensure!(mapped.user && mapped.write, "{virt:#x}: {mapped:?}");
        of_that_size += u64::from(mapped.page.get() == page);
    }
    ensure!(
        of_that_size > COUNT / 2,
        "only {of_that_size} of {COUNT} addresses are in pages of {page} bytes"
    );
    Ok(format!("{COUNT} addresses in pages of {} KiB", page / 1024))
}

/// Kernel addresses of every kind and where the module finds them, for others to compare:
/// lines `NAME VIRTUAL PHYSICAL`.
pub fn kernel_addresses() -> Result<String> {
    let device = Device::open()?;
    let info = device.info()?;
    let base = info.page_offset_base;
    let mut asked = vec![("direct-map".to_owned(), base.wrapping_add(RAM))];
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    for name in [
        "schedule",
        "vmap",
        "memcpy",
        "init_task",
        "init_mm",
        "init_pid_ns",
        "jiffies",
    ] {
        let line = symbols
            .lines()
            .find(|line| line.split(' ').nth(2) == Some(name))
            .with_context(|| format!("the kernel has no symbol {name}"))?;
        asked.push((name.to_owned(), first_address(line)?));
    }
    let modules = fs::read_to_string("/proc/modules")?;
    let own = modules
        .lines()
        .find(|line| line.starts_with("linpmem "))
        .context("no linpmem in /proc/modules")?;
    let own = own.split(' ').nth(5).context("no address")?;
    asked.push(("module".to_owned(), first_address(own)?));
    // The last page of an area is a guard that is not mapped. Older kernels hide the
    // addresses behind hashes of 32 bits.
    let areas = fs::read_to_string("/proc/vmallocinfo")?;
    let areas = areas.lines().filter(|line| line.contains(" vmalloc"));
    for line in areas.take(16) {
        let start = first_address(line)?;
        if start > u64::from(u32::MAX) {
            asked.push(("vmalloc".to_owned(), start + 0x123));
        }
    }
    ensure!(asked.len() > 8, "only {} addresses", asked.len());
    let mut lines = Vec::new();
    for (name, virt) in asked {
        let found = device.translate(AddressSpace::Caller, virt)?;
        let mapped = found
            .mapped()
            .with_context(|| format!("{name} at {virt:#x}: {:?}", found.outcome))?;
        lines.push(format!("{name} {virt:x} {:x}", mapped.phys.get()));
    }
    Ok(lines.join("\n"))
}

/// The hexadecimal number at the start of a line.
fn first_address(line: &str) -> Result<u64> {
    let text = line.strip_prefix("0x").unwrap_or(line);
    let digits = text.split(|c: char| !c.is_ascii_hexdigit()).next();
    let addr = u64::from_str_radix(digits.unwrap_or_default(), 16);
    addr.with_context(|| format!("no address at the start of {line}"))
}

/// Kernel addresses, which the module linpmem_facts translates by the kernel's own
/// functions: lines `NAME VIRTUAL PHYSICAL`.
pub fn kernel_pages() -> Result<String> {
    let device = Device::open()?;
    let info = device.info()?;
    let text = fs::read_to_string("/proc/linpmem_facts")?;
    let mut count = 0;
    for line in text.lines() {
        let mut words = line.split(' ');
        let name = words.next().context("an empty line")?;
        let mut number = || {
            let word = words
                .next()
                .with_context(|| format!("too few words in {line}"))?;
            u64::from_str_radix(word, 16).with_context(|| format!("{word} is not a number"))
        };
        let (virt, phys) = (number()?, number()?);
        let mut roots = vec![AddressSpace::Caller];
        roots.extend(
            info.kernel_page_table
                .map(|root| AddressSpace::PageTable(root.get())),
        );
        for root in roots {
            let found = device.translate(root, virt)?;
            let mapped = found
                .mapped()
                .with_context(|| format!("{name} by {root:?}: {:?}", found.outcome))?;
            ensure!(
                mapped.phys == PhysAddr::new(phys),
                "{name} at {virt:#x} by {root:?} is at {}, and for the kernel at {phys:#x}",
                mapped.phys
            );
            ensure!(!mapped.user, "{name} is accessible from user space");
            count += 1;
        }
    }
    ensure!(count > 10, "only {count} kernel addresses");
    Ok(format!("kernel pages: {count} addresses"))
}

/// The page tables of this process and of others.
pub fn processes() -> Result<String> {
    let device = Device::open()?;
    let mut memory = Memory::anonymous(MIB, 4096, 0)?;
    memory.bytes().fill(0x42);
    let own = device.page_tables(std::process::id())?;
    ensure!(own == device.page_tables(0)?, "0 is not the caller");
    let root = own.kernel.get();
    ensure!(root % sys::TABLE_ALIGNMENT == 0 && root != 0, "{root:#x}");
    let by_root = device.translate(AddressSpace::PageTable(own.kernel.get()), memory.address())?;
    let mapped = by_root.mapped().context("not mapped by its own root")?;

    let mut page = [0; 4096];
    let mut unreadable = Unreadables::new();
    device.read_phys(mapped.phys, &mut page, &mut unreadable)?;
    ensure!(
        unreadable.is_empty() && page == [0x42; 4096],
        "the page is not where the walk says"
    );

    // With page-table isolation, user mode has a table of its own with the same user
    // pages.
    let by_user = device.translate(AddressSpace::PageTable(own.user.get()), memory.address())?;
    ensure!(
        by_user.mapped().map(|found| found.phys) == Some(mapped.phys),
        "the user's table maps {:?}",
        by_user.outcome
    );

    let init = device.page_tables(1)?;
    ensure!(init.kernel != own.kernel, "init has the same page table");
    for nobody in [2, 999_999, u32::MAX] {
        let refused = device.page_tables(nobody);
        ensure!(
            refused.is_err_and(|error| error.errno().get() == libc::ESRCH),
            "process {nobody} must be ESRCH"
        );
    }
    let isolated = if own.user == own.kernel { "off" } else { "on" };
    Ok(format!("processes: page-table isolation is {isolated}"))
}

/// Any CR3 and any address, which has this many bits: a result or an errno.
pub fn garbage(bits: u64) -> Result<String> {
    let used = u32::try_from(bits)?;
    let device = Device::open()?;
    let info = device.info()?;
    let mut random = Random::new(3);
    let (mut mapped, mut broken, mut absent, mut refused) = (0, 0, 0, 0);
    for _ in 0..200_000 {
        let root = match random.below(3) {
            0 => random.number(),
            1 => sys::FIRST_RAM + random.below(1 << 30),
            _ => random.below(1 << info.phys_bits),
        };
        let virt = random.number() >> random.below(30);
        match device.translate(AddressSpace::PageTable(root.max(1)), virt) {
            Ok(found) => match found.outcome {
                Outcome::Mapped(_) => mapped += 1,
                Outcome::NotPresent => absent += 1,
                Outcome::Broken(_) => broken += 1,
            },
            Err(error) if error.errno().get() == libc::EINVAL => {
                // On arm64 the halves have all of these bits each.
                let ignored = match info.architecture {
                    Architecture::X86_64 => used - 1,
                    Architecture::Arm64 => used,
                };
                let high = virt >> ignored;
                let all = u64::MAX >> ignored;
                ensure!(high != 0 && high != all, "{virt:#x} is an address");
                refused += 1;
            }
            Err(error) => bail!("{error}"),
        }
    }
    ensure!(broken > 0 && absent > 0 && refused > 0);
    Ok(format!(
        "garbage: {mapped} mapped, {absent} not present, {broken} broken, {refused} refused"
    ))
}
