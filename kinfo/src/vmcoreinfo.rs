// SPDX-License-Identifier: MIT OR Apache-2.0
//! VMCOREINFO, the note in which a kernel describes itself to crash and makedumpfile
//! (Documentation/admin-guide/kdump/vmcoreinfo.rst).
//!
//! The note's text has a line for each fact:
//!
//! | line | value | meaning |
//! |---|---|---|
//! | `OSRELEASE=6.12.1`, `BUILD-ID=…` | text | the kernel |
//! | `PAGESIZE=4096` | decimal | bytes of a page |
//! | `SYMBOL(x)=ffffffff81000000` | hexadecimal | the address of a variable |
//! | `SIZE(x)`, `OFFSET(x.y)`, `LENGTH(x)` | decimal | of structs, members and arrays |
//! | `NUMBER(x)=-469762048` | decimal with sign, or 0x… | any other number |
//! | `KERNELOFFSET=1c000000` | hexadecimal | how far KASLR moved the kernel |

use crate::layout::{Architecture, KernelImage, aarch64};
use crate::notes::Notes;
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, hex};

/// The owner of the note (`VMCOREINFO_NOTE_NAME` in include/linux/vmcore_info.h).
pub const NOTE_NAME: &[u8] = b"VMCOREINFO";
/// The note's type.
pub const NOTE_KIND: u32 = 0;
/// A longer text is not VMCOREINFO: the kernel limits it to a page, which has at most
/// 64 KiB.
pub const MAX_BYTES: u64 = 1 << 20;

/// The text of a VMCOREINFO note. It may come from a damaged or forged image: every
/// lookup takes time in proportion to its length, and what is not as the kernel
/// writes it is not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vmcoreinfo<'a> {
    text: &'a [u8],
}

impl<'a> Vmcoreinfo<'a> {
    /// The note's content, up to its first zero byte: some kernels give the whole
    /// page that holds it.
    #[must_use]
    pub fn new(content: &'a [u8]) -> Self {
        let end = content.iter().position(|&byte| byte == 0);
        let text = end.and_then(|end| content.get(..end)).unwrap_or(content);
        Self { text }
    }

    /// The first VMCOREINFO note among `notes`. Damage after it does not matter, and
    /// a note without text counts as none.
    #[must_use]
    pub fn from_notes(notes: Notes<'a>) -> Option<Self> {
        let note = notes
            .map_while(Result::ok)
            .find(|note| note.name == NOTE_NAME && note.kind == NOTE_KIND)?;
        Some(Self::new(note.content)).filter(|found| !found.text.is_empty())
    }

    /// The text.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.text
    }

    /// Keys and values, line by line. Lines without a `=`, and lines that are not text, are
    /// skipped.
    pub fn lines(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.text
            .split(|&byte| byte == b'\n')
            .filter_map(|line| std::str::from_utf8(line).ok()?.split_once('='))
    }

    /// What follows `KEY=` on the first such line: `value("OSRELEASE")`,
    /// `value("NUMBER(phys_base)")`.
    #[must_use]
    pub fn value(self, key: &str) -> Option<&'a str> {
        self.find(|line| line.strip_prefix(key.as_bytes()))
    }

    /// The address of the variable `name`.
    #[must_use]
    pub fn symbol(self, name: &str) -> Option<u64> {
        hex::parse_u64(self.function("SYMBOL", name)?)
    }

    /// `NUMBER(name)`. Architectures print some of these numbers with a sign, and
    /// others as 0x… without one; those above 2^63 come out negative.
    #[must_use]
    pub fn number(self, name: &str) -> Option<i64> {
        let text = self.function("NUMBER", name)?;
        match hex::parse_prefixed_u64(text) {
            Some(unsigned) => Some(i64::from_ne_bytes(unsigned.to_ne_bytes())),
            None => signed(text),
        }
    }

    /// The bytes of the struct `name`.
    #[must_use]
    pub fn size(self, name: &str) -> Option<u64> {
        unsigned(self.function("SIZE", name)?)
    }

    /// Where the member `name`, written `STRUCT.MEMBER`, begins, in bytes.
    #[must_use]
    pub fn offset(self, name: &str) -> Option<u64> {
        unsigned(self.function("OFFSET", name)?)
    }

    /// The elements of the array `name`.
    #[must_use]
    pub fn length(self, name: &str) -> Option<u64> {
        unsigned(self.function("LENGTH", name)?)
    }

    /// The kernel's release, as `uname -r` prints it.
    #[must_use]
    pub fn release(self) -> Option<&'a str> {
        self.value("OSRELEASE")
    }

    /// The build id of vmlinux, hexadecimal (since Linux 5.9).
    #[must_use]
    pub fn build_id(self) -> Option<&'a str> {
        self.value("BUILD-ID")
    }

    /// Bytes of a page.
    #[must_use]
    pub fn page_size(self) -> Option<u64> {
        unsigned(self.value("PAGESIZE")?)
    }

    /// How far KASLR moved the kernel's text.
    #[must_use]
    pub fn kaslr_offset(self) -> Option<u64> {
        hex::parse_u64(self.value("KERNELOFFSET")?)
    }

    /// x86-64's `phys_base`, which is negative where KASLR moved the mapping of the
    /// kernel's image further than the image itself.
    #[must_use]
    pub fn phys_base(self) -> Option<i64> {
        self.number("phys_base")
    }

    /// The difference between virtual and physical addresses of an arm64 kernel's image.
    #[must_use]
    pub fn kimage_voffset(self) -> Option<u64> {
        self.bits("kimage_voffset")
    }

    /// The bits of a virtual address of an arm64 kernel, as the machine uses them: a kernel
    /// that was built for 52 (`VA_BITS`) uses 48 on a processor without more, and says so
    /// by the size of the half that it leaves out (`T1SZ`).
    #[must_use]
    pub fn va_bits(self) -> Option<u32> {
        let bits = match self.number("TCR_EL1_T1SZ") {
            Some(left_out) => 64_i64.checked_sub(left_out)?,
            None => self.number("VA_BITS")?,
        };
        u32::try_from(bits)
            .ok()
            .filter(|bits| (1..64).contains(bits))
    }

    /// The bits of a kernel pointer that an arm64 processor can use to sign it: they have
    /// to be set again before it is followed.
    #[must_use]
    pub fn pointer_auth_mask(self) -> Option<u64> {
        self.bits("KERNELPACMASK").filter(|&mask| mask != 0)
    }

    /// The architecture of the kernel; `None` if it is none that this project knows
    /// (Documentation/admin-guide/kdump/vmcoreinfo.rst tells which machines export what).
    #[must_use]
    pub fn architecture(self) -> Option<Architecture> {
        let has = |name| self.function("NUMBER", name).is_some();
        if has("phys_base") {
            Some(Architecture::X86_64)
        } else if has("kimage_voffset") {
            Some(Architecture::Aarch64)
        } else {
            None
        }
    }

    /// Levels of the page tables: 4 or 5 on x86-64, and 2 to 5 on arm64.
    #[must_use]
    pub fn paging_levels(self) -> Option<u32> {
        if self.architecture() == Some(Architecture::Aarch64) {
            return aarch64::paging_levels(self.va_bits()?, self.page_size()?);
        }
        match self.value("NUMBER(pgtable_l5_enabled)")? {
            "0" => Some(4),
            "1" => Some(5),
            _ => None,
        }
    }

    /// The position of the kernel's image in physical memory; `None` for kernels whose
    /// architecture is not known.
    #[must_use]
    pub fn kernel_image(self) -> Option<KernelImage> {
        match self.architecture()? {
            Architecture::X86_64 => self.phys_base().map(KernelImage::x86_64),
            Architecture::Aarch64 => self.kimage_voffset().map(KernelImage::aarch64),
        }
    }

    /// The physical address of the kernel's own top page table.
    #[must_use]
    pub fn kernel_page_table(self) -> Option<PhysAddr> {
        self.kernel_image()?.phys(self.symbol("swapper_pg_dir")?)
    }

    /// `NUMBER(name)` as 64 bits.
    fn bits(self, name: &str) -> Option<u64> {
        let number = self.number(name)?;
        Some(u64::from_ne_bytes(number.to_ne_bytes()))
    }

    /// What follows `function(name)=`.
    fn function(self, function: &str, name: &str) -> Option<&'a str> {
        self.find(|line| {
            let rest = line.strip_prefix(function.as_bytes())?;
            rest.strip_prefix(b"(")?
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b")")
        })
    }

    /// What follows the key that `strip_key` removes, and its `=`.
    fn find(self, strip_key: impl Fn(&'a [u8]) -> Option<&'a [u8]>) -> Option<&'a str> {
        let value = self
            .text
            .split(|&byte| byte == b'\n')
            .find_map(|line| strip_key(line)?.strip_prefix(b"="))?;
        std::str::from_utf8(value).ok()
    }
}

/// The location of the note in physical memory, from the text of /sys/kernel/vmcoreinfo
/// (`vmcoreinfo_show` in kernel/ksysfs.c): `0xADDRESS SIZE`. The size is hexadecimal
/// too, although it has no prefix. `None` if the text is anything else.
#[must_use]
pub fn parse_location(text: &str) -> Option<PhysRange> {
    let mut words = text.split_ascii_whitespace();
    let mut number = || {
        let word = words.next()?;
        hex::parse_u64(word.strip_prefix("0x").unwrap_or(word))
    };
    let (start, len) = (number()?, number()?);
    PhysRange::from_len(PhysAddr::new(start), PhysLen::new(len)).ok()
}

/// `parse` of the standard library accepts a leading `+`, which the kernel never
/// prints.
fn signed(text: &str) -> Option<i64> {
    (!text.starts_with('+'))
        .then(|| text.parse().ok())
        .flatten()
}

fn unsigned(text: &str) -> Option<u64> {
    (!text.starts_with('+'))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notes;

    const TEXT: &[u8] = b"OSRELEASE=6.12.1\nBUILD-ID=01abcd\nPAGESIZE=4096\n\
        SYMBOL(swapper_pg_dir)=ffffffff9ec36000\nSIZE(list_head)=16\n\
        OFFSET(list_head.next)=0\nOFFSET(page.lru)=8\nLENGTH(free_area.free_list)=6\n\
        NUMBER(phys_base)=-469762048\nNUMBER(pgtable_l5_enabled)=1\n\
        NUMBER(kimage_voffset)=0xffff800040000000\nKERNELOFFSET=1c000000\n\
        CONFIG(X86_64)=y\nCRASHTIME=1700000000\n";

    #[test]
    fn every_kind_of_line_is_understood() {
        let info = Vmcoreinfo::new(TEXT);
        assert_eq!(info.release(), Some("6.12.1"));
        assert_eq!(info.build_id(), Some("01abcd"));
        assert_eq!(info.page_size(), Some(4096));
        assert_eq!(info.symbol("swapper_pg_dir"), Some(0xffff_ffff_9ec3_6000));
        assert_eq!(info.size("list_head"), Some(16));
        assert_eq!(info.offset("page.lru"), Some(8));
        assert_eq!(info.length("free_area.free_list"), Some(6));
        assert_eq!(info.phys_base(), Some(-0x1c00_0000));
        assert_eq!(info.paging_levels(), Some(5));
        assert_eq!(info.kaslr_offset(), Some(0x1c00_0000));
        assert_eq!(info.kernel_page_table(), Some(PhysAddr::new(0x2c3_6000)));
        assert_eq!(info.number("kimage_voffset"), Some(-0x7fff_c000_0000));
        assert_eq!(info.value("CONFIG(X86_64)"), Some("y"));
        assert_eq!(info.lines().count(), 14);
        assert_eq!(info.lines().next(), Some(("OSRELEASE", "6.12.1")));
    }

    /// What Linux 7.3 writes on arm64, on a processor with 48 of the 52 bits.
    const ARM64: &[u8] = b"OSRELEASE=7.3.4-arm64\nPAGESIZE=4096\n\
        SYMBOL(swapper_pg_dir)=ffff800081a35000\nNUMBER(VA_BITS)=52\n\
        NUMBER(kimage_voffset)=0xffff800040000000\nNUMBER(PHYS_OFFSET)=0xfff0ed1980000000\n\
        NUMBER(TCR_EL1_T1SZ)=0x10\nKERNELOFFSET=200000\nNUMBER(KERNELPACMASK)=0x7f000000000000\n";

    #[test]
    fn arm64_kernels_are_understood() {
        let info = Vmcoreinfo::new(ARM64);
        assert_eq!(info.architecture(), Some(Architecture::Aarch64));
        // Not what the kernel was built for.
        assert_eq!((info.va_bits(), info.paging_levels()), (Some(48), Some(4)));
        assert_eq!(info.kimage_voffset(), Some(0xffff_8000_4000_0000));
        assert_eq!(info.kernel_page_table(), Some(PhysAddr::new(0x41a3_5000)));
        assert_eq!(info.kaslr_offset(), Some(0x20_0000));
        assert_eq!(info.pointer_auth_mask(), Some(0x7f_0000_0000_0000));
        assert_eq!(info.phys_base(), None);

        let with = |from: &str, to: &str| String::from_utf8_lossy(ARM64).replace(from, to);
        let wide = with("T1SZ)=0x10", "T1SZ)=0xc");
        let wide = Vmcoreinfo::new(wide.as_bytes());
        assert_eq!((wide.va_bits(), wide.paging_levels()), (Some(52), Some(5)));
        // Before Linux 5.7, it is not there.
        let old = with("NUMBER(TCR_EL1_T1SZ)=0x10\n", "").replace("BITS)=52", "BITS)=39");
        let old = Vmcoreinfo::new(old.as_bytes());
        assert_eq!((old.va_bits(), old.paging_levels()), (Some(39), Some(3)));
        for impossible in ["T1SZ)=0x0", "T1SZ)=0x41", "T1SZ)=-9223372036854775808"] {
            let text = with("T1SZ)=0x10", impossible);
            let info = Vmcoreinfo::new(text.as_bytes());
            assert_eq!(
                (info.va_bits(), info.paging_levels()),
                (None, None),
                "{impossible}"
            );
        }
        let no_mask = with("0x7f000000000000", "0x0");
        assert_eq!(
            Vmcoreinfo::new(no_mask.as_bytes()).pointer_auth_mask(),
            None
        );
    }

    #[test]
    fn keys_are_whole_and_the_first_line_counts() {
        let info = Vmcoreinfo::new(b"XOSRELEASE=1\nOSRELEASEX=2\nOSRELEASE=3\nOSRELEASE=4\n");
        assert_eq!(info.release(), Some("3"));
        assert_eq!(info.value("OSREL"), None);
        assert_eq!(Vmcoreinfo::new(b"SYMBOL(ab)=1\n").symbol("a"), None);
    }

    #[test]
    fn nothing_is_made_up() {
        for text in [
            &b""[..],
            b"=",
            b"KERNELOFFSET",
            b"KERNELOFFSET=",
            b"KERNELOFFSET=0x10",
            b"KERNELOFFSET=+10",
            b"KERNELOFFSET=11111111111111111",
            b"KERNELOFFSET=\xff",
            b"XKERNELOFFSET=1",
            b"NUMBER(phys_base)=x\nSYMBOL(swapper_pg_dir)=ffffffff81000000",
            b"NUMBER(phys_base)=+1\nSYMBOL(swapper_pg_dir)=ffffffff81000000",
            b"NUMBER(phys_base)=0\nSYMBOL(swapper_pg_dir)=1000",
            b"SYMBOL(swapper_pg_dir)=ffffffff81000000",
            b"NUMBER(pgtable_l5_enabled)=2",
            b"PAGESIZE=-1",
            b"PAGESIZE=99999999999999999999",
            b"\xff\xfe\0OSRELEASE=1",
        ] {
            let info = Vmcoreinfo::new(text);
            let facts = (info.kaslr_offset(), info.kernel_page_table());
            assert_eq!(facts, (None, None), "{text:?}");
            let facts = (info.paging_levels(), info.page_size(), info.release());
            assert_eq!(facts, (None, None, None), "{text:?}");
        }
    }

    #[test]
    fn what_follows_a_zero_byte_is_padding() {
        let info = Vmcoreinfo::new(b"OSRELEASE=1\n\0\0PAGESIZE=4096\n");
        assert_eq!(info.as_bytes(), b"OSRELEASE=1\n");
        assert_eq!(info.page_size(), None);
    }

    #[test]
    fn the_first_note_with_text_counts() {
        let found = |all: &[(&[u8], u32, &[u8])]| {
            let mut bytes = Vec::new();
            for (name, kind, content) in all {
                notes::append(&mut bytes, name, *kind, content).unwrap();
            }
            Vmcoreinfo::from_notes(Notes::new(&bytes)).map(|info| info.as_bytes().to_vec())
        };
        let core: (&[u8], u32, &[u8]) = (b"CORE", 1, &[7; 336]);
        let right: (&[u8], u32, &[u8]) = (NOTE_NAME, NOTE_KIND, b"OSRELEASE=1\n\0\0");
        assert_eq!(found(&[core, right]).unwrap(), b"OSRELEASE=1\n");
        assert_eq!(
            found(&[core, (NOTE_NAME, 1, b"x"), (b"VMCOREINF", 0, b"x")]),
            None
        );
        assert_eq!(found(&[(NOTE_NAME, NOTE_KIND, b"")]), None);
        assert_eq!(found(&[(NOTE_NAME, NOTE_KIND, b"\0\0")]), None);
    }

    #[test]
    fn both_numbers_of_the_location_are_hexadecimal() {
        let place = parse_location("0x000000010f2a1000 1024\n").unwrap();
        assert_eq!(place.start().get(), 0x1_0f2a_1000);
        assert_eq!(place.len().get(), 0x1024);
        for text in [
            "",
            "0x1000",
            "x 1",
            "0x1000 0",
            "0x1000 +1",
            "0xffffffffffffffff 2",
        ] {
            assert_eq!(parse_location(text), None, "{text}");
        }
    }
}
