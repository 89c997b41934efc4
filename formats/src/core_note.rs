// SPDX-License-Identifier: MIT OR Apache-2.0
//! Notes of ELF cores and kdump images, and the machine that they are of. Writers fill the
//! field for the machine in a header carelessly; the notes are data of the machine itself.

use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::notes::{self, NoteAlign, NoteHeader, NoteTooLong};
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::num::usize_as_u64;

/// A note of an ELF core or a kdump image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreNote {
    /// Who defines the type: `CORE`, `QEMU`. Without the zero byte at its end.
    pub name: Vec<u8>,
    /// The type.
    pub kind: u32,
    /// The content.
    pub content: Vec<u8>,
}

/// Owner and type of the note with the registers of a processor (`NT_PRSTATUS` of
/// include/uapi/linux/elf.h).
const REGISTERS: (&[u8], u32) = (b"CORE", 1);

impl CoreNote {
    /// Whether it holds the registers of a processor (`NT_PRSTATUS`).
    #[must_use]
    pub fn is_registers(&self) -> bool {
        (self.name.as_slice(), self.kind) == REGISTERS
    }

    /// Size of the whole note, including padding.
    pub(crate) fn padded_bytes(&self) -> Result<u64, NoteTooLong> {
        let content = usize_as_u64(self.content.len());
        let header = NoteHeader::new(&self.name, self.kind, content)?;
        Ok(header.padded_bytes(NoteAlign::Four))
    }

    pub(crate) fn append_to(&self, target: &mut Vec<u8>) -> Result<(), NoteTooLong> {
        notes::append(target, &self.name, self.kind, &self.content)
    }
}

/// The machine that notes are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// One that this project knows.
    Known(Architecture),
    /// Any other.
    Other,
}

/// Sizes of `struct elf_prstatus` on other machines: riscv64, ppc64, i686 and arm.
const OTHER_REGISTERS: [usize; 4] = [376, 504, 144, 148];

/// The architecture of the machine that has these `notes` and this VMCOREINFO text;
/// `None` if they do not tell.
pub(crate) fn architecture(notes: &[CoreNote], vmcoreinfo: Option<&[u8]>) -> Option<Noted> {
    if let Some(known) = vmcoreinfo.and_then(|text| Vmcoreinfo::new(text).architecture()) {
        return Some(Noted::Known(known));
    }
    let registers = notes.iter().find(|note| note.is_registers())?;
    let bytes = registers.content.len();
    let mut all = Architecture::ALL.into_iter();
    if let Some(known) = all.find(|known| known.registers_bytes() == bytes) {
        return Some(Noted::Known(known));
    }
    OTHER_REGISTERS.contains(&bytes).then_some(Noted::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_known_by_its_data() {
        let registers = |bytes| CoreNote {
            name: b"CORE".to_vec(),
            kind: 1,
            content: vec![0; bytes],
        };
        let x86: &[u8] = b"OSRELEASE=1\nNUMBER(phys_base)=0\n";
        let arm: &[u8] = b"OSRELEASE=1\nNUMBER(kimage_voffset)=0x1\n";
        assert_eq!(architecture(&[], None), None);
        assert_eq!(architecture(&[], Some(b"OSRELEASE=1\n")), None);
        let [x86_64, aarch64] = Architecture::ALL.map(|known| Some(Noted::Known(known)));
        assert_eq!(architecture(&[], Some(x86)), x86_64);
        assert_eq!(architecture(&[], Some(arm)), aarch64);
        assert_eq!(architecture(&[registers(336)], None), x86_64);
        assert_eq!(architecture(&[registers(392)], None), aarch64);
        assert_eq!(architecture(&[registers(376)], None), Some(Noted::Other));
        assert_eq!(architecture(&[registers(7)], None), None);
        // The kernel's own word counts for more.
        assert_eq!(architecture(&[registers(392)], Some(x86)), x86_64);
        let other = CoreNote {
            name: b"QEMU".to_vec(),
            ..registers(392)
        };
        assert_eq!(architecture(&[other], None), None);
    }
}
