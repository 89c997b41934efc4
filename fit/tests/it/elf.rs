// SPDX-License-Identifier: MIT OR Apache-2.0
//! ELF files, put together section by section.

use object::Endianness;
use object::build::elf::{Builder, Relocation, SectionData, SectionId, SymbolId};
use object::elf;
use std::collections::BTreeMap;

/// An ELF file for x86-64 that grows.
pub struct Elf {
    builder: Builder<'static>,
    sections: BTreeMap<String, SectionId>,
    symbols: BTreeMap<String, SymbolId>,
}

impl Elf {
    /// A file to be linked, such as a module.
    pub fn relocatable() -> Self {
        Self::new(elf::ET_REL)
    }

    /// A linked file, such as a kernel.
    pub fn executable() -> Self {
        Self::new(elf::ET_EXEC)
    }

    fn new(kind: elf::FileType) -> Self {
        let mut builder = Builder::new(Endianness::Little, true);
        builder.header.e_type = kind;
        builder.header.e_machine = elf::EM_X86_64;
        let mut own = Self {
            builder,
            sections: BTreeMap::new(),
            symbols: BTreeMap::new(),
        };
        own.table(".symtab", elf::SHT_SYMTAB, SectionData::Symbol);
        own.table(".strtab", elf::SHT_STRTAB, SectionData::String);
        own.table(".shstrtab", elf::SHT_STRTAB, SectionData::SectionString);
        let strings = own.sections[".strtab"];
        let symbols = own.builder.sections.get_mut(own.sections[".symtab"]);
        symbols.sh_link_section = Some(strings);
        symbols.sh_entsize = 24;
        own
    }

    fn table(&mut self, name: &str, kind: elf::SectionType, data: SectionData<'static>) {
        let section = self.builder.sections.add();
        section.name = name.as_bytes().to_vec().into();
        section.sh_type = kind;
        section.sh_addralign = 8;
        section.data = data;
        self.sections.insert(name.to_owned(), section.id());
    }

    pub fn section(mut self, name: &str, bytes: &[u8]) -> Self {
        let data = SectionData::Data(bytes.to_vec().into());
        self.table(name, elf::SHT_PROGBITS, data);
        let section = self.builder.sections.get_mut(self.sections[name]);
        section.sh_flags = elf::SHF_ALLOC;
        self
    }

    /// A section with an address, in a linked file.
    pub fn at(mut self, address: u64, name: &str, bytes: &[u8]) -> Self {
        self = self.section(name, bytes);
        let section = self.builder.sections.get_mut(self.sections[name]);
        section.sh_addr = address;
        self
    }

    /// A global symbol in a section, or an undefined one.
    pub fn symbol(mut self, name: &str, place: Option<(&str, u64, u64)>) -> Self {
        let section = place.map(|(section, _, _)| self.sections[section]);
        let symbol = self.builder.symbols.add();
        symbol.name = name.as_bytes().to_vec().into();
        symbol.section = section;
        if let Some((_, value, size)) = place {
            symbol.st_value = value;
            symbol.st_size = size;
        }
        symbol.set_st_info(elf::STB_GLOBAL, elf::STT_NOTYPE);
        let id = symbol.id();
        self.symbols.insert(name.to_owned(), id);
        self
    }

    /// The relocations of a section.
    pub fn relocations(
        mut self,
        of: &str,
        places: &[(u64, elf::RelocationType, &str, i64)],
    ) -> Self {
        let places = places
            .iter()
            .map(|(offset, kind, symbol, addend)| Relocation {
                r_offset: *offset,
                symbol: Some(self.symbols[*symbol]),
                r_type: *kind,
                r_addend: *addend,
            });
        let data = SectionData::Relocation(places.collect());
        let name = format!(".rela{of}");
        self.table(&name, elf::SHT_RELA, data);
        let section = self.builder.sections.get_mut(self.sections[&name]);
        section.sh_link_section = Some(self.sections[".symtab"]);
        section.sh_info_section = Some(self.sections[of]);
        section.sh_flags = elf::SHF_INFO_LINK;
        section.sh_entsize = 24;
        self
    }

    pub fn bytes(mut self) -> Vec<u8> {
        self.builder.set_section_sizes();
        let mut bytes = Vec::new();
        self.builder.write(&mut bytes).unwrap();
        bytes
    }
}
