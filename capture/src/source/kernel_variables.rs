// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a source gives the kernel's own variables.
//!
//! That it gives the pages of a process does not prove it: the kernel's image can be missing
//! from the mapping that a source goes by (arm64 since Linux 7.3), and then the kernel
//! returns zeros without an error. So two variables are read at the addresses that VMCOREINFO
//! gives: the names of the kernel, which are data, and its top page table, which is not.

use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::{PhysAddr, ReadPhys, Unreadables, is_zero};

/// A `struct uts_namespace` begins with at most a number, and six names of 65 bytes.
const NAMES_BYTES: usize = 512;

/// The kernel keeps at least so much for the table. On x86-64, the first half is of processes,
/// and zero.
const TABLE_BYTES: usize = 4096;

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
    let names: [u8; NAMES_BYTES] = read(memory, NAMES, at)?;
    let has = |release: &str| {
        let release = release.as_bytes();
        !release.is_empty() && names.windows(release.len()).any(|window| window == release)
    };
    if !has(release) && !other.is_some_and(has) {
        let release = release.to_owned();
        return Err(Suspect::Wrong { at, release });
    }
    if let Some(at) = place(TABLE) {
        read::<TABLE_BYTES>(memory, TABLE, at)?;
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

/// The first bytes of the variable `name`, unless all of them are zero.
fn read<const N: usize>(
    memory: &dyn ReadPhys,
    name: &'static str,
    at: PhysAddr,
) -> Result<[u8; N], Suspect> {
    let mut bytes = [0; N];
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
