// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0

extern crate std;

use super::*;
use std::collections::HashMap;
use std::vec::Vec;

use Granule::{Kib16, Kib4, Kib64};

/// One way in which a processor can be configured.
#[derive(Clone, Copy, Debug)]
struct Config {
    granule: Granule,
    va_bits: u32,
    /// TCR.IPS as a number of bits.
    output_bits: u32,
    /// TCR.DS.
    wide: bool,
    /// The bits of an address that each table translates, from the top table down, as the
    /// manual lists them (D8.2.6 to D8.2.8): the first bit of each.
    first_bits: &'static [u32],
    /// How many entries the top table has.
    top_entries: u64,
    /// The first bits of the levels that may have blocks (D8.3.1).
    blocks: &'static [u32],
}

const fn config(
    granule: Granule,
    va_bits: u32,
    output_bits: u32,
    wide: bool,
    first_bits: &'static [u32],
    top_entries: u64,
    blocks: &'static [u32],
) -> Config {
    Config {
        granule,
        va_bits,
        output_bits,
        wide,
        first_bits,
        top_entries,
        blocks,
    }
}

/// Every granule with every size that Linux can be built with, and a few that only the
/// manual has.
const CONFIGS: &[Config] = &[
    config(Kib4, 25, 40, false, &[21, 12], 16, &[21]),
    config(Kib4, 36, 40, false, &[30, 21, 12], 64, &[30, 21]),
    config(Kib4, 39, 40, false, &[30, 21, 12], 512, &[30, 21]),
    config(Kib4, 42, 44, false, &[39, 30, 21, 12], 8, &[30, 21]),
    config(Kib4, 48, 48, false, &[39, 30, 21, 12], 512, &[30, 21]),
    config(Kib4, 48, 52, true, &[39, 30, 21, 12], 512, &[39, 30, 21]),
    config(Kib4, 52, 52, true, &[48, 39, 30, 21, 12], 16, &[39, 30, 21]),
    config(Kib4, 52, 48, true, &[48, 39, 30, 21, 12], 16, &[39, 30, 21]),
    config(Kib16, 36, 40, false, &[25, 14], 2048, &[25]),
    config(Kib16, 39, 42, false, &[36, 25, 14], 8, &[25]),
    config(Kib16, 42, 44, false, &[36, 25, 14], 64, &[25]),
    config(Kib16, 47, 48, false, &[36, 25, 14], 2048, &[25]),
    config(Kib16, 48, 48, false, &[47, 36, 25, 14], 2, &[25]),
    config(Kib16, 48, 52, true, &[47, 36, 25, 14], 2, &[36, 25]),
    config(Kib16, 52, 52, true, &[47, 36, 25, 14], 32, &[36, 25]),
    config(Kib64, 39, 36, false, &[29, 16], 1024, &[29]),
    config(Kib64, 42, 48, false, &[29, 16], 8192, &[29]),
    config(Kib64, 48, 48, false, &[42, 29, 16], 64, &[29]),
    config(Kib64, 48, 52, false, &[42, 29, 16], 64, &[42, 29]),
    config(Kib64, 52, 52, false, &[42, 29, 16], 1024, &[42, 29]),
    config(Kib64, 52, 48, false, &[42, 29, 16], 1024, &[29]),
];

const NG: u64 = 1 << 11;

impl Config {
    fn registers(&self) -> Registers {
        let size = u64::from(64 - self.va_bits);
        let (tg0, tg1) = match self.granule {
            Kib4 => (0, 2),
            Kib16 => (2, 1),
            Kib64 => (1, 3),
        };
        let ips = match self.output_bits {
            32 => 0,
            36 => 1,
            40 => 2,
            42 => 3,
            44 => 4,
            48 => 5,
            52 => 6,
            _ => unreachable!(),
        };
        let tcr = size
            | size << 16
            | tg0 << 14
            | tg1 << 30
            | ips << 32
            | 1 << 37
            | u64::from(self.wide) << 59;
        Registers {
            tcr,
            ttbr1: ROOT | 0xab << 48 | 1,
            indirect_rights: false,
            hidden: NG,
        }
    }

    fn paging(&self) -> Paging {
        Paging::of_registers(&self.registers()).expect("a valid TCR")
    }

    /// An entry for `addr` with the two type bits, as the manual's figures show it.
    fn entry(&self, addr: u64, kind: u64) -> u64 {
        let high = addr >> 48 & 0xf;
        match self.granule {
            Kib4 | Kib16 if self.wide => {
                addr & 0x0003_ffff_ffff_ffff | (addr >> 50 & 3) << 8 | kind
            }
            Kib64 => addr & 0x0000_ffff_ffff_ffff | high << 12 | kind,
            Kib4 | Kib16 => addr | kind,
        }
    }

    /// An address in the lower or the upper half with a different index in every table.
    fn virt(&self, upper: bool) -> u64 {
        let pattern = 0x000a_5a3c_96d2_b7e1_u64 & ((1 << self.va_bits) - 1);
        if upper {
            pattern | u64::MAX << self.va_bits
        } else {
            pattern
        }
    }

    /// A physical address with its highest bits set, aligned to `bits`.
    fn phys(&self, bits: u32) -> u64 {
        let all = (1u64 << self.output_bits) - 1;
        0x000d_cba9_8765_4321 & all >> bits << bits | 1 << (self.output_bits - 1)
    }
}

const ROOT: u64 = 0x4_0000;

/// Tables that map `virt` by an entry of the level that begins at bit `leaf`: a list of
/// entries from the top down.
fn chain(config: &Config, virt: u64, leaf: u32, entry: u64) -> Vec<(u64, u64)> {
    let mut table = ROOT;
    let mut entries = Vec::new();
    for (at, &first) in config.first_bits.iter().enumerate() {
        let index = match at {
            0 => virt >> first & (config.top_entries - 1),
            _ => {
                let above = config.first_bits[at - 1];
                virt >> first & ((1 << (above - first)) - 1)
            }
        };
        let addr = table + index * 8;
        if first == leaf {
            entries.push((addr, entry));
            break;
        }
        // Tables lie where the highest bit of an address is needed.
        table = config.phys(24) | u64::try_from(at + 1).unwrap() << 17;
        entries.push((addr, config.entry(table, 3)));
    }
    entries
}

fn read(entries: &[(u64, u64)]) -> impl FnMut(u64) -> Result<u64, Errno> {
    let map: HashMap<u64, u64> = entries.iter().copied().collect();
    move |addr| map.get(&addr).copied().ok_or(Errno::ENODATA)
}

fn walk(paging: &Paging, virt: u64, entries: &[(u64, u64)]) -> Walk {
    paging.walk(ROOT, virt, read(entries)).expect("canonical")
}

fn config_of(granule: Granule, va_bits: u32, output_bits: u32) -> &'static Config {
    CONFIGS
        .iter()
        .find(|config| {
            config.granule == granule
                && config.va_bits == va_bits
                && config.output_bits == output_bits
        })
        .expect("listed")
}

#[test]
fn every_granule_and_size_translates_by_pages_and_by_every_block() {
    for config in CONFIGS {
        let paging = config.paging();
        let last = *config.first_bits.last().unwrap();
        for &leaf in config.blocks.iter().chain([&last]) {
            for upper in [false, true] {
                let virt = config.virt(upper);
                let phys = config.phys(leaf);
                let kind = if leaf == last { 3 } else { 1 };
                let tables = chain(config, virt, leaf, config.entry(phys, kind));
                let walk = walk(&paging, virt, &tables);
                let offset = virt & ((1 << leaf) - 1);
                let expected = Outcome::Mapped {
                    phys: phys | offset,
                    page_bytes: 1 << leaf,
                    no_access: false,
                };
                assert_eq!(walk.outcome, expected, "{config:?} {leaf} {upper}");
                let steps: Vec<_> = walk.steps().iter().map(|s| (s.addr, s.value)).collect();
                assert_eq!(steps, tables, "{config:?} {leaf} {upper}");
            }
        }
        let levels = u32::try_from(config.first_bits.len()).unwrap();
        assert_eq!(paging.lower.levels(), levels, "{config:?}");
    }
}

#[test]
fn a_block_where_the_manual_has_none_is_invalid() {
    for config in CONFIGS {
        let paging = config.paging();
        let last = *config.first_bits.last().unwrap();
        for &leaf in config.first_bits {
            if leaf == last || !config.blocks.contains(&leaf) {
                // In the last table this is the reserved encoding.
                let virt = config.virt(false);
                let tables = chain(config, virt, leaf, config.entry(config.phys(leaf), 1));
                let walk = walk(&paging, virt, &tables);
                assert_eq!(walk.outcome, Outcome::NotPresent, "{config:?} {leaf}");
                assert_eq!(walk.steps().len(), tables.len());
            }
        }
    }
}

#[test]
fn invalid_entries_end_the_walk_at_every_level() {
    for config in CONFIGS {
        for (at, &leaf) in config.first_bits.iter().enumerate() {
            let virt = config.virt(true);
            // Everything but the valid bit and Linux's own bit.
            let invalid = !1 & !NG;
            let tables = chain(config, virt, leaf, invalid);
            let walk = walk(&config.paging(), virt, &tables);
            assert_eq!(walk.outcome, Outcome::NotPresent);
            assert_eq!(walk.steps().len(), at + 1);
        }
    }
}

#[test]
fn an_output_beyond_the_machines_addresses_is_no_address() {
    for config in CONFIGS {
        let room = match config.granule {
            Kib64 if config.output_bits < 52 => 48,
            Kib64 => 52,
            _ if config.wide => 52,
            _ => 48,
        };
        let last = *config.first_bits.last().unwrap();
        for bit in config.output_bits..room {
            let virt = config.virt(false);
            let page = chain(config, virt, last, config.entry(1 << bit, 3));
            let outcome = walk(&config.paging(), virt, &page).outcome;
            assert_eq!(outcome, Outcome::Broken(Errno::ENXIO), "{config:?} {bit}");
            let top = config.first_bits[0];
            let table = chain(config, virt, top, config.entry(1 << bit, 3));
            let walk = walk(&config.paging(), virt, &table);
            let broken = Outcome::Broken(Errno::ENXIO);
            assert_eq!((walk.outcome, walk.steps().len()), (broken, 1));
        }
        let paging = config.paging();
        let walk = paging.walk(u64::MAX, config.virt(false), |_| Ok(0));
        assert!(walk.is_ok(), "{config:?}");
    }
    let narrow = config_of(Kib4, 39, 40).paging();
    let walk = narrow.walk(1 << 40, 0, |_| panic!("read")).unwrap();
    assert_eq!(walk.outcome, Outcome::Broken(Errno::ENXIO));
}

#[test]
fn a_table_that_points_to_itself_is_walked_once_a_level() {
    for config in CONFIGS {
        let paging = config.paging();
        let entry = config.entry(ROOT, 3);
        let mut reads = 0;
        let walk = paging
            .walk(ROOT, 0, |_| {
                reads += 1;
                Ok(entry)
            })
            .unwrap();
        assert_eq!(reads, config.first_bits.len());
        let page_bytes = 1 << config.granule.bits();
        assert_eq!(
            walk.outcome,
            Outcome::Mapped {
                phys: ROOT,
                page_bytes,
                no_access: false
            },
            "the last entry is a page"
        );
    }
}

#[test]
fn any_values_end_in_an_answer() {
    // A simple generator, so that a failure can be repeated.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for config in CONFIGS {
        let paging = config.paging();
        for _ in 0..2000 {
            let virt = config.virt(next() & 1 == 0) ^ next() & ((1 << config.va_bits) - 1);
            let walk = paging.walk(next(), virt, |addr| {
                assert!(addr < 1 << config.output_bits && addr % 8 == 0);
                Ok(next())
            });
            assert!(walk.unwrap().steps().len() <= MAX_LEVELS);
        }
    }
}

#[test]
fn bit_55_chooses_the_table_and_the_bits_above_must_agree() {
    let config = config_of(Kib4, 48, 48);
    let paging = config.paging();
    assert!(paging.is_canonical(0x0000_ffff_ffff_ffff));
    assert!(!paging.is_canonical(0x0001_0000_0000_0000));
    assert!(paging.is_canonical(0xffff_0000_0000_0000));
    assert!(!paging.is_canonical(0xfffe_ffff_ffff_ffff));
    assert!(!paging.is_canonical(0x00ff_ffff_ffff_ffff));
    assert!(paging.is_canonical(0xb400_0000_0000_1000), "TBI0: a tag");
    assert!(!paging.is_canonical(0xb4ff_0000_0000_1000), "no TBI1");
    assert_eq!(
        paging.walk(ROOT, 1 << 48, |_| panic!("read")),
        Err(Errno::EINVAL)
    );

    let large = config_of(Kib4, 52, 52).paging();
    assert!(large.is_canonical(0x000f_ffff_ffff_ffff));
    assert!(!large.is_canonical(0x0010_0000_0000_0000));
    assert!(large.is_canonical(0xfff0_0000_0000_0000));

    let all = super::super::Paging::Arm64(paging);
    assert_eq!(all.shared_root(0xffff_0000_0000_0000), Some(ROOT));
    assert_eq!(all.shared_root(0x0000_ffff_0000_0000), None);
}

#[test]
fn halves_can_differ_in_size_and_granule() {
    let tcr = 25 | 16 << 16 | 1 << 14 | 2 << 30 | 5 << 32 | 1 << 38;
    let paging = Paging::of_registers(&Registers {
        tcr,
        ttbr1: 0,
        indirect_rights: false,
        hidden: 0,
    })
    .unwrap();
    assert_eq!((paging.lower.granule, paging.lower.va_bits), (Kib64, 39));
    assert_eq!((paging.upper.granule, paging.upper.va_bits), (Kib4, 48));
    assert_eq!((paging.lower.levels(), paging.upper.levels()), (2, 4));
    assert!(!paging.lower.ignores_top_byte && paging.upper.ignores_top_byte);
    assert!(paging.is_canonical(0x12ff_ffff_ffff_f000), "TBI1");
}

#[test]
fn reserved_register_values_are_refused() {
    let valid = 16 | 16 << 16 | 2 << 30 | 5 << 32;
    let paging = |tcr| {
        Paging::of_registers(&Registers {
            tcr,
            ttbr1: 0,
            indirect_rights: false,
            hidden: 0,
        })
    };
    assert!(paging(valid).is_ok());
    for (change, what) in [
        (3 << 14, "TG0"),
        (2 << 30, "TG1"),
        (2 << 32, "IPS"),
        (16 ^ 12, "T0SZ of 52 bits without DS"),
        (16 ^ 11, "T0SZ of 53 bits"),
        (16 ^ 49, "T0SZ of 15 bits"),
    ] {
        assert_eq!(paging(valid ^ change), Err(Errno::EOPNOTSUPP), "{what}");
    }
    // Within 64 KiB there is nothing to translate by 16 bits.
    assert_eq!(paging(valid ^ 16 ^ 48 | 1 << 14), Err(Errno::EOPNOTSUPP));
    // 52 bits of output need a format that has them.
    let bits = |tcr| paging(tcr).unwrap().output_bits;
    assert_eq!(bits(valid ^ 5 << 32 | 6 << 32), 48);
    assert_eq!(bits(valid ^ 5 << 32 | 6 << 32 | 1 << 59), 52);
}

#[test]
fn a_register_value_is_as_good_as_an_address() {
    let narrow = config_of(Kib4, 48, 48);
    assert_eq!(narrow.paging().root(0x1234_0000_4123_4001), 0x4123_4000);
    assert_eq!(narrow.paging().kernel_root, ROOT);
    let wide = config_of(Kib64, 52, 52);
    let mut registers = wide.registers();
    registers.ttbr1 = 0xabcd_0000_4567_0000 | 0b1010 << 2 | 1;
    let paging = Paging::of_registers(&registers).unwrap();
    assert_eq!(paging.kernel_root, 0x000a_0000_4567_0000);
    assert_eq!(paging.root(0x000a_0000_4567_0000), 0x000a_0000_4567_0000);
}

/// Linux with 52-bit addresses on a machine with 48: TTBR1 points into the middle of a page.
#[test]
fn a_small_top_table_begins_where_the_register_says() {
    let config = config_of(Kib64, 48, 48);
    let paging = config.paging();
    let root = 0x5_1e00;
    let virt = 0xffff_8000_0000_0000_u64;
    let index = virt >> 42 & 63;
    let walk = paging
        .walk(root, virt, |addr| {
            assert_eq!(addr, root + index * 8);
            Ok(0)
        })
        .unwrap();
    assert_eq!(walk.outcome, Outcome::NotPresent);
}

#[test]
fn attributes_are_not_part_of_an_address() {
    // Contiguous, nT, GP, access flag, shareability, memory type, software and ignored bits.
    for config in CONFIGS {
        let shareability = if config.wide { 0 } else { 3 << 8 };
        let attributes = 1 << 52 | 1 << 10 | shareability | 7 << 2 | 1 << 5 | 0xf << 55 | 1 << 63;
        let block = config.blocks[config.blocks.len() - 1];
        let last = *config.first_bits.last().unwrap();
        for (leaf, more) in [(last, attributes | 3), (block, attributes | 1 << 16 | 1)] {
            // Bit 16 is nT in a block, and a part of a page's address.
            let virt = config.virt(false);
            let phys = config.phys(leaf);
            let tables = chain(config, virt, leaf, config.entry(phys, 0) | more);
            let outcome = walk(&config.paging(), virt, &tables).outcome;
            let Outcome::Mapped {
                phys: found,
                page_bytes,
                ..
            } = outcome
            else {
                panic!("{config:?}: {outcome:?}");
            };
            assert_eq!(found, phys | virt & ((1 << leaf) - 1), "{config:?} {leaf}");
            assert_eq!(page_bytes, 1 << leaf, "one entry, contiguous or not");
        }
    }
}

#[test]
fn a_page_without_access_is_still_mapped() {
    let config = config_of(Kib4, 48, 48);
    let virt = config.virt(false);
    let mapped = |leaf, entry| walk(&config.paging(), virt, &chain(config, virt, leaf, entry));
    let page = config.entry(config.phys(12), 3);
    let hidden = mapped(12, page & !1 | NG).outcome;
    assert!(matches!(
        hidden,
        Outcome::Mapped {
            no_access: true,
            page_bytes: 4096,
            ..
        }
    ));
    let block = mapped(21, config.entry(config.phys(21), 0) | NG).outcome;
    assert!(matches!(
        block,
        Outcome::Mapped {
            no_access: true,
            page_bytes: 0x20_0000,
            ..
        }
    ));
    // A table is never hidden, and a swap entry has the bit clear.
    assert_eq!(mapped(21, page & !1 | NG).outcome, Outcome::NotPresent);
    assert_eq!(mapped(12, page & !1 & !NG).outcome, Outcome::NotPresent);
}

#[test]
fn rights_are_those_of_the_leaf_within_the_limits_of_its_tables() {
    let config = config_of(Kib4, 48, 48);
    let virt = config.virt(true);
    let rights = |paging: &Paging, table: u64, leaf: u64| {
        let mut tables = chain(config, virt, 12, config.entry(config.phys(12), 3) | leaf);
        tables[1].1 |= table;
        let Rights {
            write,
            user,
            execute,
        } = walk(paging, virt, &tables).rights;
        (write, user, execute)
    };
    let paging = config.paging();
    let (ro, pxn, uxn, dbm) = (1 << 7, 1 << 53, 1 << 54, 1 << 51);
    // The kernel's data, text, and read-only data.
    assert_eq!(rights(&paging, 0, pxn | uxn), (true, false, false));
    assert_eq!(rights(&paging, 0, ro | uxn), (false, false, true));
    assert_eq!(rights(&paging, 0, ro | pxn | uxn), (false, false, false));
    // A process's data, text, and text that it can only execute.
    let user = 1 << 6;
    assert_eq!(rights(&paging, 0, user | pxn | uxn), (true, true, false));
    assert_eq!(rights(&paging, 0, user | ro | pxn), (false, true, true));
    assert_eq!(rights(&paging, 0, ro | pxn), (false, true, true));
    // APTable[1], APTable[0], UXNTable and PXNTable.
    assert_eq!(rights(&paging, 1 << 62, pxn | uxn), (false, false, false));
    assert_eq!(
        rights(&paging, 1 << 61, user | pxn | uxn),
        (true, false, false)
    );
    assert_eq!(rights(&paging, 1 << 60, user | pxn), (true, true, false));
    assert_eq!(rights(&paging, 1 << 59, uxn), (true, false, false));
    let mut flat = paging;
    flat.upper.has_table_limits = false;
    assert_eq!(rights(&flat, 15 << 59, uxn), (true, false, true));

    // A clean page that the processor makes writable, and one that it does not.
    assert!(!rights(&paging, 0, ro | dbm | pxn | uxn).0);
    let mut managed = paging;
    managed.manages_dirty = true;
    assert!(rights(&managed, 0, ro | dbm | pxn | uxn).0);
    assert!(!rights(&managed, 0, ro | pxn | uxn).0);
    managed.indirect_rights = true;
    assert!(rights(&managed, 0, dbm | pxn | uxn).0);
    assert!(!rights(&managed, 0, pxn | uxn).0);
}

#[test]
fn a_table_that_cannot_be_read_ends_the_walk() {
    let config = config_of(Kib16, 47, 48);
    let virt = config.virt(false);
    let mut tables = chain(config, virt, 14, 0);
    tables.pop();
    let walk = walk(&config.paging(), virt, &tables);
    assert_eq!(walk.outcome, Outcome::Broken(Errno::ENODATA));
    assert_eq!(walk.steps().len(), 2);
}
