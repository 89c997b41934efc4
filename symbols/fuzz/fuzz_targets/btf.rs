// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a kernel's types, and a module's: a symbol file or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linpmem_symbols::{Architecture, KernelFacts, SymbolFile};
use std::io;

const SYMBOLS: &str = "\
ffffffff81000000 T _text
ffffffff82000000 R linux_banner
ffffffff83000000 D init_task
ffffffff83100000 D init_files
ffffffff83200000 D init_mm
ffffffff83300000 D tk_core
ffffffff83400000 D taint_flags
ffffffff83401000 D prb
";

// The first two bytes say where the kernel's ends and the module's begins.
fuzz_target!(|data: &[u8]| {
    let Some((place, data)) = data.split_at_checked(2) else {
        return;
    };
    let place = usize::from(u16::from_le_bytes([place[0], place[1]]));
    let (btf, module) = data.split_at(place.min(data.len()));
    let modules = [("module".to_owned(), module.to_vec())];
    let modules = if module.is_empty() { &[][..] } else { &modules[..] };
    let file = SymbolFile::of(KernelFacts {
        banner: b"Linux version 6.12",
        btf,
        modules,
        symbols: SYMBOLS.as_bytes(),
        kaslr_offset: 0,
        architecture: Architecture::X86_64,
    });
    if let Ok(file) = file {
        let _ = file.write_json(io::sink());
    }
});
