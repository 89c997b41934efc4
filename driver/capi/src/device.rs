// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening, reading, translating.

use crate::failure::Failure;
use crate::message::code;
use crate::pointers::{bytes_mut, path, place, value};
use crate::types::*;
use ::linpmem::{
    Access, AddressSpace, Architecture, Caching, DEFAULT_PATH, Device, Outcome, Width,
};
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{Errno, PhysAddr, Unreadables};
use std::ffi::{c_char, c_int, c_void};
use std::path::Path;

/// Opens /dev/linpmem and stores a handle in `*handle`.
///
/// # Safety
/// `handle` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_open(handle: *mut *mut linpmem) -> c_int {
    // SAFETY: As the caller promises.
    code(unsafe { open(Ok(Path::new(DEFAULT_PATH)), handle) })
}

/// Opens the device at `device` and stores a handle in `*handle`.
///
/// # Safety
/// `device` is NULL or a string; `handle` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_open_path(
    device: *const c_char,
    handle: *mut *mut linpmem,
) -> c_int {
    // SAFETY: As the caller promises.
    code(unsafe { open(path(device, "device"), handle) })
}

/// # Safety
/// `handle` is NULL or may be written.
unsafe fn open(path: Result<&Path, Failure>, handle: *mut *mut linpmem) -> Result<(), Failure> {
    // SAFETY: As the caller promises.
    let place = unsafe { place(handle, "handle") }?;
    *place = std::ptr::null_mut();
    let device = Device::open_path(path?)?;
    *place = Box::into_raw(Box::new(linpmem { device }));
    Ok(())
}

/// Closes a handle. NULL is not an error.
///
/// # Safety
/// `handle` is NULL or from linpmem_open() and not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_close(handle: *mut linpmem) {
    if !handle.is_null() {
        // SAFETY: From Box::into_raw(), and given back once, as the caller promises.
        drop(unsafe { Box::from_raw(handle) });
    }
}

/// Stores in `*machine` what the module says about itself and the machine. -EOPNOTSUPP
/// with the original Linpmem's module, which has no such request.
///
/// # Safety
/// `handle` is NULL or open; `machine` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_info(
    handle: *const linpmem,
    machine: *mut linpmem_machine,
) -> c_int {
    // SAFETY: As the caller promises.
    let (handle, machine) = unsafe { (value(handle, "handle"), place(machine, "machine")) };
    code(info(handle, machine))
}

fn info(
    handle: Result<&linpmem, Failure>,
    machine: Result<&mut linpmem_machine, Failure>,
) -> Result<(), Failure> {
    let info = handle?.device.info()?;
    *machine? = linpmem_machine {
        abi_version: info.abi_version,
        module_version: info.module_version.packed(),
        features: info.features.bits(),
        phys_bits: info.phys_bits,
        paging_levels: info.paging_levels,
        page_offset_base: info.page_offset_base,
        phys_base: info.phys_base,
        kaslr_offset: info.kaslr_offset.unwrap_or(LINPMEM_NOT_KNOWN),
        kernel_page_table: info
            .kernel_page_table
            .map_or(LINPMEM_NOT_KNOWN, PhysAddr::get),
        vmcoreinfo_addr: info.vmcoreinfo.map_or(0, |note| note.start().get()),
        vmcoreinfo_len: info.vmcoreinfo.map_or(0, |note| note.len().get()),
        encryption_mask: info.encryption_mask,
        architecture: match info.architecture {
            Architecture::X86_64 => LINPMEM_MACHINE_X86_64,
            Architecture::Arm64 => LINPMEM_MACHINE_ARM64,
        },
        reserved: 0,
    };
    Ok(())
}

/// Fills `buffer` with the `size` bytes at physical address `addr`; `access` is 0
/// or LINPMEM_READ_* bits.
///
/// If `statuses` is not NULL, it has linpmem_page_count(addr, size) bytes, one for each
/// page of 4096 bytes that is touched: 0, or the errno why the page was not read. The
/// bytes of such a page are zero, and the call succeeds if the module answers at all.
/// If `statuses` is NULL, a page that cannot be read makes the call fail with its errno.
///
/// # Safety
/// `handle` is NULL or open; `buffer` has `size` bytes, and `statuses` is NULL or has as
/// many bytes as stated above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_read(
    handle: *const linpmem,
    access: u32,
    addr: u64,
    buffer: *mut c_void,
    size: usize,
    statuses: *mut u8,
) -> c_int {
    // SAFETY: As the caller promises.
    let (handle, buffer, statuses) = unsafe {
        (
            value(handle, "handle"),
            bytes_mut(buffer.cast::<u8>(), size),
            bytes_mut(statuses, linpmem_page_count(addr, size)),
        )
    };
    code(read(handle, access, addr, buffer, statuses))
}

/// The number of pages of 4096 bytes that `size` bytes at `addr` touch.
#[unsafe(no_mangle)]
pub extern "C" fn linpmem_page_count(addr: u64, size: usize) -> usize {
    let offset = u64_as_usize(addr % 4096);
    match size {
        0 => 0,
        // In two steps, since size and offset may not fit together.
        size => size / 4096 + (size % 4096 + offset).div_ceil(4096),
    }
}

fn read(
    handle: Result<&linpmem, Failure>,
    access: u32,
    addr: u64,
    buffer: Option<&mut [u8]>,
    statuses: Option<&mut [u8]>,
) -> Result<(), Failure> {
    let device = &handle?.device;
    let buffer = buffer.ok_or_else(|| Failure::argument("buffer is NULL, or size too large"))?;
    let start = PhysAddr::new(addr);
    let unreadable = device.read_with(modes(access)?, start, buffer)?;
    match (statuses, unreadable.as_slice().first()) {
        (Some(statuses), _) => fill(statuses, addr, &unreadable)?,
        (None, None) => {}
        (None, Some(bad)) => {
            return Err(::linpmem::RequestError::Read {
                addr: bad.range.start(),
                errno: bad.errno,
            }
            .into());
        }
    }
    Ok(())
}

fn fill(statuses: &mut [u8], addr: u64, unreadable: &Unreadables) -> Result<(), Failure> {
    statuses.fill(0);
    for bad in unreadable.as_slice() {
        let index = |at: PhysAddr| {
            let pages = (at.get() / 4096).checked_sub(addr / 4096)?;
            Some(u64_as_usize(pages))
        };
        let pages = index(bad.range.start()).zip(index(bad.range.last()));
        let pages = pages.and_then(|(first, last)| statuses.get_mut(first..=last));
        let errno = u8::try_from(bad.errno.get()).ok();
        let (Some(pages), Some(errno)) = (pages, errno) else {
            let (range, errno) = (bad.range, bad.errno);
            let message = format!("the module reports {errno} for {range}, which has no status");
            return Err(Failure::new(Errno::EIO, message));
        };
        pages.fill(errno);
    }
    Ok(())
}

/// Does exactly one load of `width` (1, 2, 4 or 8) bytes at physical address `addr` and
/// stores the value in `*result`. -EINVAL if `addr` is not a multiple of the width.
///
/// # Safety
/// `handle` is NULL or open; `result` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_load(
    handle: *const linpmem,
    access: u32,
    addr: u64,
    width: u32,
    result: *mut u64,
) -> c_int {
    // SAFETY: As the caller promises.
    let (handle, result) = unsafe { (value(handle, "handle"), place(result, "result")) };
    code(load(handle, access, addr, width, result))
}

fn load(
    handle: Result<&linpmem, Failure>,
    access: u32,
    addr: u64,
    width: u32,
    result: Result<&mut u64, Failure>,
) -> Result<(), Failure> {
    let width = u8::try_from(width)
        .ok()
        .and_then(Width::from_bytes)
        .ok_or_else(|| Failure::argument("width is not 1, 2, 4 or 8"))?;
    let device = &handle?.device;
    *result? = device.load_with(modes(access)?, PhysAddr::new(addr), width)?;
    Ok(())
}

/// Translates the virtual address `virt` and stores the walk in `*walk`. An address that
/// is not mapped is not a failure. `pid` is the process whose page tables are used; 0
/// stands for the calling process.
///
/// # Safety
/// `handle` is NULL or open; `walk` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_translate(
    handle: *const linpmem,
    pid: u32,
    virt: u64,
    walk: *mut linpmem_walk,
) -> c_int {
    let space = match pid {
        0 => AddressSpace::Caller,
        pid => AddressSpace::Process(pid),
    };
    // SAFETY: As the caller promises.
    let (handle, walk) = unsafe { (value(handle, "handle"), place(walk, "walk")) };
    code(translate(handle, space, virt, walk))
}

/// The same with the page table at the CR3 value `cr3` (on arm64, TTBR0); 0 stands for that
/// of the calling process.
///
/// # Safety
/// As linpmem_translate().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_translate_by(
    handle: *const linpmem,
    cr3: u64,
    virt: u64,
    walk: *mut linpmem_walk,
) -> c_int {
    // SAFETY: As the caller promises.
    let (handle, walk) = unsafe { (value(handle, "handle"), place(walk, "walk")) };
    code(translate(handle, AddressSpace::PageTable(cr3), virt, walk))
}

fn translate(
    handle: Result<&linpmem, Failure>,
    space: AddressSpace,
    virt: u64,
    walk: Result<&mut linpmem_walk, Failure>,
) -> Result<(), Failure> {
    let found = handle?.device.translate(space, virt)?;
    let mut answer = linpmem_walk {
        levels: found.levels,
        page_table: found.page_table.get(),
        ..linpmem_walk::default()
    };
    for (to, entry) in answer.entries.iter_mut().zip(&found.entries) {
        to.addr = entry.addr.get();
        to.value = entry.value;
        answer.entry_count += 1;
    }
    match found.outcome {
        Outcome::Mapped(page) => {
            answer.outcome = LINPMEM_WALK_MAPPED;
            answer.phys = page.phys.get();
            answer.page_bytes = page.page.get();
            answer.rights = [
                (page.write, LINPMEM_MAY_WRITE),
                (page.user, LINPMEM_MAY_USER),
                (page.execute, LINPMEM_MAY_EXECUTE),
                (page.no_access, LINPMEM_NO_ACCESS),
            ]
            .into_iter()
            .filter_map(|(has, bit)| has.then_some(bit))
            .fold(0, |bits, bit| bits | bit);
        }
        Outcome::NotPresent => answer.outcome = LINPMEM_WALK_NOT_PRESENT,
        Outcome::Broken(errno) => {
            answer.outcome = LINPMEM_WALK_BROKEN;
            answer.error = errno.get().unsigned_abs();
        }
    }
    *walk? = answer;
    Ok(())
}

/// Stores the physical address of the top page table of process `pid` (its CR3, or TTBR0
/// on arm64) in `*kernel`, and the one for user mode in `*user`, which may be NULL. The
/// pid 0 stands for the calling process. -ESRCH if the process does not exist or is a
/// kernel thread.
///
/// # Safety
/// `handle` is NULL or open; `kernel` and `user` are NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn linpmem_cr3(
    handle: *const linpmem,
    pid: u32,
    kernel: *mut u64,
    user: *mut u64,
) -> c_int {
    // SAFETY: As the caller promises.
    let (handle, kernel, user) = unsafe {
        (
            value(handle, "handle"),
            place(kernel, "kernel"),
            user.as_mut(),
        )
    };
    code(cr3(handle, pid, kernel, user))
}

fn cr3(
    handle: Result<&linpmem, Failure>,
    pid: u32,
    kernel: Result<&mut u64, Failure>,
    user: Option<&mut u64>,
) -> Result<(), Failure> {
    let tables = handle?.device.page_tables(pid)?;
    *kernel? = tables.kernel.get();
    if let Some(user) = user {
        *user = tables.user.get();
    }
    Ok(())
}

fn modes(bits: u32) -> Result<Access, Failure> {
    let has = |bit| bits & bit != 0;
    let known =
        LINPMEM_READ_DEVICE | LINPMEM_READ_CACHED | LINPMEM_READ_UNCACHED | LINPMEM_READ_UNMAPPED;
    let caching = match (has(LINPMEM_READ_CACHED), has(LINPMEM_READ_UNCACHED)) {
        (false, false) => Caching::Natural,
        (true, false) => Caching::Cached,
        (false, true) => Caching::Uncached,
        (true, true) => return Err(Failure::argument("access asks for cached and uncached")),
    };
    if bits & !known != 0 {
        return Err(Failure::argument("access has unknown bits"));
    }
    Ok(Access {
        device: has(LINPMEM_READ_DEVICE),
        caching,
        unmapped: has(LINPMEM_READ_UNMAPPED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{PhysLen, PhysRange};

    #[test]
    fn pages_are_counted_up_to_the_largest_size() {
        for (addr, size, pages) in [
            (0, 0, 0),
            (4095, 0, 0),
            (0, 1, 1),
            (0, 4096, 1),
            (1, 4096, 2),
            (4095, 1, 1),
            (4095, 2, 2),
            (0, usize::MAX, 1 << 52),
            (4095, usize::MAX, (1 << 52) + 1),
        ] {
            assert_eq!(linpmem_page_count(addr, size), pages, "{addr}, {size}");
        }
    }

    #[test]
    fn statuses_are_those_of_the_pages_of_the_read() {
        let unreadable = |start, len, errno| {
            let range = PhysRange::from_len(PhysAddr::new(start), PhysLen::new(len)).unwrap();
            let mut list = Unreadables::new();
            list.push(range, errno);
            list
        };
        let mut statuses = [0xff; 4];
        // From the middle of a page to the middle of the second but one.
        fill(
            &mut statuses,
            0x1800,
            &unreadable(0x2000, 0x1800, Errno::EIO),
        )
        .unwrap();
        assert_eq!(statuses, [0, 5, 5, 0]);
        for odd in [
            unreadable(0x800, 0x100, Errno::EIO),
            unreadable(0x5000, 0x1000, Errno::EIO),
            unreadable(0x2000, 0x1000, Errno::new(4000)),
        ] {
            let failure = fill(&mut statuses, 0x1800, &odd).unwrap_err();
            assert_eq!(code(Err(failure)), -5, "{odd:?}");
        }
    }
}
