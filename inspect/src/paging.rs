// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a kernel's page tables are read, by what VMCOREINFO says.

use crate::address_space::AddressSpace;
use crate::error::Error;
use linpmem_core::walk::arm64::{Granule, Half};
use linpmem_core::walk::{Paging, arm64, x86};
use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::layout::aarch64::MAX_VA_BITS;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;

/// The most bits of a physical address on x86-64.
const X86_PHYS_BITS: u32 = 52;

/// The address spaces that may be the kernel's; which one it is, the banner tells.
pub(crate) fn candidates(info: Vmcoreinfo<'_>) -> Result<Vec<AddressSpace>, Error> {
    let architecture = info
        .architecture()
        .ok_or(Error::NoFact("the architecture"))?;
    let root = info
        .kernel_page_table()
        .ok_or(Error::NoFact("where swapper_pg_dir is"))?
        .get();
    match architecture {
        Architecture::Aarch64 => arm64(info, root),
        _ => {
            let levels = info
                .paging_levels()
                .ok_or(Error::NoFact("the levels of page tables"))?;
            let mask = info.number("sme_mask").unwrap_or(0);
            let paging = Paging::X86(x86::Paging {
                levels,
                phys_bits: X86_PHYS_BITS,
                encryption_mask: u64::from_ne_bytes(mask.to_ne_bytes()),
            });
            Ok(vec![AddressSpace::new(paging, root)])
        }
    }
}

fn arm64(info: Vmcoreinfo<'_>, root: u64) -> Result<Vec<AddressSpace>, Error> {
    let page = info
        .page_size()
        .ok_or(Error::NoFact("the size of a page"))?;
    let granule = match page {
        0x1000 => Granule::Kib4,
        0x4000 => Granule::Kib16,
        0x1_0000 => Granule::Kib64,
        other => return Err(Error::Paging(format!("pages of {other} bytes"))),
    };
    let va_bits = info
        .va_bits()
        .ok_or(Error::NoFact("the bits of a virtual address"))?;
    if va_bits <= granule.bits() || va_bits > MAX_VA_BITS {
        return Err(Error::Paging(format!(
            "{va_bits} bits of virtual addresses"
        )));
    }
    let half = Half {
        granule,
        va_bits,
        ignores_top_byte: true,
        has_table_limits: true,
    };
    // Small pages have room for 52 bits only in another format, in which virtual addresses
    // have 52 bits too.
    let is_wide = granule != Granule::Kib64 && va_bits == MAX_VA_BITS;
    let output_bits = match is_wide || granule == Granule::Kib64 {
        true => 52,
        false => 48,
    };
    let of = |root| {
        let paging = Paging::Arm64(arm64::Paging {
            lower: half,
            upper: Half {
                ignores_top_byte: false,
                ..half
            },
            output_bits,
            wide_entries: is_wide,
            manages_dirty: true,
            indirect_rights: false,
            hidden: 0,
            kernel_root: root,
        });
        AddressSpace::new(paging, root)
    };
    let mut candidates = vec![of(root)];
    // A kernel that was built for 52 bits and has fewer uses the end of its top table.
    let built_for = info
        .number("VA_BITS")
        .and_then(|bits| u32::try_from(bits).ok());
    if let Some(built_for) = built_for.filter(|&bits| bits > va_bits && bits <= MAX_VA_BITS) {
        let whole = Half {
            va_bits: built_for,
            ..half
        };
        if whole.levels() == half.levels() {
            let unused = (1_u64 << whole.root_bits()) - (1_u64 << half.root_bits());
            candidates.push(of(root.wrapping_add(unused)));
        }
    }
    Ok(candidates)
}
