// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's variables, by the symbols among the artifacts.

use super::symbols::{MAX_SYMBOLS_BYTES, system_map_of};
use linpmem_capture::artifacts::{Artifacts, ArtifactsError};
use linpmem_inspect::Symbols;
use linpmem_kinfo::kallsyms::Scanner;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::num::u64_as_usize;
use std::io::{self, Read};

const STEP_BYTES: u64 = 64 << 10;

/// Those in kallsyms; what it hides or does not list, System.map has, at the addresses for which
/// the kernel was linked.
pub(super) fn of(artifacts: &Artifacts, info: Vmcoreinfo<'_>) -> Result<Symbols, ArtifactsError> {
    let mut symbols = Symbols::default();
    scan_symbols(artifacts, "proc/kallsyms", 0, &mut symbols)?;
    if !symbols.is_complete() {
        if let Some((map, moved)) = system_map_of(artifacts).zip(info.kaslr_offset()) {
            scan_symbols(artifacts, map, moved, &mut symbols)?;
        }
    }
    Ok(symbols)
}

fn scan_symbols(
    artifacts: &Artifacts,
    name: &str,
    moved: u64,
    symbols: &mut Symbols,
) -> Result<(), ArtifactsError> {
    let failed = |source: io::Error| ArtifactsError::Read {
        name: name.to_owned(),
        source,
    };
    let mut text = artifacts.open(name)?.take(MAX_SYMBOLS_BYTES);
    let mut scanner = Scanner::default();
    let mut bytes = vec![0; u64_as_usize(STEP_BYTES)];
    loop {
        let len = text.read(&mut bytes).map_err(failed)?;
        if len == 0 {
            break;
        }
        let (piece, _) = bytes.split_at(len);
        scanner.feed(piece, |symbol| symbols.see(symbol, moved));
    }
    scanner.finish(|symbol| symbols.see(symbol, moved));
    Ok(())
}
