// SPDX-License-Identifier: MIT OR Apache-2.0
//! ELF files for x86-64: kernels and modules, read without copying.

use linpmem_phys::num::u64_as_usize;
use object::LittleEndian;
use object::elf::{
    EM_AARCH64, EM_X86_64, FileHeader64, SHT_NOBITS, SHT_RELA, SHT_SYMTAB, SectionHeader64,
};
use object::read::elf::{FileHeader, Rela, SectionHeader, SectionTable, Sym, SymbolTable};

type Header = FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// An ELF file.
pub(crate) struct Elf<'a> {
    data: &'a [u8],
    sections: SectionTable<'a, Header>,
}

/// A place that is filled in with a symbol's address.
pub(crate) struct Place<'a> {
    /// Where, within its section.
    pub(crate) offset: u64,
    /// The symbol's name.
    pub(crate) symbol: &'a [u8],
}

impl<'a> Elf<'a> {
    /// Checks the header, and finds the sections.
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, String> {
        let text = |error: object::read::Error| error.to_string();
        let header = Header::parse(data).map_err(text)?;
        header
            .endian()
            .map_err(|_| "it is for big-endian machines")?;
        let machine = header.e_machine(LE);
        if machine != EM_X86_64 {
            let name = if machine == EM_AARCH64 {
                "arm64".to_owned()
            } else {
                format!("another architecture (ELF machine {})", machine.0)
            };
            return Err(format!(
                "it is for {name}, and the prebuilt module is for x86-64"
            ));
        }
        let sections = header.sections(LE, data).map_err(text)?;
        if sections.is_empty() {
            return Err("it has no section table".to_owned());
        }
        Ok(Self { data, sections })
    }

    fn header(&self, name: &str) -> Option<&'a SectionHeader64<LittleEndian>> {
        let found = self.sections.section_by_name(LE, name.as_bytes());
        found.map(|(_, header)| header)
    }

    /// The bytes of the section `name`, empty if it has none in the file.
    pub(crate) fn section(&self, name: &str) -> Option<&'a [u8]> {
        self.header(name)?.data(LE, self.data).ok()
    }

    /// How large the section `name` is in memory.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        Some(self.header(name)?.sh_size(LE))
    }

    /// The virtual address of the section `name`.
    pub(crate) fn address(&self, name: &str) -> Option<u64> {
        Some(self.header(name)?.sh_addr(LE))
    }

    /// The bytes from virtual address `address` to the end of its section.
    pub(crate) fn at(&self, address: u64) -> Option<&'a [u8]> {
        let section = self.sections.iter().find(|section| {
            let start = section.sh_addr(LE);
            let inside = address.checked_sub(start);
            start != 0
                && section.sh_type(LE) != SHT_NOBITS
                && inside.is_some_and(|inside| inside < section.sh_size(LE))
        })?;
        let bytes: &'a [u8] = section.data(LE, self.data).ok()?;
        bytes.get(u64_as_usize(address.checked_sub(section.sh_addr(LE))?)..)
    }

    fn symbols(&self) -> Option<SymbolTable<'a, Header>> {
        self.sections.symbols(LE, self.data, SHT_SYMTAB).ok()
    }

    /// The names of the symbols.
    pub(crate) fn symbol_names(&self) -> impl Iterator<Item = &'a [u8]> {
        let symbols = self.symbols().unwrap_or_default();
        let strings = symbols.strings();
        let all: &'a [_] = symbols.symbols();
        all.iter()
            .filter_map(move |symbol| symbol.name(LE, strings).ok())
    }

    /// The relocations of the section `name`.
    pub(crate) fn relocations(&self, name: &str) -> Option<Vec<Place<'a>>> {
        let (index, _) = self.sections.section_by_name(LE, name.as_bytes())?;
        let symbols = self.symbols()?;
        let tables = self
            .sections
            .iter()
            .filter(|table| table.sh_type(LE) == SHT_RELA && table.info_link(LE) == index);
        let mut places = Vec::new();
        for table in tables {
            let (entries, _) = table.rela(LE, self.data).ok()??;
            for entry in entries {
                let symbol = symbols.symbol(entry.symbol(LE, false)?).ok()?;
                places.push(Place {
                    offset: entry.r_offset(LE),
                    symbol: symbols.symbol_name(LE, symbol).ok()?,
                });
            }
        }
        Some(places)
    }
}
