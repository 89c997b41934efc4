// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! Translation through x86-64 page tables (Intel SDM volume 3, chapter 4; Linux's
//! arch/x86/include/asm/pgtable.h).

use super::super::Errno;
use super::{Outcome, Rights, Step, Walk, MAX_LEVELS};

/// Present.
const PRESENT: u64 = 1 << 0;
/// Writable.
const WRITE: u64 = 1 << 1;
/// Accessible from user mode.
const USER: u64 = 1 << 2;
/// Maps a large page at a level above the last.
const HUGE: u64 = 1 << 7;
/// In an entry that is not present: Linux still maps the page, without access
/// (`_PAGE_PROTNONE`).
const PROTNONE: u64 = 1 << 8;
/// Not executable.
const NO_EXECUTE: u64 = 1 << 63;
/// The bits of an entry that can hold an address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// How this machine translates addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// 4 or 5.
    pub levels: u32,
    /// Bits of a physical address, at most 52.
    pub phys_bits: u32,
    /// The bit of an entry that marks encrypted memory, or 0.
    pub encryption_mask: u64,
}

impl Paging {
    /// The top table's address in a CR3 value: without the PCID, the reserved
    /// and linear-address-masking bits, and the encryption bit.
    #[must_use]
    pub const fn root(&self, cr3: u64) -> u64 {
        cr3 & ADDRESS & !self.encryption_mask
    }

    /// Whether `virt` is canonical: its unused high bits repeat the highest used one.
    #[must_use]
    pub fn is_canonical(&self, virt: u64) -> bool {
        let used = self.levels.saturating_mul(9).saturating_add(12);
        let high = virt.checked_shr(used.saturating_sub(1)).unwrap_or(0);
        let all = u64::MAX
            .checked_shr(used.saturating_sub(1))
            .unwrap_or(u64::MAX);
        high == 0 || high == all
    }

    /// Translates `virt` through the tables below `cr3`. `read` reads the eight bytes
    /// at a physical address. If the tables change during the walk, the answer may be
    /// wrong, but the walk ends.
    ///
    /// # Errors
    /// `EINVAL` for an address that is not canonical.
    pub fn walk(
        &self,
        cr3: u64,
        virt: u64,
        mut read: impl FnMut(u64) -> Result<u64, Errno>,
    ) -> Result<Walk, Errno> {
        if !(4..=5).contains(&self.levels) || !self.is_canonical(virt) {
            return Err(Errno::EINVAL);
        }
        let mut walk = Walk {
            steps: [Step::default(); MAX_LEVELS],
            taken: 0,
            outcome: Outcome::NotPresent,
            rights: Rights {
                write: true,
                user: true,
                execute: true,
            },
        };
        let mut table = self.root(cr3);
        for level in (1..=self.levels).rev() {
            let shift = level.saturating_mul(9).saturating_add(3);
            let index = virt.checked_shr(shift).unwrap_or(0) & 0x1ff;
            let addr = table.saturating_add(index.saturating_mul(8));
            let value = match self.check(addr).and_then(|()| read(addr)) {
                Ok(value) => value,
                Err(errno) => {
                    walk.outcome = Outcome::Broken(errno);
                    return Ok(walk);
                }
            };
            if let Some(step) = walk.steps.get_mut(walk.taken) {
                *step = Step { addr, value };
            }
            walk.taken = walk.taken.saturating_add(1);

            let huge = value & HUGE != 0 && (level == 2 || level == 3);
            let is_leaf = level == 1 || huge;
            if value & PRESENT == 0 && !(is_leaf && is_hidden(value, huge)) {
                return Ok(walk);
            }
            walk.rights.write &= value & WRITE != 0;
            walk.rights.user &= value & USER != 0;
            walk.rights.execute &= value & NO_EXECUTE == 0;

            let base = self.frame(value);
            if is_leaf {
                let page_bytes = 1u64.checked_shl(shift).unwrap_or(0);
                let offset = page_bytes.wrapping_sub(1);
                walk.outcome = Outcome::Mapped {
                    // The bits below the page size are flags, such as PAT.
                    phys: (base & !offset) | (virt & offset),
                    page_bytes,
                    no_access: value & PRESENT == 0,
                };
                return Ok(walk);
            }
            table = base;
        }
        Ok(walk)
    }

    /// The address in an entry. Linux inverts it if the entry is not present, so that
    /// no processor speculates on it (`__pte_needs_invert`).
    fn frame(&self, value: u64) -> u64 {
        let value = if value & PRESENT == 0 { !value } else { value };
        value & ADDRESS & !self.encryption_mask & self.max_addr()
    }

    fn check(&self, addr: u64) -> Result<(), Errno> {
        if addr & !self.max_addr() == 0 {
            Ok(())
        } else {
            Err(Errno::ENXIO)
        }
    }

    fn max_addr(&self) -> u64 {
        u64::MAX
            .checked_shr(64u32.saturating_sub(self.phys_bits.min(52)))
            .unwrap_or(0)
    }
}

/// Whether Linux still maps memory by this leaf, which is not present. It does if it
/// took the access away (PROT_NONE), and while it splits or moves a huge page
/// (`pmd_present`). A swap entry has neither bit.
fn is_hidden(value: u64, huge: bool) -> bool {
    value & PROTNONE != 0 || huge
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::vec::Vec;

    extern crate std;

    const FOUR: Paging = Paging {
        levels: 4,
        phys_bits: 46,
        encryption_mask: 0,
    };
    const FIVE: Paging = Paging {
        levels: 5,
        phys_bits: 52,
        encryption_mask: 0,
    };

    /// Page tables from a list of entries.
    fn tables(entries: &[(u64, u64)]) -> impl FnMut(u64) -> Result<u64, Errno> {
        let map: HashMap<u64, u64> = entries.iter().copied().collect();
        move |addr| {
            if addr < 0x100_0000 {
                Ok(map.get(&addr).copied().unwrap_or(0))
            } else {
                Err(Errno::ENODATA)
            }
        }
    }

    fn mapped(paging: Paging, virt: u64, entries: &[(u64, u64)]) -> Outcome {
        paging
            .walk(0x1000, virt, tables(entries))
            .expect("canonical")
            .outcome
    }

    #[test]
    fn all_three_page_sizes_with_4_and_5_levels() {
        let virt = 0x0000_7fff_dead_beef_u64;
        let index = |level: u32| (virt >> (level * 9 + 3) & 0x1ff) * 8;
        let chain = [
            (0x1000 + index(4), 0x2007),
            (0x2000 + index(3), 0x3007),
            (0x3000 + index(2), 0x4007),
            (0x4000 + index(1), 0x8000_0000_0555_5067),
        ];
        let small = |phys| Outcome::Mapped {
            phys,
            page_bytes: 4096,
            no_access: false,
        };
        assert_eq!(mapped(FOUR, virt, &chain), small(0x0555_5eef));
        let walk = FOUR.walk(0x1000, virt, tables(&chain)).expect("canonical");
        assert_eq!(walk.steps().len(), 4);
        assert_eq!(
            walk.steps().last().map(|step| step.addr),
            Some(0x4000 + index(1))
        );
        assert!(walk.rights.write && walk.rights.user && !walk.rights.execute);

        let mut five: Vec<_> = chain
            .iter()
            .map(|&(at, to)| (at + 0x1000, to + 0x1000))
            .collect();
        five.push((0x1000 + index(5), 0x2007));
        five[3].1 -= 0x1000;
        assert_eq!(mapped(FIVE, virt, &five), small(0x0555_5eef));

        let two_mib = [chain[0], chain[1], (0x3000 + index(2), 0x0a00_1000 | 0x87)];
        assert_eq!(
            mapped(FOUR, virt, &two_mib),
            Outcome::Mapped {
                phys: 0x0a00_0000 | (virt & 0x1f_ffff),
                page_bytes: 2 << 20,
                no_access: false
            },
            "bit 12 is PAT, not an address"
        );
        let one_gib = [chain[0], (0x2000 + index(3), 0x8000_0000 | 0x87)];
        assert_eq!(
            mapped(FOUR, virt, &one_gib),
            Outcome::Mapped {
                phys: 0x8000_0000 | (virt & 0x3fff_ffff),
                page_bytes: 1 << 30,
                no_access: false
            }
        );
    }

    #[test]
    fn bit_7_means_huge_at_two_levels_only() {
        let virt = 0x1000;
        let chain = [
            (0x1000, 0x2007 | HUGE),
            (0x2000, 0x3007),
            (0x3000, 0x4007),
            (0x4008, 0x5000 | HUGE | 7),
        ];
        assert_eq!(
            mapped(FOUR, virt, &chain),
            Outcome::Mapped {
                phys: 0x5000,
                page_bytes: 4096,
                no_access: false
            },
            "PAT of a small page"
        );
    }

    #[test]
    fn an_inverted_entry_without_access_is_still_mapped() {
        let frame = 0x1234_5000_u64;
        let inverted = (!frame & ADDRESS) | PROTNONE | USER;
        let chain = [
            (0x1000, 0x2007),
            (0x2000, 0x3007),
            (0x3000, 0x4007),
            (0x4000, inverted),
        ];
        assert_eq!(
            mapped(FOUR, 0x10, &chain),
            Outcome::Mapped {
                phys: frame + 0x10,
                page_bytes: 4096,
                no_access: true
            }
        );
        let swap = [
            chain[0],
            chain[1],
            chain[2],
            (0x4000, 0x00ff_ffff_ffff_f000),
        ];
        assert_eq!(mapped(FOUR, 0x10, &swap), Outcome::NotPresent);
        let splitting = [
            chain[0],
            chain[1],
            (0x3000, (!0x20_0000_u64 & ADDRESS) | HUGE),
        ];
        assert!(matches!(
            mapped(FOUR, 0x10, &splitting),
            Outcome::Mapped {
                phys: 0x20_0010,
                no_access: true,
                ..
            }
        ));
    }

    #[test]
    fn encryption_and_control_bits_are_not_part_of_an_address() {
        let sev = Paging {
            encryption_mask: 1 << 51,
            ..FIVE
        };
        assert_eq!(sev.root(0xe008_0000_1234_5fff), 0x1234_5000);
        let chain = [(0x2000, 0x8_0000_0000_3007_u64)];
        let sev4 = Paging { levels: 4, ..sev };
        let walk = sev4
            .walk(0x2000 | 1 << 51 | 0xfff, 0, tables(&chain))
            .expect("canonical");
        assert_eq!(walk.steps().first().map(|step| step.addr), Some(0x2000));
        assert_eq!(walk.steps().get(1).map(|step| step.addr), Some(0x3000));
    }

    #[test]
    fn addresses_that_are_not_canonical_are_refused() {
        for virt in [0x0000_8000_0000_0000, 0xffff_7fff_ffff_ffff, 1 << 63] {
            assert_eq!(FOUR.walk(0x1000, virt, tables(&[])), Err(Errno::EINVAL));
        }
        assert!(FIVE.is_canonical(0x0000_8000_0000_0000));
        assert!(FIVE.is_canonical(0xff00_0000_0000_0000));
        assert!(!FIVE.is_canonical(0x0100_0000_0000_0000));
    }

    #[test]
    fn a_table_that_cannot_be_read_ends_the_walk() {
        let beyond = [(0x1000, (1 << 46) | 7)];
        assert_eq!(
            mapped(FOUR, 0, &beyond),
            Outcome::NotPresent,
            "bits beyond the machine's are not part of an address"
        );
        let hole = [(0x1000, 0x200_0007)];
        assert_eq!(mapped(FOUR, 0, &hole), Outcome::Broken(Errno::ENODATA));
        let walk = FOUR.walk(u64::MAX, 0, tables(&[])).expect("canonical");
        assert_eq!(walk.outcome, Outcome::Broken(Errno::ENXIO));
    }
}
