// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a small kernel says about itself.

use crate::assembler::Assembler;
use linpmem_symbols::{Architecture, KernelFacts, SymbolFile, SymbolFileError};
use serde_json::Value;

pub const BANNER: &str = "Linux version 6.12.1 (someone@somewhere) #1 SMP\n";
pub const OFFSET: u64 = 0x1e00_0000;

/// The symbols that a file needs, and a few more.
pub const KALLSYMS: &str = "\
0000000000021000 D cpu_number
ffffffff9f000000 T _text
ffffffff9f100000 t helper
ffffffffa0000000 R linux_banner
ffffffffa1000000 D init_task
ffffffffa1100000 D init_files
ffffffffa1200000 D init_mm
ffffffffa1300000 D modules
ffffffffa1400000 D tk_core
ffffffffa1500000 D taint_flags
ffffffffa1500100 D after
ffffffffc0100000 t own\t[module]
";

pub fn facts<'a>(btf: &'a [u8], modules: &'a [(String, Vec<u8>)]) -> KernelFacts<'a> {
    KernelFacts {
        banner: BANNER.as_bytes(),
        btf,
        modules,
        symbols: KALLSYMS.as_bytes(),
        kaslr_offset: OFFSET,
        architecture: Architecture::X86_64,
    }
}

pub fn json_of(facts: KernelFacts<'_>) -> Result<Value, SymbolFileError> {
    let mut json = Vec::new();
    SymbolFile::of(facts)?.write_json(&mut json)?;
    Ok(serde_json::from_slice(&json).unwrap())
}

/// The file that `btf` makes.
pub fn file_of(btf: &Assembler) -> Value {
    json_of(facts(&btf.bytes(), &[])).unwrap()
}

/// The value at a path such as `/enums/pid_type/size`.
pub fn at<'v>(file: &'v Value, path: &str) -> &'v Value {
    let found = file.pointer(path);
    found.unwrap_or_else(|| panic!("nothing at {path} of {file:#}"))
}
