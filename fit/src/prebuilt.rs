// SPDX-License-Identifier: MIT OR Apache-2.0
//! The prebuilt module, taken apart, and put together again as a module for one kernel.

use crate::error::FitError;
use crate::imports::{Binding, WITHOUT};
use crate::module_file::{THIS_MODULE, ThisModule, VERSION_RECORD, VERSIONS};
use crate::returns::{self, Site};
use linpmem_core::layout::{
    FAULT, FAULTS_SECTION, LAYOUT_SYMBOL, Layout, RELEASE_ROOM, RELEASE_SYMBOL, USER_ACCESS,
};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use object::build::ByteString;
use object::build::elf::{Builder, Relocation, SectionData, SectionId, SymbolId};
use object::elf;
use std::collections::BTreeMap;

/// The symbol of the kernel's `struct module` for this module.
const SELF: &str = "__this_module";

/// The name under which the kernel knows the module.
const NAME: &str = "linpmem";

/// The parameters' section.
pub(crate) const PARAMETERS: &str = "__param";

/// The bytes of an entry of the section with the places that may fault.
const FAULT_ENTRY: usize = 12;

/// The largest alignment of a section: a page.
const MAX_ALIGN: u64 = 4096;

/// How entries for places that may fault are marked in this kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FaultMarks {
    /// By the number of a type.
    Types {
        /// For `FAULT`.
        fault: u32,
        /// For `USER_ACCESS`.
        user_access: u32,
    },
    /// By a function of the kernel.
    Handlers {
        /// For `FAULT`.
        fault: &'static str,
        /// For `USER_ACCESS`.
        user_access: &'static str,
    },
}

/// The prebuilt module.
pub(crate) struct Prebuilt<'a> {
    builder: Builder<'a>,
    layout: SymbolId,
    release: SymbolId,
    init: SymbolId,
    exit: SymbolId,
    /// Undefined symbols by name.
    imports: BTreeMap<String, SymbolId>,
    /// Defined symbols that take the place of imports, by the import.
    substitutes: BTreeMap<String, SymbolId>,
}

/// An import that the kernel checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) name: String,
    pub(crate) crc: u32,
}

impl<'a> Prebuilt<'a> {
    /// Takes the object apart.
    pub(crate) fn parse(object: &'a [u8]) -> Result<Self, FitError> {
        let mut builder = Builder::read64(object).map_err(|error| bad(error.to_string()))?;
        if builder.endian != object::Endianness::Little
            || builder.header.e_machine != elf::EM_X86_64
            || builder.header.e_type != elf::ET_REL
        {
            return Err(bad("it is not a relocatable ELF file for x86-64"));
        }
        // What is written takes space in proportion to these.
        if !builder.segments.is_empty() {
            return Err(bad("it has program headers, which no relocatable file has"));
        }
        for section in builder.sections.iter_mut() {
            // 0 means the same as 1, and the writer wants a power of two.
            section.sh_addralign = section.sh_addralign.max(1);
            let align = section.sh_addralign;
            if align > MAX_ALIGN || !align.is_power_of_two() {
                return Err(bad(format!(
                    "its section {} is to be aligned to {align:#x} bytes: no power of two up to \
                     {MAX_ALIGN:#x}",
                    section.name
                )));
            }
        }
        let mut imports = BTreeMap::new();
        let mut defined = BTreeMap::new();
        for symbol in &builder.symbols {
            let is_undefined = symbol.section.is_none() && symbol.st_shndx == elf::SHN_UNDEF;
            let name = match std::str::from_utf8(&symbol.name) {
                Ok(name) => name.to_owned(),
                Err(_) => return Err(bad("a symbol's name is no text")),
            };
            if name.is_empty() {
                continue;
            }
            let twice = match (is_undefined, symbol.section) {
                (true, _) => imports.insert(name.clone(), symbol.id()),
                (false, Some(_)) if symbol.st_bind() != elf::STB_LOCAL => {
                    defined.insert(name.clone(), symbol.id())
                }
                _ => None,
            };
            if twice.is_some() {
                return Err(bad(format!("the symbol {name} is there twice")));
            }
        }
        let need = |name: &str| {
            let found = defined.get(name).copied();
            found.ok_or_else(|| bad(format!("it has no symbol {name}")))
        };
        let substitutes = defined.iter().filter_map(|(name, id)| {
            let import = name.strip_prefix(WITHOUT)?;
            Some((import.to_owned(), *id))
        });
        for name in [THIS_MODULE, VERSIONS] {
            if section(&builder, name).is_some() {
                return Err(bad(format!(
                    "it has a section {name}: it was fitted already"
                )));
            }
        }
        Ok(Self {
            layout: need(LAYOUT_SYMBOL)?,
            release: need(RELEASE_SYMBOL)?,
            init: need("init_module")?,
            exit: need("cleanup_module")?,
            substitutes: substitutes.collect(),
            imports,
            builder,
        })
    }

    /// What it imports from the kernel.
    pub(crate) fn imports(&self) -> impl Iterator<Item = &str> {
        let names = self.imports.keys().map(String::as_str);
        names.filter(|name| *name != SELF)
    }

    /// Whether it has a substitute for an import.
    pub(crate) fn has_substitute(&self, import: &str) -> bool {
        self.substitutes.contains_key(import)
    }

    /// Whether it has a section of that name.
    pub(crate) fn has_section(&self, name: &str) -> bool {
        section(&self.builder, name).is_some()
    }

    /// Fills in the table of facts.
    pub(crate) fn set_layout(&mut self, layout: &Layout) -> Result<(), FitError> {
        let values = layout.values();
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.fill(LAYOUT_SYMBOL, self.layout, &bytes)
    }

    /// Fills in the release of the kernel that the facts are of.
    pub(crate) fn set_release(&mut self, release: &str) -> Result<(), FitError> {
        let mut bytes = release.as_bytes().to_vec();
        if bytes.len() >= RELEASE_ROOM {
            let why = format!("the release {release} is longer than any kernel's");
            return Err(FitError::Object(why));
        }
        bytes.resize(RELEASE_ROOM, 0);
        self.fill(RELEASE_SYMBOL, self.release, &bytes)
    }

    /// Fills the room that the symbol `name` has.
    fn fill(&mut self, name: &str, symbol: SymbolId, bytes: &[u8]) -> Result<(), FitError> {
        let symbol = self.builder.symbols.get(symbol);
        let (start, size) = (u64_as_usize(symbol.st_value), u64_as_usize(symbol.st_size));
        let Some(id) = symbol.section else {
            return Err(bad(format!("{name} is in no section")));
        };
        if size != bytes.len() {
            return Err(bad(format!(
                "its {name} has {size} bytes, but this program fills in {}: the two are of \
                 different versions",
                bytes.len()
            )));
        }
        let SectionData::Data(data) = &mut self.builder.sections.get_mut(id).data else {
            return Err(bad(format!("{name} has no bytes in the file")));
        };
        let place = start
            .checked_add(size)
            .and_then(|end| data.to_mut().get_mut(start..end));
        let Some(place) = place else {
            return Err(bad(format!("{name} ends outside its section")));
        };
        if place.iter().any(|byte| *byte != 0) {
            return Err(bad(format!("its {name} is filled in already")));
        }
        place.copy_from_slice(bytes);
        Ok(())
    }

    /// Binds an import.
    pub(crate) fn bind(&mut self, import: &str, binding: &Binding) -> Result<(), FitError> {
        let Some(id) = self.imports.get(import).copied() else {
            return Err(bad(format!("it does not import {import}")));
        };
        match binding {
            Binding::Kernel(name) => {
                let taken = self.imports.get(name).is_some_and(|other| *other != id);
                if taken {
                    return Err(bad(format!("it imports both {import} and {name}")));
                }
                let symbol = self.builder.symbols.get_mut(id);
                symbol.name = ByteString::from(name.clone().into_bytes());
                // The kernel resolves an undefined weak symbol to 0 if it is missing.
                symbol.set_st_info(elf::STB_GLOBAL, elf::STT_NOTYPE);
            }
            Binding::Substitute => {
                let Some(own) = self.substitutes.get(import) else {
                    return Err(bad(format!("it has no {WITHOUT}{import}")));
                };
                let own = self.builder.symbols.get(*own);
                let (section, value, size) = (own.section, own.st_value, own.st_size);
                let kind = own.st_type();
                let symbol = self.builder.symbols.get_mut(id);
                symbol.section = section;
                symbol.st_value = value;
                symbol.st_size = size;
                symbol.set_st_info(elf::STB_LOCAL, kind);
            }
        }
        Ok(())
    }

    /// Adds to `.modinfo`, whose fields end with zero bytes.
    pub(crate) fn add_info(&mut self, fields: &[(&str, &str)]) -> Result<(), FitError> {
        let id = section(&self.builder, ".modinfo").ok_or_else(|| bad("it has no .modinfo"))?;
        let SectionData::Data(data) = &mut self.builder.sections.get_mut(id).data else {
            return Err(bad("its .modinfo has no bytes"));
        };
        let bytes = data.to_mut();
        if bytes.last().is_some_and(|last| *last != 0) {
            return Err(bad("its .modinfo does not end with a zero byte"));
        }
        for (name, value) in fields {
            if value.bytes().any(|byte| byte == 0) {
                return Err(bad(format!("{name} has a zero byte in it")));
            }
            bytes.extend_from_slice(format!("{name}={value}\0").as_bytes());
        }
        Ok(())
    }

    /// Adds the module's `struct module`, of which the kernel fills in the most.
    pub(crate) fn add_this_module(
        &mut self,
        place: ThisModule,
        name_offset: u64,
        name_room: u64,
    ) -> Result<(), FitError> {
        let size = u64_as_usize(place.size);
        let mut bytes = vec![0; size];
        let start = u64_as_usize(name_offset);
        let fits = usize_as_u64(NAME.len()) < name_room;
        let room = bytes
            .get_mut(start..)
            .and_then(|rest| rest.get_mut(..NAME.len()));
        match room {
            Some(room) if fits => room.copy_from_slice(NAME.as_bytes()),
            _ => return Err(bad("its name does not fit struct module")),
        }
        let id = add_section(
            &mut self.builder,
            THIS_MODULE,
            elf::SHF_ALLOC | elf::SHF_WRITE,
            64,
            bytes,
        );
        let pointer = |offset, symbol| Relocation {
            r_offset: offset,
            symbol: Some(symbol),
            r_type: elf::R_X86_64_64,
            r_addend: 0,
        };
        let mut places = vec![pointer(place.init, self.init)];
        places.extend(place.exit.map(|exit| pointer(exit, self.exit)));
        add_relocations(
            &mut self.builder,
            &format!(".rela{THIS_MODULE}"),
            id,
            places,
        )?;

        let known = self.imports.get(SELF).copied();
        let symbol = match known {
            Some(known) => self.builder.symbols.get_mut(known),
            None => self.builder.symbols.add(),
        };
        symbol.name = ByteString::from(SELF);
        symbol.section = Some(id);
        symbol.st_value = 0;
        symbol.st_size = place.size;
        symbol.set_st_info(elf::STB_GLOBAL, elf::STT_OBJECT);
        Ok(())
    }

    /// Adds the checksums of the imports.
    pub(crate) fn add_versions(&mut self, checksums: &[Checksum]) -> Result<(), FitError> {
        let mut bytes = Vec::new();
        for Checksum { name, crc } in checksums {
            // 8 bytes for the checksum, the name, and a zero byte.
            if name.len() > VERSION_RECORD - 9 {
                return Err(bad(format!("the name {name} is too long for a checksum")));
            }
            let start = bytes.len();
            bytes.extend_from_slice(&u64::from(*crc).to_le_bytes());
            bytes.extend_from_slice(name.as_bytes());
            bytes.resize(start + VERSION_RECORD, 0);
        }
        add_section(&mut self.builder, VERSIONS, elf::SHF_ALLOC, 32, bytes);
        Ok(())
    }

    /// Marks the places that may fault as this kernel does.
    pub(crate) fn mark_faults(&mut self, marks: &FaultMarks) -> Result<(), FitError> {
        let Some(id) = section(&self.builder, FAULTS_SECTION) else {
            return Ok(());
        };
        let mut handlers = Vec::new();
        {
            let SectionData::Data(data) = &mut self.builder.sections.get_mut(id).data else {
                return Err(bad(format!("its {FAULTS_SECTION} has no bytes")));
            };
            let bytes = data.to_mut();
            if bytes.len() % FAULT_ENTRY != 0 {
                return Err(bad(format!(
                    "its {FAULTS_SECTION} has {} bytes, which is no multiple of {FAULT_ENTRY}",
                    bytes.len()
                )));
            }
            let entries = bytes.chunks_exact_mut(FAULT_ENTRY);
            for (entry, at) in entries.zip((0..).step_by(FAULT_ENTRY)) {
                let Some(word) = entry.last_chunk_mut::<4>() else {
                    continue;
                };
                let is_fault = match u32::from_le_bytes(*word) {
                    FAULT => true,
                    USER_ACCESS => false,
                    other => {
                        return Err(bad(format!(
                            "its {FAULTS_SECTION} has an entry of kind {other}"
                        )));
                    }
                };
                *word = match marks {
                    FaultMarks::Types { fault, user_access } => {
                        let number = if is_fault { fault } else { user_access };
                        number.to_le_bytes()
                    }
                    FaultMarks::Handlers { fault, user_access } => {
                        handlers.push((at + 8_u64, if is_fault { *fault } else { *user_access }));
                        [0; 4]
                    }
                };
            }
        }
        if handlers.is_empty() {
            return Ok(());
        }
        let mut places = Vec::new();
        for (offset, name) in handlers {
            places.push(Relocation {
                r_offset: offset,
                symbol: Some(self.import(name)),
                r_type: elf::R_X86_64_PC32,
                r_addend: 0,
            });
        }
        let table = self.builder.sections.iter_mut().find(|table| {
            table.sh_info_section == Some(id) && matches!(table.data, SectionData::Relocation(_))
        });
        match table.map(|table| &mut table.data) {
            Some(SectionData::Relocation(known)) => {
                known.extend(places);
                Ok(())
            }
            _ => Err(bad(format!("its {FAULTS_SECTION} has no relocations"))),
        }
    }

    /// Lists the places at which the module returns through the kernel's thunk.
    pub(crate) fn list_returns(&mut self) -> Result<(), FitError> {
        let Some(thunk) = self.imports.get(returns::THUNK).copied() else {
            return Ok(());
        };
        if self.builder.symbols.get(thunk).section.is_some() || self.has_section(returns::SITES) {
            return Ok(());
        }
        let mut places = Vec::new();
        for site in returns::sites(&self.builder, thunk) {
            let Site::Jump(code, at) = site else {
                return Err(bad(format!(
                    "it refers to {} other than by a jump, which kernels cannot patch",
                    returns::THUNK
                )));
            };
            places.push(Relocation {
                r_offset: 4 * usize_as_u64(places.len()),
                symbol: Some(self.start_of(code)),
                r_type: elf::R_X86_64_PC32,
                r_addend: at,
            });
        }
        if places.is_empty() {
            return Ok(());
        }
        let bytes = vec![0; 4 * places.len()];
        let id = add_section(&mut self.builder, returns::SITES, elf::SHF_ALLOC, 4, bytes);
        add_relocations(
            &mut self.builder,
            &format!(".rela{}", returns::SITES),
            id,
            places,
        )
    }

    /// A symbol at the start of a section.
    fn start_of(&mut self, section: SectionId) -> SymbolId {
        let mut symbols = self.builder.symbols.iter();
        let known = symbols.find(|symbol| {
            symbol.section == Some(section)
                && symbol.st_type() == elf::STT_SECTION
                && symbol.st_value == 0
        });
        if let Some(known) = known {
            return known.id();
        }
        let symbol = self.builder.symbols.add();
        symbol.section = Some(section);
        symbol.set_st_info(elf::STB_LOCAL, elf::STT_SECTION);
        symbol.id()
    }

    /// The undefined symbol `name`, which is added if there is none.
    fn import(&mut self, name: &str) -> SymbolId {
        if let Some(id) = self.imports.get(name) {
            return *id;
        }
        let symbol = self.builder.symbols.add();
        symbol.name = ByteString::from(name.as_bytes().to_vec());
        symbol.set_st_info(elf::STB_GLOBAL, elf::STT_NOTYPE);
        let id = symbol.id();
        self.imports.insert(name.to_owned(), id);
        id
    }

    /// The module's file.
    pub(crate) fn write(mut self) -> Result<Vec<u8>, FitError> {
        let has = |builder: &Builder<'_>, wanted: fn(&SectionData<'_>) -> bool| {
            builder.sections.iter().any(|section| wanted(&section.data))
        };
        if !has(&self.builder, |data| {
            matches!(data, SectionData::SectionString)
        }) {
            // Compilers name sections and symbols in one table; this writer needs two.
            let section = self.builder.sections.add();
            section.name = ByteString::from(".shstrtab");
            section.sh_type = elf::SHT_STRTAB;
            section.sh_addralign = 1;
            section.data = SectionData::SectionString;
        }
        self.builder.set_section_sizes();
        let mut bytes = Vec::new();
        let written = self.builder.write(&mut bytes);
        written.map_err(|error| bad(error.to_string()))?;
        Ok(bytes)
    }
}

fn bad(why: impl Into<String>) -> FitError {
    FitError::Object(why.into())
}

fn section(builder: &Builder<'_>, name: &str) -> Option<SectionId> {
    let mut sections = builder.sections.iter();
    let found = sections.find(|section| *section.name == *name.as_bytes())?;
    Some(found.id())
}

fn add_section(
    builder: &mut Builder<'_>,
    name: &'static str,
    flags: elf::SectionFlags,
    align: u64,
    bytes: Vec<u8>,
) -> SectionId {
    let section = builder.sections.add();
    section.name = ByteString::from(name);
    section.sh_type = elf::SHT_PROGBITS;
    section.sh_flags = flags;
    section.sh_addralign = align;
    section.data = SectionData::Data(bytes.into());
    section.id()
}

fn add_relocations(
    builder: &mut Builder<'_>,
    name: &str,
    of: SectionId,
    places: Vec<Relocation>,
) -> Result<(), FitError> {
    let mut sections = builder.sections.iter();
    let symbols = sections.find(|section| matches!(section.data, SectionData::Symbol));
    let symbols = symbols.map(|section| section.id());
    let section = builder.sections.add();
    section.name = ByteString::from(name.as_bytes().to_vec());
    section.sh_type = elf::SHT_RELA;
    section.sh_flags = elf::SHF_INFO_LINK;
    section.sh_link_section = Some(symbols.ok_or_else(|| bad("it has no symbols"))?);
    section.sh_info_section = Some(of);
    section.sh_addralign = 8;
    section.sh_entsize = 24;
    section.data = SectionData::Relocation(places);
    Ok(())
}
