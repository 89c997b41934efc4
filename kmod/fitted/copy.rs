// SPDX-License-Identifier: GPL-2.0-only
//! Copies to the caller from memory that may fault during the copy. There are two ways: one
//! string instruction, and a loop of plain loads and stores. Emulated processors run string
//! instructions byte by byte, and there the loop is several times faster: the module
//! measures both when it is loaded.

use crate::linpmem_core::access::Width;
use crate::linpmem_core::Errno;
use crate::shim;
use crate::task::NoFaults;
use crate::user::{self, Permit};
use core::arch::asm;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering};

/// Bytes that the loop copies in one round.
const BLOCK: usize = 64;

/// The size of the two buffers of the measurement, small enough to stay cached.
const SAMPLE: usize = 4096;
const ROUNDS: u32 = 5;

static PREFER_LOOP: AtomicBool = AtomicBool::new(false);

/// The parameter `copy`.
const CHOOSE_FASTEST: u32 = 0;
const CHOOSE_LOOP: u32 = 2;

/// An entry of the table of places that may fault: where, where to go on, and how. Fitting
/// replaces the last word by what this kernel calls it.
macro_rules! may_fault {
    ($from:literal, $to:literal, $kind:literal) => {
        concat!(
            ".pushsection __ex_table, \"a\"\n.balign 4\n.long ",
            $from,
            " - .\n.long ",
            $to,
            " - .\n.long ",
            $kind,
            "\n.popsection"
        )
    };
}

/// A load of the memory in question. A trap goes on at `$to`, with its number in `eax`.
macro_rules! load {
    ($insn:expr, $to:literal) => {
        concat!("2: ", $insn, "\n", may_fault!("2b", $to, "1"))
    };
}

/// An access to the caller's memory.
macro_rules! user {
    ($insn:expr, $to:literal) => {
        concat!("2: ", $insn, "\n", may_fault!("2b", $to, "2"))
    };
}

macro_rules! block_load {
    ($offset:literal, $register:literal) => {
        load!(
            concat!("mov ", $register, ", qword ptr [{from} + ", $offset, "]"),
            "9f"
        )
    };
}

macro_rules! block_store {
    ($offset:literal, $register:literal) => {
        user!(
            concat!("mov qword ptr [{to} + ", $offset, "], ", $register),
            "9f"
        )
    };
}

/// Copies `blocks` blocks; either side may fault. Returns how many were not copied, and
/// moves the pointers behind those that were.
///
/// # Safety
/// The memory at `to` must be the caller's, or writable.
#[inline]
unsafe fn copy_blocks(to: &mut *mut u8, from: &mut *const u8, blocks: usize) -> usize {
    let left;
    // SAFETY: Faults go on behind the loop.
    unsafe {
        asm!(
            "test {left}, {left}",
            "jz 9f",
            "3:",
            block_load!("0", "r8"), block_load!("8", "r9"),
            block_load!("16", "r10"), block_load!("24", "r11"),
            block_store!("0", "r8"), block_store!("8", "r9"),
            block_store!("16", "r10"), block_store!("24", "r11"),
            block_load!("32", "r8"), block_load!("40", "r9"),
            block_load!("48", "r10"), block_load!("56", "r11"),
            block_store!("32", "r8"), block_store!("40", "r9"),
            block_store!("48", "r10"), block_store!("56", "r11"),
            "add {from}, 64",
            "add {to}, 64",
            "dec {left}",
            "jnz 3b",
            "9:",
            left = inout(reg) blocks => left,
            to = inout(reg) *to,
            from = inout(reg) *from,
            out("rax") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            options(nostack)
        );
    }
    left
}

/// Copies `bytes` bytes; either side may fault. Returns how many were not copied, and
/// whether that was because of the source.
///
/// # Safety
/// As `copy_blocks`.
#[inline(never)]
unsafe fn copy_bytes(to: *mut u8, from: *const u8, bytes: usize) -> (usize, bool) {
    let left;
    let source: u32;
    // SAFETY: Faults go on behind the loop.
    unsafe {
        asm!(
            "test {left}, {left}",
            "jz 9f",
            "5:",
            load!("mov r8b, byte ptr [{from}]", "8f"),
            user!("mov byte ptr [{to}], r8b", "9f"),
            "inc {from}",
            "inc {to}",
            "dec {left}",
            "jnz 5b",
            "jmp 9f",
            "8: mov {source:e}, 1",
            "9:",
            left = inout(reg) bytes => left,
            to = inout(reg) to => _,
            from = inout(reg) from => _,
            source = inout(reg) 0_u32 => source,
            out("rax") _, out("r8") _,
            options(nostack)
        );
    }
    (left, source != 0)
}

/// Copies `len` bytes; either side may fault. Returns how many were not copied: the one that
/// faulted, and everything after it. A block that faulted is begun again, byte by byte, as
/// the part before a page border can be copied, and to see which side it was.
///
/// # Safety
/// As `copy_blocks`.
#[inline(never)]
unsafe fn copy_loop(mut to: *mut u8, mut from: *const u8, len: usize) -> (usize, bool) {
    // SAFETY: As the caller promises.
    unsafe {
        let left = copy_blocks(&mut to, &mut from, len / BLOCK);
        if left == 0 {
            return copy_bytes(to, from, len % BLOCK);
        }
        let left = left * BLOCK + len % BLOCK;
        let (more, source) = copy_bytes(to, from, BLOCK);
        (left - BLOCK + more, source)
    }
}

/// Copies `len` bytes by one instruction; either side may fault. Returns how many were not
/// copied.
///
/// # Safety
/// As `copy_blocks`.
#[inline(never)]
unsafe fn copy_string(to: *mut u8, from: *const u8, len: usize) -> usize {
    let left;
    // SAFETY: A fault goes on behind the instruction, with what is left in `rcx`.
    unsafe {
        asm!(
            load!("rep movsb", "9f"),
            "9:",
            inout("rcx") len => left,
            inout("rdi") to => _,
            inout("rsi") from => _,
            out("rax") _,
            options(nostack)
        );
    }
    left
}

/// Copies to the caller's memory. Returns how many bytes were copied, and whether it was the
/// source that stopped the copy.
fn copy_by_loop(to: u64, from: *const c_void, len: usize) -> (usize, bool) {
    let permit = Permit::new();
    // SAFETY: The address is the caller's: see `to_user`.
    let (left, source) = unsafe { copy_loop(to as *mut u8, from.cast(), len) };
    drop(permit);
    (len - left, source)
}

fn copy_by_string(to: u64, from: *const c_void, len: usize) -> usize {
    let permit = Permit::new();
    // SAFETY: As above.
    let left = unsafe { copy_string(to as *mut u8, from.cast(), len) };
    drop(permit);
    len - left
}

/// How far a copy to the caller came.
pub(crate) struct Progress {
    pub(crate) bytes: usize,
    /// The source stopped it, and not the caller's memory.
    pub(crate) source_faulted: bool,
}

/// Copies to the caller's memory as far as it is present.
///
/// The string instruction does not tell which side stopped it. So the byte where it stopped
/// is tried once more. If that works, it was the caller's memory, which another thread or
/// the kernel has made present by now.
pub(crate) fn to_user(to: u64, from: *const c_void, len: usize) -> Progress {
    if !user::is_user(to, len as u64) {
        return Progress {
            bytes: 0,
            source_faulted: false,
        };
    }
    let no_faults = NoFaults::new();
    let (mut bytes, mut source_faulted) = (0, false);
    if PREFER_LOOP.load(Ordering::Relaxed) {
        (bytes, source_faulted) = copy_by_loop(to, from, len);
    } else {
        bytes += copy_by_string(to, from, len);
        if bytes < len {
            let more;
            let from = from.wrapping_byte_add(bytes);
            (more, source_faulted) = copy_by_loop(to.wrapping_add(bytes as u64), from, 1);
            bytes += more;
        }
    }
    drop(no_faults);
    Progress {
        bytes,
        source_faulted,
    }
}

/// Copies kernel memory to the caller's, for which it may wait. Returns how much it copied.
pub(crate) fn bytes_to_user(to: u64, from: &[u8]) -> usize {
    if !user::is_user(to, from.len() as u64) {
        return 0;
    }
    copy_by_loop(to, from.as_ptr().cast(), from.len()).0
}

/// Copies the caller's memory. Returns whether it could.
pub(crate) fn bytes_from_user(to: &mut [u8], from: u64) -> bool {
    if !user::is_user(from, to.len() as u64) {
        return false;
    }
    let permit = Permit::new();
    let left: usize;
    // SAFETY: `to` is writable, and a fault at the address, which is the caller's, goes on
    // behind the loop.
    unsafe {
        asm!(
            "test {left}, {left}",
            "jz 9f",
            "5:",
            user!("mov r8b, byte ptr [{from}]", "9f"),
            "mov byte ptr [{to}], r8b",
            "inc {from}",
            "inc {to}",
            "dec {left}",
            "jnz 5b",
            "9:",
            left = inout(reg) to.len() => left,
            to = inout(reg) to.as_mut_ptr() => _,
            from = inout(reg) from => _,
            out("r8") _,
            options(nostack)
        );
    }
    drop(permit);
    left == 0
}

/// Makes the page of the caller's memory at `addr` present and writable, without changing
/// it. Returns whether it could.
pub(crate) fn make_present(addr: u64) -> bool {
    if !user::is_user(addr, 1) {
        return false;
    }
    let permit = Permit::new();
    let failed: u32;
    // SAFETY: Changes nothing, and a fault at the address, which is the caller's, goes on
    // behind it.
    unsafe {
        asm!(
            user!("lock or byte ptr [{at}], 0", "9f"),
            "xor {failed:e}, {failed:e}",
            "9:",
            at = in(reg) addr,
            failed = inout(reg) 1_u32 => failed,
            options(nostack)
        );
    }
    drop(permit);
    failed == 0
}

/// Makes exactly one load, which may fault.
pub(crate) fn load(at: *const c_void, width: Width) -> Result<u64, Errno> {
    let mut value: u64 = 0;
    let mut trap: u64 = u64::MAX;
    macro_rules! one {
        ($insn:literal) => {
            // SAFETY: A fault goes on behind the load, with the trap's number in `eax`.
            unsafe {
                asm!(
                    load!($insn, "9f"),
                    "9:",
                    value = inout(reg) value,
                    at = in(reg) at,
                    inout("rax") trap,
                    options(nostack, readonly)
                )
            }
        };
    }
    match width {
        Width::Byte => one!("movzx {value:e}, byte ptr [{at}]"),
        Width::Word => one!("movzx {value:e}, word ptr [{at}]"),
        Width::Dword => one!("mov {value:e}, dword ptr [{at}]"),
        Width::Qword => one!("mov {value}, qword ptr [{at}]"),
    }
    if trap == u64::MAX {
        Ok(value)
    } else {
        Err(Errno::EIO)
    }
}

/// The measurement's buffers, which the kernel frees when the module is loaded.
struct Samples(UnsafeCell<[[u8; SAMPLE]; 2]>);

// SAFETY: Only `choose` uses them.
unsafe impl Sync for Samples {}

#[link_section = ".init.data"]
static SAMPLES: Samples = Samples(UnsafeCell::new([[0; SAMPLE]; 2]));

/// The processor's clock.
fn clock() -> u64 {
    // SAFETY: Kernel mode may read it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Chooses how to copy. Called once, while the module is being loaded.
///
/// The loop only if it is clearly faster: on real processors the string instruction pulls
/// less data into the caches. Without ERMS, though, it does not survive machine checks.
pub(crate) fn choose(choice: u32) -> Result<(), Errno> {
    if choice != CHOOSE_FASTEST {
        PREFER_LOOP.store(choice == CHOOSE_LOOP, Ordering::Relaxed);
        return Ok(());
    }
    // SAFETY: The only use of the buffers.
    let [to, from] = unsafe { &mut *SAMPLES.0.get() };
    let (mut string, mut by_loop) = (u64::MAX, u64::MAX);
    for _ in 0..ROUNDS {
        let start = clock();
        // SAFETY: Both buffers have `SAMPLE` bytes.
        unsafe { copy_string(to.as_mut_ptr(), from.as_ptr(), SAMPLE) };
        string = string.min(clock().wrapping_sub(start));
        let start = clock();
        // SAFETY: As above.
        unsafe { copy_loop(to.as_mut_ptr(), from.as_ptr(), SAMPLE) };
        by_loop = by_loop.min(clock().wrapping_sub(start));
    }
    let is_faster = by_loop.saturating_mul(3) / 2 < string;
    PREFER_LOOP.store(is_faster || !shim::has_fast_strings(), Ordering::Relaxed);
    Ok(())
}
