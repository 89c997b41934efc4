// SPDX-License-Identifier: MIT OR Apache-2.0
//! The symbol file: from a kernel's facts to JSON.

use crate::base_types::{BaseType, base_types};
use crate::kernel_symbols::{KernelSymbols, KernelSymbolsError};
use crate::names::Names;
use crate::symbol_types::SymbolTypes;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use linpmem_kinfo::btf::{BtfError, Types};
use linpmem_kinfo::layout::Architecture;
use linpmem_phys::hex;
use lzma_rust2::{XzOptions, XzWriter};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Write};
use thiserror::Error;

/// What a kernel says about itself.
#[derive(Clone, Copy, Debug)]
pub struct KernelFacts<'a> {
    /// `Linux version …`, as in /proc/version. Volatility chooses the file for an image
    /// by searching the memory for this text.
    pub banner: &'a [u8],
    /// /sys/kernel/btf/vmlinux.
    pub btf: &'a [u8],
    /// The modules' BTF by name, as in /sys/kernel/btf/; may be empty.
    pub modules: &'a [(String, Vec<u8>)],
    /// /proc/kallsyms or System.map.
    pub symbols: &'a [u8],
    /// How far KASLR has moved the addresses in `symbols`; 0 for System.map.
    pub kaslr_offset: u64,
    /// What kind of machine it runs on.
    pub architecture: Architecture,
}

/// Why the symbol file cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SymbolFileError {
    /// The kernel's types are damaged.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The symbols are damaged or incomplete.
    #[error(transparent)]
    Symbols(#[from] KernelSymbolsError),
    /// A module's types are damaged.
    #[error("the BTF of the module {name}: {error}")]
    Module {
        /// The module's name.
        name: String,
        /// What is wrong with its types.
        error: BtfError,
    },
    /// The text is not a kernel's banner.
    #[error("the kernel's banner does not begin with the words Linux and version: `{found}`")]
    Banner {
        /// The beginning of the text.
        found: String,
    },
    /// The output failed.
    #[error("cannot write the symbol file: {0}")]
    Write(#[from] io::Error),
}

/// The source of a part of the file.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) name: String,
    pub(crate) sha256: String,
}

/// A symbol file, ready to be written.
#[derive(Debug)]
pub struct SymbolFile<'a> {
    pub(crate) types: Types<'a>,
    pub(crate) names: Names<'a>,
    pub(crate) base_types: BTreeMap<&'a str, BaseType>,
    pub(crate) symbols: KernelSymbols<'a>,
    pub(crate) symbol_types: SymbolTypes<'a>,
    /// Encoded in base 64.
    pub(crate) banner: String,
    pub(crate) types_from: Vec<Origin>,
    pub(crate) symbols_from: Origin,
}

/// Limits the memory that compression takes to a dictionary of 2 MiB and its tables.
/// A larger one makes the file only a few per cent smaller.
const DICTIONARY: u32 = 2 << 20;

impl<'a> SymbolFile<'a> {
    /// The symbol file of the kernel that `facts` describe.
    ///
    /// # Errors
    /// When one of the facts is damaged or incomplete.
    pub fn of(facts: KernelFacts<'a>) -> Result<Self, SymbolFileError> {
        let banner = trimmed(facts.banner);
        if !is_banner(banner) {
            let text = String::from_utf8_lossy(banner);
            let found = text.chars().take(60).collect();
            return Err(SymbolFileError::Banner { found });
        }
        let symbols = KernelSymbols::parse(facts.symbols, facts.kaslr_offset, facts.architecture)?;
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
            // As the kernel has it in memory.
            banner: BASE64_STANDARD.encode([banner, b"\n\0"].concat()),
            types_from,
            symbols_from: origin("kallsyms", facts.symbols),
            types,
            names,
            symbols,
        })
    }

    /// The number of structs, unions, enumerations and other types in BTF.
    #[must_use]
    pub fn type_count(&self) -> usize {
        self.types.count()
    }

    /// The number of symbols in the file.
    #[must_use]
    pub fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    /// Writes the file as JSON.
    ///
    /// # Errors
    /// When `out` fails, or a type is damaged. The output is incomplete then.
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

/// Whether it begins as every kernel's does. The two words are compared one by one:
/// tools search memory for the banner, and this program is in memory while it
/// acquires, so that it must not contain the words side by side.
fn is_banner(banner: &[u8]) -> bool {
    let mut words = banner.split(|byte| *byte == b' ');
    words.next() == Some(b"Linux") && words.next() == Some(b"version")
}

/// The banner without the line feed at its end.
fn trimmed(banner: &[u8]) -> &[u8] {
    let mut parts = banner.split(|byte| *byte == b'\n' || *byte == 0);
    parts.next().unwrap_or(banner)
}

fn origin(name: &str, bytes: &[u8]) -> Origin {
    Origin {
        name: name.to_owned(),
        sha256: hex::encode(&Sha256::digest(bytes)),
    }
}
