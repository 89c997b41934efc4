// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a symbol file is made of.

use crate::base_types::{BaseType, base_types};
use crate::kernel_symbols::{KernelSymbols, SymbolsError};
use crate::names::Names;
use crate::symbol_types::SymbolTypes;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use linpmem_kinfo::btf::{BtfError, Types};
use linpmem_phys::hex;
use lzma_rust2::{XzOptions, XzWriter};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Write};
use thiserror::Error;

/// What tells of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct KernelFacts<'a> {
    /// `Linux version …`, as in /proc/version: Volatility finds the file for an image
    /// by looking for these words in the memory.
    pub banner: &'a [u8],
    /// /sys/kernel/btf/vmlinux.
    pub btf: &'a [u8],
    /// The modules' BTF by name, as in /sys/kernel/btf/; may be empty.
    pub modules: &'a [(String, Vec<u8>)],
    /// /proc/kallsyms or System.map.
    pub symbols: &'a [u8],
    /// How far KASLR has moved the addresses in `symbols`; 0 for System.map.
    pub kaslr_offset: u64,
}

/// Why no symbol file can be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SymbolFileError {
    /// The types.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The symbols.
    #[error(transparent)]
    Symbols(#[from] SymbolsError),
    /// A module's types.
    #[error("the BTF of the module {name}: {error}")]
    Module {
        /// The module.
        name: String,
        /// What is wrong.
        error: BtfError,
    },
    /// The banner is none.
    #[error("the kernel's banner does not begin with the words Linux and version: `{found}`")]
    Banner {
        /// Its beginning.
        found: String,
    },
    /// Output.
    #[error("cannot write the symbol file: {0}")]
    Write(#[from] io::Error),
}

/// Where something came from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) name: String,
    pub(crate) sha256: String,
}

/// A symbol file that can be written.
#[derive(Debug)]
pub struct SymbolFile<'a> {
    pub(crate) types: Types<'a>,
    pub(crate) names: Names<'a>,
    pub(crate) base_types: BTreeMap<&'a str, BaseType>,
    pub(crate) symbols: KernelSymbols<'a>,
    pub(crate) symbol_types: SymbolTypes<'a>,
    /// In base 64.
    pub(crate) banner: String,
    pub(crate) types_from: Vec<Origin>,
    pub(crate) symbols_from: Origin,
}

/// How much memory compression may take: a dictionary of 2 MiB and its tables. More
/// of it saves a few per cent.
const DICTIONARY: u32 = 2 << 20;

impl<'a> SymbolFile<'a> {
    /// Puts together what `facts` tell.
    ///
    /// # Errors
    /// When one of them is damaged, or no more than a part of what is needed.
    pub fn of(facts: KernelFacts<'a>) -> Result<Self, SymbolFileError> {
        let banner = trimmed(facts.banner);
        if !is_banner(banner) {
            let beginning = banner.get(..banner.len().min(60)).unwrap_or_default();
            let found = String::from_utf8_lossy(beginning).into_owned();
            return Err(SymbolFileError::Banner { found });
        }
        let symbols = KernelSymbols::parse(facts.symbols, facts.kaslr_offset)?;
        let mut types = Types::parse(facts.btf)?;
        let mut types_from = vec![origin("BTF of vmlinux", facts.btf)];
        for (name, btf) in facts.modules {
            let added = types.add_module(btf);
            added.map_err(|error| SymbolFileError::Module {
                name: name.clone(),
                error,
            })?;
            types_from.push(origin(&format!("BTF of {name}"), btf));
        }
        let names = Names::of(&types)?;
        Ok(Self {
            base_types: base_types(&types)?,
            symbol_types: SymbolTypes::of(&types, &names, &symbols)?,
            // As it stands in memory.
            banner: BASE64_STANDARD.encode([banner, b"\n\0"].concat()),
            types_from,
            symbols_from: origin("kallsyms", facts.symbols),
            types,
            names,
            symbols,
        })
    }

    /// How many structs, unions, enumerations and other types BTF has.
    #[must_use]
    pub fn type_count(&self) -> usize {
        self.types.count()
    }

    /// How many symbols the file has.
    #[must_use]
    pub fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// Writes the file as JSON.
    ///
    /// # Errors
    /// When `out` fails, or a type cannot be told: then what was written is no whole
    /// file.
    pub fn write_json(&self, out: impl Write) -> Result<(), SymbolFileError> {
        serde_json::to_writer(out, self).map_err(io::Error::from)?;
        Ok(())
    }

    /// Writes the file as JSON, compressed by xz.
    ///
    /// # Errors
    /// As [`SymbolFile::write_json`].
    pub fn write_xz<W: Write>(&self, out: W) -> Result<W, SymbolFileError> {
        let mut options = XzOptions::with_preset(2);
        options.lzma_options.dict_size = DICTIONARY;
        let xz = XzWriter::new(out, options)?;
        let mut buffered = io::BufWriter::with_capacity(1 << 16, xz);
        self.write_json(&mut buffered)?;
        let xz = buffered
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        Ok(xz.finish()?)
    }
}

/// Whether it begins as every kernel's does. The words stand apart here: programs look
/// for the two of them in memory, where this program is too while it acquires.
fn is_banner(banner: &[u8]) -> bool {
    let mut words = banner.split(|byte| *byte == b' ');
    words.next() == Some(b"Linux") && words.next() == Some(b"version")
}

/// Without the end of line that the kernel puts behind it.
fn trimmed(banner: &[u8]) -> &[u8] {
    let end = banner.iter().position(|byte| *byte == b'\n' || *byte == 0);
    banner.get(..end.unwrap_or(banner.len())).unwrap_or(banner)
}

fn origin(name: &str, bytes: &[u8]) -> Origin {
    Origin {
        name: name.to_owned(),
        sha256: hex::encode(&Sha256::digest(bytes)),
    }
}
