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
    let page = addr & !(PAGE_SIZE - 1);
    let route = classifier.route(&held, page)?;
    kernel.load(route, addr, width).or_else(|errno| {
        let fallback = classifier.fallback(page, route, errno).ok_or(errno)?;
        kernel.load(fallback, addr, width)
    })
}

/// Walks the page tables at `page_table`, or the caller's own if it is 0. The entries
/// are read from System RAM alone: a wrong or hostile table can point anywhere.
///
/// A table stands for the whole address space of a process, as CR3 does. On arm64 it
/// translates the lower half of it, and an address of the kernel is translated by the
/// kernel's table, whichever process is meant.
///
/// # Errors
/// `EINVAL` if `virt` is not canonical, `EOPNOTSUPP` on Xen PV, `ESRCH` if the
/// caller has no page table.
pub fn translate<K: Kernel>(
    kernel: &K,
    page_table: u64,
    virt: u64,
) -> Result<abi::Translate, Errno> {
    let paging = kernel.paging()?;
    let root = match (paging.shared_root(virt), page_table) {
        (Some(shared), _) => shared,
        (None, 0) => kernel.page_table(0)?,
        (None, given) => paging.root(given),
    };
    let walk = paging.walk(root, virt, |addr| load_entry(kernel, addr))?;
    Ok(translate_reply(virt, root, paging.levels(virt), &walk))
}

/// Loads a page-table entry. Page tables are in the direct map, or within the kernel.
fn load_entry<K: Kernel>(kernel: &K, addr: u64) -> Result<u64, Errno> {
    let held = kernel.hold_memory();
    let mut classifier = Classifier::new(kernel, Access::default());
    let page = addr & !(PAGE_SIZE - 1);
    match classifier.route(&held, page)? {
        route @ Route::DirectMap => kernel.load(route, addr, Width::Qword).or_else(|errno| {
            let fallback = classifier.fallback(page, route, errno).ok_or(errno)?;
            kernel.load(fallback, addr, Width::Qword)
        }),
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
/// mode. On arm64, both are the one in TTBR0.
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
    fn loads_and_walks_find_what_only_the_kernels_image_maps() {
        let mut kernel = FakeKernel::arm64();
        kernel.map_by_image_only(0x40_0000);
        let plain = Access::default();
        assert_eq!(load(&kernel, plain, 0x40_0008, 8), Ok(0x40_0008));
        assert_eq!(load(&kernel, plain, 0x40_1000, 8), Ok(0x40_1000));
        let answer = translate(&kernel, 0, u64::MAX << 47).expect("canonical");
        // The fake's entry holds its own address, which is not a valid one.
        assert_eq!(answer.outcome, abi::OUTCOME_NOT_PRESENT);
        assert_eq!((answer.page_table, answer.steps), (0x40_0000, 1));
    }

    #[test]
    fn a_walk_does_not_read_device_memory() {
        let kernel = FakeKernel::pc();
        let answer = translate(&kernel, 0xb_8fff, 0x1000).expect("canonical");
        assert_eq!(answer.page_table, 0xb_8000);
        assert!(kernel.loads().is_empty());
        assert_eq!((answer.outcome, answer.error), (abi::OUTCOME_BROKEN, 13));
    }

    #[test]
    fn a_walk_does_not_read_firmware_memory() {
        let kernel = FakeKernel::pc();
        // The system ROM, and the reserved first page (0 means the caller's own table).
        for root in [0xf_0000, 0xfff] {
            let answer = translate(&kernel, root, 0x1000).expect("canonical");
            assert_eq!((answer.outcome, answer.error), (abi::OUTCOME_BROKEN, 13));
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

    #[test]
    fn on_arm64_the_kernels_half_has_a_table_of_its_own() {
        let kernel = FakeKernel::arm64();
        let (process, shared) = (0x30_0000, 0x40_0000);
        assert_eq!(page_tables(&kernel, 1), Ok((process, process)));

        let (low, high) = (0x1000, 0xffff_8000_0000_1000);
        let used = |table, virt| translate(&kernel, table, virt).map(|answer| answer.page_table);
        assert_eq!(used(0, low), Ok(process));
        assert_eq!(used(0, high), Ok(shared));
        assert_eq!(used(0x50_0000, low), Ok(0x50_0000));
        // Its entries are for other addresses: walking it could find a wrong page.
        assert_eq!(used(0x50_0000, high), Ok(shared));
        assert_eq!(translate(&kernel, 0, low).map(|it| it.levels), Ok(4));
    }
}
