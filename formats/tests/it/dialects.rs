// SPDX-License-Identifier: MIT OR Apache-2.0
//! ELF cores made by other tools.

use linpmem_formats::{ImageReader, elf};
use linpmem_kinfo::layout::Architecture;
use linpmem_phys::{Content, PhysAddr, ReadPhys, Unreadables};

pub struct Segment {
    pub kind: u32,
    pub offset: u64,
    pub vaddr: u64,
    pub paddr: u64,
    pub filesz: u64,
    pub memsz: u64,
}

pub const LOAD: u32 = 1;
pub const NOTE: u32 = 4;
const BASE: u64 = 0xffff_8f00_0000_0000;

pub fn load(offset: u64, paddr: u64, len: u64) -> Segment {
    Segment {
        kind: LOAD,
        offset,
        vaddr: BASE.wrapping_add(paddr),
        paddr,
        filesz: len,
        memsz: len,
    }
}

/// An ELF core of `len` bytes with these program headers; each byte after the headers is
/// the index of its 256-byte block.
pub fn core(segments: &[Segment], len: usize) -> Vec<u8> {
    let mut core = Vec::new();
    core.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    core.extend_from_slice(&[4, 0, 62, 0, 1, 0, 0, 0]);
    for field in [0, 64, 0_u64] {
        core.extend_from_slice(&field.to_le_bytes());
    }
    core.extend_from_slice(&[0; 4]);
    for field in [64, 56, u16::try_from(segments.len()).unwrap(), 0, 0, 0] {
        core.extend_from_slice(&field.to_le_bytes());
    }
    for segment in segments {
        core.extend_from_slice(&segment.kind.to_le_bytes());
        core.extend_from_slice(&7_u32.to_le_bytes());
        for field in [
            segment.offset,
            segment.vaddr,
            segment.paddr,
            segment.filesz,
            segment.memsz,
            0,
        ] {
            core.extend_from_slice(&field.to_le_bytes());
        }
    }
    assert!(core.len() <= len);
    while core.len() < len {
        core.push(u8::try_from((core.len() >> 8) & 0xff).unwrap());
    }
    core
}

fn note(name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for field in [name.len(), content.len(), 0] {
        note.extend_from_slice(&u32::try_from(field).unwrap().to_le_bytes());
    }
    for part in [name, content] {
        note.extend_from_slice(part);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    note
}

#[test]
fn a_kernels_core_unsorted_unaligned_and_with_notes_at_its_end() {
    let text = b"OSRELEASE=6.1.0\nNUMBER(pgtable_l5_enabled)=1\n";
    let notes = note(b"VMCOREINFO\0", text);
    let mut bytes = core(
        &[
            // The kernel's text, a second time.
            Segment {
                vaddr: 0xffff_ffff_8100_0000,
                ..load(0x1400, 0x10_0000, 0x400)
            },
            load(0x1000, 0x10_0000, 0x1000),
            // A text segment without a physical address.
            Segment {
                paddr: u64::MAX,
                memsz: 0x2000,
                ..load(0x1000, 0, 0x1000)
            },
            load(0x0400, 0x0001_0000, 0x0c00),
            // More bytes in memory than in the file.
            Segment {
                memsz: 0x3000,
                ..load(0x2000, 0x20_0000, 0x1000)
            },
            Segment {
                kind: NOTE,
                offset: 0x3000,
                vaddr: 0,
                paddr: 0,
                filesz: u64::try_from(notes.len()).unwrap(),
                memsz: 0,
            },
        ],
        0x3000,
    );
    bytes.extend_from_slice(&notes);
    let image = elf::Reader::new(bytes).unwrap();
    let found: Vec<_> = image
        .ranges()
        .iter()
        .map(|stored| {
            (
                stored.range.start().get(),
                stored.range.len().get(),
                stored.content == Content::Data,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (0x0001_0000, 0x0c00, true),
            (0x10_0000, 0x1000, true),
            (0x20_0000, 0x1000, true),
            (0x20_1000, 0x2000, false),
        ]
    );
    assert_eq!(image.machine().direct_map_base, Some(BASE));
    assert_eq!(image.machine().paging_levels, Some(5));
    assert_eq!(image.machine().vmcoreinfo_value("OSRELEASE"), Some("6.1.0"));
    assert_eq!(image.warnings().len(), 1, "{:?}", image.warnings());

    let mut buf = [0xee; 0x200];
    let mut unreadable = Unreadables::new();
    image
        .read_phys(PhysAddr::new(0x1_0b00), &mut buf, &mut unreadable)
        .unwrap();
    assert!(buf[..0x100].iter().all(|&byte| byte == 0x0f));
    assert!(buf[0x100..].iter().all(|&byte| byte == 0));
    assert_eq!(unreadable.total().get(), 0x100);
}

/// What decides is what the notes say, not a field that writers fill carelessly.
#[test]
fn the_notes_of_a_core_say_of_which_machine_it_is() {
    let registers = |bytes: usize| {
        let mut registers = note(b"CORE\0", &vec![0; bytes]);
        registers[8] = 1; // NT_PRSTATUS
        registers
    };
    let x86 = note(b"VMCOREINFO\0", b"NUMBER(phys_base)=0\n");
    let (x86_64, aarch64) = (Some(Architecture::X86_64), Some(Architecture::Aarch64));
    let refused = Err(());
    for (machine, notes, known, has_warning) in [
        (62, registers(336), Ok(x86_64), false),
        (0, registers(336), Ok(x86_64), true),
        (183, x86, Ok(x86_64), true),
        (0, Vec::new(), Ok(None), true),
        (62, registers(392), Ok(aarch64), true),
        (183, registers(392), Ok(aarch64), false),
        (183, Vec::new(), Ok(aarch64), false),
        (62, registers(376), refused, false),
        (243, Vec::new(), refused, false),
    ] {
        let segments = [
            load(0x1000, 0x9000, 0x1000),
            Segment {
                kind: NOTE,
                filesz: u64::try_from(notes.len()).unwrap(),
                ..load(0x200, 0, 0)
            },
        ];
        let mut core = core(&segments, 0x2000);
        core[18] = machine;
        core[0x200..0x200 + notes.len()].copy_from_slice(&notes);
        let image = match elf::Reader::new(core) {
            Err(elf::Error::NotThisKind(_)) if known == refused => continue,
            image => image.unwrap(),
        };
        assert_eq!(Ok(image.machine().architecture), known, "{machine}");
        assert_eq!(!image.warnings().is_empty(), has_warning, "{machine}");
    }
}
