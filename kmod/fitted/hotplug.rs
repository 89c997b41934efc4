// SPDX-License-Identifier: GPL-2.0-only
//! A block of memory that went offline can be unplugged, and the kernel then frees what it
//! recorded about its pages. So going offline waits for all readers that may have seen a
//! page of it online. Readers that start later find it offline.
//!
//! Readers are counted in one of two phases. Going offline begins the other phase, and waits
//! until nobody is left in the one before.

use crate::bindings;
use crate::facts::{fact, offset};
use crate::linpmem_core::Errno;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_ulong, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

/// What a notifier returns (NOTIFY_OK).
const NOTIFY_OK: c_int = 1;

/// How long to wait before looking again whether the readers are done, in milliseconds.
const WAIT: u32 = 1;

static PHASE: AtomicUsize = AtomicUsize::new(0);
static READERS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// A reader of memory, for which the removal of memory waits.
pub(crate) struct Held(&'static AtomicUsize);

impl Held {
    pub(crate) fn new() -> Self {
        loop {
            let phase = PHASE.load(Ordering::SeqCst);
            let readers = &READERS[phase & 1];
            readers.fetch_add(1, Ordering::SeqCst);
            // If the phase ended in between, nobody may have waited for this reader.
            if PHASE.load(Ordering::SeqCst) == phase {
                return Self(readers);
            }
            readers.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// MEM_OFFLINE comes when the pages are marked offline and still have their descriptors. The
/// kernel calls this for one block after the other.
unsafe extern "C" fn on_change(_: *mut c_void, action: c_ulong, _: *mut c_void) -> c_int {
    if action == c_ulong::from(fact!(mem_offline)) {
        let phase = PHASE.load(Ordering::SeqCst);
        PHASE.store(phase.wrapping_add(1), Ordering::SeqCst);
        while READERS[phase & 1].load(Ordering::SeqCst) > 0 {
            // SAFETY: The kernel lets notifiers sleep.
            unsafe { bindings::msleep(WAIT) };
        }
    }
    NOTIFY_OK
}

/// Room for `struct notifier_block`.
#[repr(align(8))]
struct Watcher(UnsafeCell<[u8; 32]>);

// SAFETY: `watch` writes it before the kernel has it, and then only the kernel does.
unsafe impl Sync for Watcher {}

static WATCHER: Watcher = Watcher(UnsafeCell::new([0; 32]));

/// Has the kernel wait for readers from now on. Called once, before there are any.
pub(crate) fn watch() -> Result<(), Errno> {
    let call: unsafe extern "C" fn(*mut c_void, c_ulong, *mut c_void) -> c_int = on_change;
    let watcher = WATCHER.0.get();
    // SAFETY: The offset is that of a field, and the struct fits: fitting checks that.
    let status = unsafe {
        watcher
            .byte_add(offset!(notifier_call))
            .cast::<usize>()
            .write(call as usize);
        bindings::register_memory_notifier(watcher.cast())
    };
    match status {
        0 => Ok(()),
        _ => Err(Errno::ENOMEM),
    }
}

/// Undoes [`watch`].
pub(crate) fn unwatch() {
    // SAFETY: It is registered, and nobody reads memory any more.
    unsafe { bindings::unregister_memory_notifier(WATCHER.0.get().cast()) };
}
