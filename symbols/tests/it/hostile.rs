// SPDX-License-Identifier: MIT OR Apache-2.0
//! BTF that comes out of an image may be anything.

use crate::assembler::Assembler;
use crate::kernel::{BANNER, KALLSYMS, OFFSET, facts, json_of};
use linpmem_symbols::{Architecture, BtfError, KernelFacts, SymbolFileError};
use proptest::prelude::*;

fn error_of(btf: &[u8]) -> SymbolFileError {
    json_of(facts(btf, &[])).unwrap_err()
}

fn small() -> Assembler {
    let mut btf = Assembler::new();
    let int = btf.int("int", 4, 1);
    let pointer = btf.pointer(int);
    btf.structure("task_struct", 16, &[("pid", int, 0), ("data", pointer, 64)]);
    btf.enumeration("kind", false, &[("ONE", 1)]);
    btf
}

#[test]
fn what_is_not_btf_says_so() {
    for bytes in [&b""[..], b"\x9f", b"\x7fELF", b"\x9f\xeb\x02\0"] {
        let error = error_of(bytes);
        assert!(
            matches!(error, SymbolFileError::Btf(BtfError::Magic { .. })),
            "{error}"
        );
    }
    // Big endian.
    assert!(error_of(b"\xeb\x9f\x01\0").to_string().contains("eb, 9f"));
}

#[test]
fn every_cut_is_noticed() {
    let whole = small().bytes();
    for len in 3..whole.len() {
        let error = error_of(whole.get(..len).unwrap());
        assert!(matches!(error, SymbolFileError::Btf(_)), "{len}: {error}");
    }
}

#[test]
fn circles_end() {
    let mut btf = Assembler::new();
    btf.typedef("a", 2);
    btf.typedef("b", 1);
    assert!(matches!(
        error_of(&btf.bytes()),
        SymbolFileError::Btf(BtfError::TooDeep { .. })
    ));
    // Pointers to each other.
    let mut btf = Assembler::new();
    btf.pointer(2);
    btf.pointer(1);
    btf.structure("x", 8, &[("p", 1, 0)]);
    let error = error_of(&btf.bytes());
    assert!(error.to_string().contains("more than 24 steps"), "{error}");
    // A struct within itself is described once.
    let mut btf = Assembler::new();
    btf.structure("x", 8, &[("x", 1, 0)]);
    assert!(json_of(facts(&btf.bytes(), &[])).is_ok());
}

#[test]
fn what_does_not_exist_is_not_followed() {
    let mut btf = Assembler::new();
    btf.structure("x", 8, &[("p", 4_000_000_000, 0)]);
    assert!(error_of(&btf.bytes()).to_string().contains("4000000000"));
    let mut btf = Assembler::new();
    btf.record("x", 31 << 24, 0, &[]);
    assert!(matches!(
        error_of(&btf.bytes()),
        SymbolFileError::Btf(BtfError::Kind { id: 1, kind: 31 })
    ));
    // A name without an end.
    let mut btf = Assembler::new();
    btf.structure(&"n".repeat(600), 8, &[]);
    assert!(matches!(
        error_of(&btf.bytes()),
        SymbolFileError::Btf(BtfError::Name { .. })
    ));
}

#[test]
fn a_banner_and_symbols_are_required() {
    let btf = small().bytes();
    let file = |banner: &str, symbols: &str| {
        let facts = KernelFacts {
            banner: banner.as_bytes(),
            btf: &btf,
            modules: &[],
            symbols: symbols.as_bytes(),
            kaslr_offset: OFFSET,
            architecture: Architecture::X86_64,
        };
        json_of(facts).map_err(|error| error.to_string())
    };
    assert!(file(BANNER, KALLSYMS).is_ok());
    let error = file("FreeBSD 14", KALLSYMS).unwrap_err();
    assert!(error.contains("`FreeBSD 14`"), "{error}");
    let error = file(BANNER, "").unwrap_err();
    assert!(error.contains("System.map"), "{error}");
}

proptest! {
    /// Whatever a byte is changed to, there is a file or an error.
    #[test]
    fn a_changed_byte_harms_nothing(at in 0_usize..200, to in any::<u8>(), more in any::<u16>()) {
        let mut bytes = small().bytes();
        let len = bytes.len();
        bytes[at % len] = to;
        bytes[usize::from(more) % len] ^= 0x80;
        let _ = json_of(facts(&bytes, &[]));
    }
}
