// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real pages of special kinds.

use crate::sys::{self, Memory};
use anyhow::{Context, Result, bail, ensure};
use linpmem::{Access, AddressSpace, Caching, Device, Outcome, Width};
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Poisons a page of this process, then reads it.
pub fn poison() -> Result<String> {
    let device = Device::open()?;
    let page = sys::page_bytes();
    let mut memory = Memory::anonymous(3 * page, page, 0)?;
    memory.bytes().fill(0x77);
    memory.lock()?;
    let phys = place(&device, memory.address() + u64::try_from(page)?)?;
    ensure!(read(&device, phys)? == vec![0x77; 4096]);
    memory
        .advise(page, page, libc::MADV_HWPOISON)
        .context("madvise(MADV_HWPOISON)")?;
    let errno = refusal(&device, phys)?;
    Ok(format!("poison: {phys} gives {errno}"))
}

/// Memory that the kernel itself does not map: refused, unless requested.
pub fn secret() -> Result<String> {
    let device = Device::open()?;
    let page = sys::page_bytes();
    let file = sys::memfd_secret(u64::try_from(page)?)?;
    let mut memory = Memory::shared(&file, page)?;
    memory.bytes().fill(0x99);
    let phys = place(&device, memory.address())?;
    let errno = refusal(&device, phys)?;
    device.set_access(Access {
        unmapped: true,
        ..Access::default()
    })?;
    ensure!(
        read(&device, phys)? == vec![0x99; 4096],
        "the secret has other bytes"
    );
    Ok(format!(
        "secret: {phys} gives {errno}, and its content on request"
    ))
}

/// Reads a range, all of which must be readable, and counts its pages of zeros.
pub fn zeros(addr: u64, len: u64) -> Result<String> {
    let device = Device::open()?;
    let mut buffer = vec![0; usize::try_from(len)?];
    let mut unreadable = Unreadables::new();
    device.read_phys(PhysAddr::new(addr), &mut buffer, &mut unreadable)?;
    let refused = unreadable.as_slice();
    ensure!(refused.is_empty(), "unreadable: {refused:?}");
    let pages = buffer.chunks(4096);
    let zero = pages.filter(|page| page.iter().all(|&byte| byte == 0));
    Ok(format!(
        "zeros: {} of {} pages",
        zero.count(),
        len.div_ceil(4096)
    ))
}

/// The errno of the page at `addr`, with devices requested unless `device_too` is 0.
pub fn errno(addr: u64, device_too: u64) -> Result<String> {
    let device = Device::open()?;
    if device_too != 0 {
        device.set_access(Access {
            device: true,
            ..Access::default()
        })?;
    }
    let errno = refusal(&device, PhysAddr::new(addr))?;
    Ok(format!("{errno}"))
}

/// Asks for `len` bytes at `addr` uncached, and counts the pages that are refused.
pub fn uncached(addr: u64, len: u64) -> Result<String> {
    let device = Device::open()?;
    device.set_access(Access {
        device: true,
        caching: Caching::Uncached,
        ..Access::default()
    })?;
    let mut buffer = vec![0; usize::try_from(len)?];
    let mut unreadable = Unreadables::new();
    device.read_phys(PhysAddr::new(addr), &mut buffer, &mut unreadable)?;
    let refused: u64 = unreadable
        .as_slice()
        .iter()
        .map(|bad| bad.range.len().get() / 4096)
        .sum();
    Ok(format!("{refused}"))
}

/// Registers that the firmware calls reserved: no request without `ACCESS_DEVICE` reads
/// them, nor does a walk through page tables that leads there.
pub fn registers(addr: u64) -> Result<String> {
    let device = Device::open()?;
    let phys = PhysAddr::new(addr);
    let errno = refusal(&device, phys)?;
    let plain = File::open(linpmem::DEFAULT_PATH)?.read_at(&mut [0; 16], addr);
    let plain = plain.err().context("pread read the registers")?;
    ensure!(
        plain.raw_os_error() == Some(errno.get()),
        "READ fails with {errno}, pread with {plain}"
    );
    let walk = device.translate(AddressSpace::PageTable(addr), 0x1000)?;
    ensure!(
        walk.outcome == Outcome::Broken(errno) && walk.entries.is_empty(),
        "a walk from there: {walk:?}"
    );
    Ok(format!("{errno}"))
}

/// Reads across the border between a good page and one that faults, from every offset
/// within a block of the module's copy loop. The good page is whatever page lies before a
/// secret one: it is in use by the kernel, so what counts is one that does not change.
pub fn straddle() -> Result<String> {
    const PAGES: usize = 256;
    let device = Device::open()?;
    let file = sys::memfd_secret(u64::try_from(PAGES * 4096)?)?;
    let mut secret = Memory::shared(&file, PAGES * 4096)?;
    secret.bytes().fill(0x77);
    let secrets = (0..PAGES * 4096)
        .step_by(4096)
        .map(|offset| place(&device, secret.address() + u64::try_from(offset)?))
        .collect::<Result<BTreeSet<_>>>()?;
    let before = |border: &PhysAddr| PhysAddr::new(border.get() - 4096);
    let mut tried = 0;
    for border in secrets
        .iter()
        .filter(|border| !secrets.contains(&before(border)))
    {
        let Ok(good) = read(&device, before(border)) else {
            continue;
        };
        tried += 1;
        let outcome = across(&device, border.get(), &good);
        if read(&device, before(border)).is_ok_and(|now| now == good) {
            outcome?;
            return Ok(format!("straddle: {border}"));
        }
    }
    bail!("none of {tried} pages before a secret one stayed as it was")
}

/// Reads from 1 to 128 bytes before `border`, where a page with the bytes `good` ends,
/// to 32 bytes behind it.
fn across(device: &Device, border: u64, good: &[u8]) -> Result<()> {
    let plain = File::open(linpmem::DEFAULT_PATH)?;
    for len in 1..=128 {
        let start = border - u64::try_from(len)?;
        let (_, wanted) = good.split_at(good.len() - len);
        let mut buffer = vec![0x11; len + 32];
        let got = plain.read_at(&mut buffer, start)?;
        ensure!(
            got == len && buffer.get(..len) == Some(wanted),
            "pread returns {got} of {len} bytes before the border"
        );
        let mut buffer = vec![0x11; len + 32];
        let mut unreadable = Unreadables::new();
        device.read_phys(PhysAddr::new(start), &mut buffer, &mut unreadable)?;
        let listed: Vec<_> = unreadable.as_slice().iter().map(|bad| bad.range).collect();
        ensure!(
            listed.iter().map(|range| range.start().get()).eq([border]),
            "{len} bytes before {border:#x}: {listed:?}"
        );
        let (read, behind) = buffer.split_at(len);
        ensure!(
            read == wanted && behind.iter().all(|byte| *byte == 0),
            "{len} bytes before {border:#x}: {buffer:?}"
        );
    }
    Ok(())
}

/// Opens the device, prints a line, waits for the file /tmp/go and then reads.
pub fn held() -> Result<String> {
    let device = Device::open()?;
    let file = File::open(linpmem::DEFAULT_PATH)?;
    println!("open");
    let deadline = Instant::now() + Duration::from_secs(600);
    while !Path::new("/tmp/go").exists() {
        ensure!(Instant::now() < deadline, "/tmp/go did not appear");
        thread::sleep(Duration::from_millis(50));
    }
    let phys = PhysAddr::new(sys::RAM);
    let mut page = [0; 4096];
    let bulk = device.read_phys(phys, &mut page, &mut Unreadables::new());
    let single = device.load(phys, Width::Dword);
    let plain = file.read_at(&mut page, phys.get());
    ensure!(
        plain
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied),
        "a plain read returns {plain:?}"
    );
    match (bulk, single) {
        (Ok(()), Ok(_)) => Ok("held: still reads".to_owned()),
        (Err(bulk), Err(single)) => Ok(format!("held: {bulk}; {single}")),
        (bulk, single) => bail!("READ returns {bulk:?}, but LOAD {single:?}"),
    }
}

/// Creates a node for the original's device number, owned by this user. Its mode lets
/// everyone open it: whether they may is up to the module.
pub fn node(owner: u64) -> Result<String> {
    sys::make_node(linpmem::DEFAULT_PATH, 42, u32::try_from(owner)?)?;
    Ok("node: made".to_owned())
}

/// Removes the file `rest[0]`.
pub fn remove(rest: &[String]) -> Result<String> {
    let path = rest.first().context("no file given")?;
    std::fs::remove_file(path)?;
    Ok(format!("remove: {path}"))
}

/// Every page that is offline according to /proc/kpageflags (bit 23,
/// include/uapi/linux/kernel-page-flags.h).
pub fn offline() -> Result<String> {
    const PAGES: usize = 4096;
    let bytes = u64::try_from(sys::page_bytes())?;
    let device = Device::open()?;
    let flags = File::open("/proc/kpageflags")?;
    let mut words = vec![0_u8; PAGES * 8];
    let mut seen = 0_u64;
    let mut frame = 0_u64;
    loop {
        let len = flags.read_at(&mut words, frame * 8)?;
        if len == 0 {
            break;
        }
        for word in words.get(..len).unwrap_or(&[]).chunks_exact(8) {
            let offline = word.get(2).is_some_and(|byte| byte & 0x80 != 0);
            if offline && seen < 1000 {
                let page = PhysAddr::new(frame * bytes);
                let errno = refusal(&device, page)?;
                ensure!(
                    errno.get() == libc::ENODATA,
                    "offline page {page} gives {errno}"
                );
                seen += 1;
            }
            frame += 1;
        }
    }
    ensure!(seen > 0, "no page is offline");
    Ok(format!("offline: {seen} pages give ENODATA"))
}

fn place(device: &Device, virt: u64) -> Result<PhysAddr> {
    let found = device.translate(AddressSpace::Caller, virt)?;
    let mapped = found
        .mapped()
        .with_context(|| format!("{virt:#x} is {:?}", found.outcome))?;
    Ok(mapped.phys)
}

fn read(device: &Device, phys: PhysAddr) -> Result<Vec<u8>> {
    let mut page = vec![0x11; 4096];
    let mut unreadable = Unreadables::new();
    device.read_phys(phys, &mut page, &mut unreadable)?;
    ensure!(unreadable.is_empty(), "{phys}: {unreadable:?}");
    Ok(page)
}

/// The errno with which both READ and LOAD refuse the page.
fn refusal(device: &Device, phys: PhysAddr) -> Result<linpmem_phys::Errno> {
    let mut page = vec![0x11; 4096];
    let mut unreadable = Unreadables::new();
    device.read_phys(phys, &mut page, &mut unreadable)?;
    let listed = unreadable.as_slice().first().context("the page was read")?;
    ensure!(page == vec![0; 4096], "a refused page must read as zeros");
    let load = device.load(phys, Width::Byte);
    let error = load.err().context("LOAD read the page")?;
    ensure!(
        error.errno() == listed.errno,
        "READ fails with {}, LOAD with {}",
        listed.errno,
        error.errno()
    );
    Ok(listed.errno)
}
