// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of memory that are not read: each is called by its name, with a command.

use crate::dialects::{NOTE, Segment, core, load};
use linpmem_formats::{ImageReader, elf, open_reader};

fn refusal(file: Vec<u8>) -> String {
    open_reader(file).err().unwrap().to_string()
}

#[test]
fn hypervisors_files_and_windows_dumps_are_named_with_what_to_do() {
    for (magic, name, command) in [
        (
            &b"LibvirtQemudSave"[..],
            "virsh save",
            "`virsh restore FILE --paused`",
        ),
        (
            b"LibvirtQemudPart",
            "did not finish",
            "`virsh dump --memory-only DOMAIN OUT`",
        ),
        (
            b"QEVM\0\0\0\x03",
            "migration stream",
            "dump-guest-memory OUT",
        ),
        (
            b"Xen saved domain, xl format",
            "Xen",
            "`xl restore -p FILE`",
        ),
        (
            &0xbed2_bed2_u32.to_le_bytes(),
            "VMware",
            "`vmss2core -N FILE.vmss FILE.vmem`",
        ),
        (&0xbad1_bad1_u32.to_le_bytes(), ".vmsn", "vmss2core"),
        (&0xbed2_bed0_u32.to_le_bytes(), ".vmss", "vmss2core"),
        (&0xbed3_bed3_u32.to_le_bytes(), "VMware", "vmss2core"),
        (&0xbed0_bed0_u32.to_le_bytes(), "VMware", "vmss2core"),
        (b"PAGEDU64", "Windows", "`vol -f FILE windows.info`"),
        (b"PAGEDUMP", "Windows", "WinDbg"),
    ] {
        let mut file = magic.to_vec();
        file.resize(0x2000, 0);
        let said = refusal(file);
        assert!(said.contains(name) && said.contains(command), "{said}");
        // Nothing but the magic number is needed.
        assert_eq!(refusal(magic.to_vec()), said);
    }
}

/// The core of a Xen guest: no program headers, and these sections.
fn xen(names: &[&str]) -> Vec<u8> {
    let mut text = vec![0];
    let mut sections = vec![[0_u64; 8]];
    for name in names {
        sections.push([
            u64::try_from(text.len()).unwrap(),
            0,
            0,
            0x3000,
            0x1000,
            0,
            0,
            0,
        ]);
        text.extend(name.bytes().chain([0]));
    }
    let shstrtab = sections.len();
    sections.push([0, 0, 0, 0x800, u64::try_from(text.len()).unwrap(), 0, 0, 0]);
    let mut file = core(&[], 0x4000);
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(40, &0x400_u64.to_le_bytes());
    put(58, &[64, 0]);
    put(60, &u16::try_from(sections.len()).unwrap().to_le_bytes());
    put(62, &u16::try_from(shstrtab).unwrap().to_le_bytes());
    for (index, section) in sections.iter().enumerate() {
        let at = 0x400 + index * 64;
        put(at, &section[0].to_le_bytes());
        put(at + 24, &section[3].to_le_bytes());
        put(at + 32, &section[4].to_le_bytes());
    }
    put(0x800, &text);
    file
}

#[test]
fn the_core_of_a_xen_guest_is_named_with_what_to_do() {
    for table in [".xen_p2m", ".xen_pfn"] {
        let sections = [
            ".shstrtab",
            ".note.Xen",
            ".xen_prstatus",
            ".xen_pages",
            table,
        ];
        let error = elf::Reader::new(xen(&sections)).unwrap_err();
        assert!(matches!(error, elf::Error::XenGuest), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("Xen guest") && said.contains("`crash VMLINUX FILE`"),
            "{said}"
        );
    }
    let other = elf::Reader::new(xen(&[".shstrtab", ".xen_pages_of_others"])).unwrap_err();
    assert!(matches!(other, elf::Error::Empty), "{other}");
    // Damage to any byte of the headers is no more than another error.
    let whole = xen(&[".shstrtab", ".xen_pages"]);
    for at in (40..64).chain(0x400..0x400 + 4 * 64) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        assert!(elf::Reader::new(damaged).is_err());
    }
}

/// VirtualBox's `debugvm dumpvmcore`: a core with notes of its own.
#[test]
fn a_virtualbox_core_is_read_like_any_other() {
    let mut descriptor = Vec::new();
    for field in [
        7,
        24,
        0xb00,
        u32::from_le_bytes(*b"VBCO"),
        u32::from_le_bytes(*b"RE\0\0"),
    ] {
        descriptor.extend(field.to_le_bytes());
    }
    descriptor.extend(0xc01a_c0de_u32.to_le_bytes());
    descriptor.resize(20 + 24, 0);
    let notes = Segment {
        kind: NOTE,
        filesz: u64::try_from(descriptor.len()).unwrap(),
        ..load(0x200, 0, 0)
    };
    let memory = |offset, paddr| Segment {
        vaddr: 0,
        ..load(offset, paddr, 0x1000)
    };
    // The range of a device, of which the file holds nothing.
    let device = Segment {
        filesz: 0,
        ..memory(0x3000, 0xf000_0000)
    };
    let mut file = core(
        &[notes, memory(0x1000, 0), memory(0x2000, 0x10_0000), device],
        0x3000,
    );
    file[0x200..0x200 + descriptor.len()].copy_from_slice(&descriptor);
    let image = elf::Reader::new(file).unwrap();
    let starts: Vec<u64> = image
        .ranges()
        .iter()
        .map(|stored| stored.range.start().get())
        .collect();
    assert_eq!(starts, [0, 0x10_0000, 0xf000_0000]);
    assert_eq!(image.machine().notes[0].name, b"VBCORE");
    assert!(image.warnings().is_empty(), "{:?}", image.warnings());
}
