// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! The ioctls of this ABI: checks each request and produces its answer.

use super::abi;
use super::access::{Access, Width};
use super::classify::{Classifier, Route};
use super::kernel::{Kernel, PAGE_SIZE};
use super::walk::{Outcome, Walk};
use super::Errno;

/// Checks the access bits that a caller asks for.
///
/// # Errors
/// `EINVAL` for unknown or contradictory bits; `EACCES` if they include devices and
/// the module was loaded without `allow_device=1`.
pub fn access(flags: u32, device_allowed: bool) -> Result<Access, Errno> {
    let access = Access::from_flags(flags)?;
    if access.device && !device_allowed {
        return Err(Errno::EACCES);
    }
    Ok(access)
}

/// Makes exactly one load.
///
/// # Errors
/// `EINVAL` for an invalid width or an address that is not a multiple of it;
/// otherwise the reason why the page cannot be read.
pub fn load<K: Kernel>(kernel: &K, access: Access, addr: u64, width: u8) -> Result<u64, Errno> {
    let width = Width::from_bytes(width).ok_or(Errno::EINVAL)?;
    if !width.fits(addr) {
        return Err(Errno::EINVAL);
    }
    let held = kernel.hold_memory();
    let mut classifier = Classifier::new(kernel, access);
    let route = classifier.route(&held, addr & !(PAGE_SIZE - 1))?;
    kernel.load(route, addr, width).or_else(|errno| {
        let fallback = classifier.fallback(route, errno).ok_or(errno)?;
        kernel.load(fallback, addr, width)
    })
}

/// Walks the page tables at `page_table`, or the caller's own if it is 0. The entries
/// are read from System RAM alone: a wrong or hostile table can point anywhere.
///
/// # Errors
/// `EINVAL` if `virt` is not canonical, `EOPNOTSUPP` on Xen PV, `ESRCH` if the
/// caller has no page table.
pub fn translate<K: Kernel>(kernel: &K, page_table: u64, virt: u64) -> Result<(u64, Walk), Errno> {
    let paging = kernel.paging()?;
    let root = match page_table {
        0 => kernel.page_table(0)?,
        given => paging.root(given),
    };
    let walk = paging.walk(root, virt, |addr| load_entry(kernel, addr))?;
    Ok((root, walk))
}

/// Loads a page-table entry. Page tables are in the direct map.
fn load_entry<K: Kernel>(kernel: &K, addr: u64) -> Result<u64, Errno> {
    let held = kernel.hold_memory();
    let mut classifier = Classifier::new(kernel, Access::default());
    match classifier.route(&held, addr & !(PAGE_SIZE - 1))? {
        Route::DirectMap => kernel.load(Route::DirectMap, addr, Width::Qword),
        _ => Err(Errno::EACCES),
    }
}

/// The answer to a TRANSLATE request.
#[must_use]
pub fn translate_reply(virt: u64, root: u64, levels: u32, walk: &Walk) -> abi::Translate {
    let mut answer = abi::Translate {
        virt,
        page_table: root,
        levels,
        steps: u32::try_from(walk.steps().len()).unwrap_or(0),
        ..abi::Translate::default()
    };
    for (entry, step) in answer.entries.iter_mut().zip(walk.steps()) {
        *entry = abi::Entry {
            addr: step.addr,
            value: step.value,
        };
    }
    match walk.outcome {
        Outcome::Mapped {
            phys,
            page_bytes,
            no_access,
        } => {
            answer.outcome = abi::OUTCOME_MAPPED;
            answer.phys = phys;
            answer.page_bytes = page_bytes;
            answer.rights = [
                (walk.rights.write, abi::RIGHT_WRITE),
                (walk.rights.user, abi::RIGHT_USER),
                (walk.rights.execute, abi::RIGHT_EXECUTE),
                (no_access, abi::RIGHT_NONE),
            ]
            .into_iter()
            .filter_map(|(holds, bit)| holds.then_some(bit))
            .fold(0, |bits, bit| bits | bit);
        }
        Outcome::NotPresent => answer.outcome = abi::OUTCOME_NOT_PRESENT,
        Outcome::Broken(errno) => {
            answer.outcome = abi::OUTCOME_BROKEN;
            answer.error = errno.get().unsigned_abs();
        }
    }
    answer
}

/// The top page tables of process `pid`: the one for kernel mode and the one for user
/// mode.
///
/// # Errors
/// `ESRCH` if there is no such process or it has no memory of its own;
/// `EINVAL` for a negative id.
pub fn page_tables<K: Kernel>(kernel: &K, pid: i32) -> Result<(u64, u64), Errno> {
    if pid < 0 {
        return Err(Errno::EINVAL);
    }
    let root = kernel.page_table(pid)?;
    let user = if kernel.is_isolated() {
        root | PAGE_SIZE
    } else {
        root
    };
    Ok((root, user))
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeKernel;
    use super::*;

    #[test]
    fn devices_need_the_module_parameter() {
        assert_eq!(access(abi::ACCESS_DEVICE, false), Err(Errno::EACCES));
        assert!(access(abi::ACCESS_DEVICE, true).is_ok_and(|access| access.device));
        assert_eq!(access(0x80, true), Err(Errno::EINVAL));
    }

    #[test]
    fn loads_are_exact_or_refused() {
        let kernel = FakeKernel::pc();
        let plain = Access::default();
        assert_eq!(load(&kernel, plain, 0x1008, 8), Ok(0x1008));
        assert_eq!(load(&kernel, plain, 0x1004, 8), Err(Errno::EINVAL));
        assert_eq!(load(&kernel, plain, 0x1004, 3), Err(Errno::EINVAL));
        assert_eq!(load(&kernel, plain, 0x20_1000, 1), Err(Errno::EHWPOISON));
        assert_eq!(load(&kernel, plain, 0xb_8000, 1), Err(Errno::EACCES));
        assert_eq!(load(&kernel, plain, u64::MAX, 1), Err(Errno::ENXIO));
        assert_eq!(kernel.loads(), [(0x1008, 8)]);
    }

    #[test]
    fn a_walk_does_not_read_device_memory() {
        let kernel = FakeKernel::pc();
        let (root, walk) = translate(&kernel, 0xb_8fff, 0x1000).expect("canonical");
        assert_eq!(root, 0xb_8000);
        assert_eq!(walk.outcome, Outcome::Broken(Errno::EACCES));
        assert!(kernel.loads().is_empty());
        let answer = translate_reply(0x1000, root, 4, &walk);
        assert_eq!((answer.outcome, answer.error), (abi::OUTCOME_BROKEN, 13));
    }

    #[test]
    fn a_walk_does_not_read_firmware_memory() {
        let kernel = FakeKernel::pc();
        // The system ROM, and the reserved first page (0 means the caller's own table).
        for root in [0xf_0000, 0xfff] {
            let (_, walk) = translate(&kernel, root, 0x1000).expect("canonical");
            assert_eq!(walk.outcome, Outcome::Broken(Errno::EACCES), "{root:#x}");
        }
        assert!(kernel.loads().is_empty());
    }

    #[test]
    fn with_isolation_the_user_table_follows_the_kernel_table() {
        let mut kernel = FakeKernel::pc();
        assert_eq!(page_tables(&kernel, 1), Ok((0x30_0000, 0x30_0000)));
        kernel.isolate();
        assert_eq!(page_tables(&kernel, 1), Ok((0x30_0000, 0x30_1000)));
        assert_eq!(page_tables(&kernel, 99), Err(Errno::ESRCH));
        assert_eq!(page_tables(&kernel, -1), Err(Errno::EINVAL));
    }
}
