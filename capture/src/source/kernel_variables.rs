// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a source gives the kernel's own variables.
//!
//! That it gives the pages of a process does not prove it: the kernel's image can be missing
//! from the mapping that a source goes by (arm64 since Linux 7.3), and then the kernel
//! returns zeros without an error. So two variables are read at the addresses that VMCOREINFO
//! gives: the names of the kernel, which are data, and its top page table, which is not.

use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables, is_zero};

/// A `struct uts_namespace` begins with at most a number, and six names of 65 bytes.
const NAMES_BYTES: usize = 512;

const NAMES: &str = "init_uts_ns";
const TABLE: &str = "swapper_pg_dir";

/// A variable is not what it has to be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Suspect {
    #[error("VMCOREINFO does not tell where the kernel's name is")]
    Untold,
    #[error("the kernel's variable {name} at {at} could not be read: {why}")]
    Unreadable {
        name: &'static str,
        at: PhysAddr,
        why: String,
    },
    #[error(
        "it returns zeros in place of the kernel's own data ({name} at {at}), without an error, \
         and what else it replaces so cannot be told"
    )]
    Zeros { name: &'static str, at: PhysAddr },
    #[error("the kernel's name at {at} is not {release}, as VMCOREINFO says it is")]
    Wrong { at: PhysAddr, release: String },
}

/// Reads the variables through `memory`. The kernel's name may also be `other`, what the
/// running kernel says now: a program may have changed it.
///
/// # Errors
/// If one of them is not what it has to be, or VMCOREINFO does not tell where it is.
pub(super) fn check(
    memory: &dyn ReadPhys,
    kernel: Vmcoreinfo<'_>,
    other: Option<&str>,
) -> Result<(), Suspect> {
    let place = |name| kernel.kernel_image()?.phys(kernel.symbol(name)?);
    let (release, at) = kernel.release().zip(place(NAMES)).ok_or(Suspect::Untold)?;
    let names = read(memory, NAMES, at, NAMES_BYTES)?;
    let has = |release: &str| {
        let release = release.as_bytes();
        !release.is_empty() && names.windows(release.len()).any(|window| window == release)
    };
    if !has(release) && !other.is_some_and(has) {
        let release = release.to_owned();
        return Err(Suspect::Wrong { at, release });
    }
    if let Some(at) = place(TABLE) {
        read(memory, TABLE, at, table_bytes(kernel))?;
    }
    Ok(())
}

/// As [`check`], of the running kernel: whether to trust `memory`. What could not be read is
/// no lie, and a name that is not the expected one may be so on purpose: if the user named
/// the source (`is_named`), it is read all the same. The result is a warning, if there is
/// one.
///
/// # Errors
/// If `memory` is not to be trusted.
pub(super) fn judge(
    memory: &dyn ReadPhys,
    kernel: Vmcoreinfo<'_>,
    is_named: bool,
) -> Result<Option<String>, Suspect> {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    match check(memory, kernel, Some(&release)) {
        Ok(()) | Err(Suspect::Untold) => Ok(None),
        Err(suspect @ Suspect::Unreadable { .. }) => Ok(Some(suspect.to_string())),
        Err(suspect @ Suspect::Wrong { .. }) if is_named => Ok(Some(format!(
            "{suspect}: the image may be of another memory"
        ))),
        Err(suspect) => Err(suspect),
    }
}

/// The bytes of the kernel's top page table: a page. Any part of it can be unused and zero: on
/// x86-64, the first half is of processes; on arm64, a kernel for 52 bits of addresses uses the
/// last entries if the processor has 48.
fn table_bytes(kernel: Vmcoreinfo<'_>) -> usize {
    let sizes = kernel.architecture().map(|known| known.layout().page_sizes);
    let page = kernel.page_size();
    let known = sizes
        .into_iter()
        .flatten()
        .find(|&&size| Some(size) == page);
    known.map_or(4096, |&size| u64_as_usize(size))
}

/// The first `len` bytes of the variable `name`, unless all of them are zero.
fn read(
    memory: &dyn ReadPhys,
    name: &'static str,
    at: PhysAddr,
    len: usize,
) -> Result<Vec<u8>, Suspect> {
    let mut bytes = vec![0; len];
    let mut unreadable = Unreadables::new();
    let unread = |why: String| Suspect::Unreadable { name, at, why };
    memory
        .read_phys(at, &mut bytes, &mut unreadable)
        .map_err(|error| unread(error.to_string()))?;
    match unreadable.as_slice().first() {
        Some(item) => Err(unread(item.errno.to_string())),
        None if is_zero(&bytes) => Err(Suspect::Zeros { name, at }),
        None => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::{MemoryImage, MemoryMap, PhysRange, Region, RegionKind};

    const X86: &str = "OSRELEASE=6.12.1\nNUMBER(phys_base)=0\n\
        SYMBOL(init_uts_ns)=ffffffff80001010\nSYMBOL(swapper_pg_dir)=ffffffff80003000\n";
    const ARM64: &str = "OSRELEASE=6.12.1\nNUMBER(kimage_voffset)=0xffff800080000000\n\
        SYMBOL(init_uts_ns)=ffff800080001010\nSYMBOL(swapper_pg_dir)=ffff800080003000\n";

    /// Four pages with both variables, changed by `change`.
    fn memory(change: fn(&mut [u8])) -> MemoryImage {
        let range = PhysRange::new(PhysAddr::ZERO, PhysAddr::new(0x4000)).unwrap();
        let kind = RegionKind::SystemRam;
        let mut bytes = vec![0; 0x4000];
        bytes[0x1014..0x1019].copy_from_slice(b"Linux");
        bytes[0x1096..0x109e].copy_from_slice(b"6.12.1\0\0");
        bytes[0x3ff8] = 0x63;
        change(&mut bytes);
        MemoryImage::new(MemoryMap::new([Region { range, kind }]).unwrap(), bytes)
    }

    fn found(text: &str, change: fn(&mut [u8])) -> Result<(), Suspect> {
        check(&memory(change), Vmcoreinfo::new(text.as_bytes()), None)
    }

    #[test]
    fn memory_that_has_the_kernels_variables_passes_on_every_architecture() {
        for text in [X86, ARM64] {
            assert_eq!(found(text, |_| ()), Ok(()));
        }
    }

    #[test]
    fn zeros_in_place_of_one_of_them_are_refused() {
        for text in [X86, ARM64] {
            let data = found(text, |bytes| bytes[0x1000..0x2000].fill(0)).unwrap_err();
            let Suspect::Zeros { name: NAMES, at } = data else {
                panic!("{data}");
            };
            assert_eq!(at, PhysAddr::new(0x1010));
            let table = found(text, |bytes| bytes[0x3000..].fill(0)).unwrap_err();
            assert!(
                matches!(table, Suspect::Zeros { name: TABLE, .. }),
                "{table}"
            );
            assert!(table.to_string().contains("returns zeros"), "{table}");
        }
    }

    #[test]
    fn all_of_a_large_page_table_is_looked_at() {
        let range = PhysRange::new(PhysAddr::ZERO, PhysAddr::new(0x1_4000)).unwrap();
        let kind = RegionKind::SystemRam;
        let mut bytes = vec![0; 0x1_4000];
        bytes[0x1096..0x109e].copy_from_slice(b"6.12.1\0\0");
        // 52 bits of addresses in pages of 64 KiB, on a processor with 48.
        bytes[0x5e00] = 0x63;
        let map = MemoryMap::new([Region { range, kind }]).unwrap();
        let memory = MemoryImage::new(map, bytes);
        let text = ARM64.replace("80003000", "80004000");
        let large = format!("{text}PAGESIZE=65536\n");
        assert_eq!(
            check(&memory, Vmcoreinfo::new(large.as_bytes()), None),
            Ok(())
        );
        for other in ["", "PAGESIZE=4096\n", "PAGESIZE=18446744073709551615\n"] {
            let text = format!("{text}{other}");
            let suspect = check(&memory, Vmcoreinfo::new(text.as_bytes()), None).unwrap_err();
            assert!(
                matches!(suspect, Suspect::Zeros { name: TABLE, .. }),
                "{other}"
            );
        }
    }

    #[test]
    fn another_kernels_name_and_other_memory_are_told() {
        let change: fn(&mut [u8]) = |bytes| bytes[0x1096] = b'5';
        let wrong = found(X86, change).unwrap_err();
        assert!(
            wrong.to_string().contains("0x1010 is not 6.12.1"),
            "{wrong}"
        );
        // What uname(2) says, which a program can change along with the variable.
        let kernel = Vmcoreinfo::new(X86.as_bytes());
        assert_eq!(check(&memory(change), kernel, Some("5.12.1")), Ok(()));
        assert!(check(&memory(change), kernel, Some("")).is_err());
        let elsewhere = X86.replace("80001010", "80005010");
        let unread = found(&elsewhere, |_| ()).unwrap_err();
        assert!(matches!(unread, Suspect::Unreadable { .. }), "{unread}");
        for nothing in [
            "",
            "OSRELEASE=6.12.1\n",
            "OSRELEASE=\nNUMBER(phys_base)=0\n",
        ] {
            assert_eq!(found(nothing, |_| ()), Err(Suspect::Untold), "{nothing}");
        }
    }
}
