// SPDX-License-Identifier: MIT OR Apache-2.0
//! BTF is read as it was put together, and may be anything if it comes out of an
//! image.

use crate::assembler::Assembler;
use linpmem_kinfo::btf::{BtfError, Kind, TypeRef, Types};
use proptest::prelude::*;

fn small() -> Assembler {
    let mut btf = Assembler::new();
    let int = btf.int("int", 4, 1);
    let pointer = btf.pointer(int);
    btf.structure("task_struct", 16, &[("pid", int, 0), ("data", pointer, 64)]);
    btf.enumeration("kind", true, &[("MINUS", u32::MAX), ("ONE", 1)]);
    btf
}

/// Everything that there is to be read.
fn read(bytes: &[u8], module: Option<&[u8]>) -> Result<usize, BtfError> {
    let mut types = Types::parse(bytes)?;
    if let Some(module) = module {
        types.add_module(module)?;
    }
    let mut names = 0;
    for type_ref in types.refs() {
        let (name, _) = types.get(type_ref)?;
        names += usize::from(!name.is_empty());
        match types.bare(type_ref)?.kind {
            Kind::Composite { members, .. } => {
                for member in members.iter() {
                    types.text(type_ref.set, member.name)?;
                    types.bare(member.type_ref)?;
                    names += 1;
                }
            }
            Kind::Enum { values, .. } => {
                for (name, _) in values.iter() {
                    types.text(type_ref.set, name)?;
                    names += 1;
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

fn error_of(bytes: &[u8]) -> BtfError {
    read(bytes, None).unwrap_err()
}

#[test]
fn types_have_names_members_and_values() {
    let bytes = small().bytes();
    let types = Types::parse(&bytes).unwrap();
    assert_eq!(types.count(), 4);
    let refs: Vec<TypeRef> = types.refs().collect();
    let (name, kind) = types.get(refs[2]).unwrap();
    assert_eq!(name, "task_struct");
    let Kind::Composite {
        is_union: false,
        size: 16,
        members,
    } = kind
    else {
        panic!("{kind:?}");
    };
    let members: Vec<_> = members
        .iter()
        .map(|member| {
            let name = types.text(0, member.name).unwrap();
            (name, member.bit_offset, member.bits)
        })
        .collect();
    assert_eq!(members, [("pid", 0, None), ("data", 64, None)]);
    let (_, kind) = types.get(refs[3]).unwrap();
    let Kind::Enum { values, .. } = kind else {
        panic!("{kind:?}");
    };
    let values: Vec<i128> = values.iter().map(|(_, value)| value).collect();
    assert_eq!(values, [-1, 1]);
}

#[test]
fn every_other_kind_is_told_apart() {
    let mut btf = Assembler::new();
    let int = btf.int("unsigned long", 8, 0);
    btf.int("_Bool", 1, 4);
    btf.pointer(int);
    btf.array(int, 16);
    btf.forward("mystery");
    btf.prototype();
    btf.variable("cpu_number", int);
    btf.record("float", 16 << 24, 4, &[]);
    btf.record(".data..percpu", 15 << 24 | 1, 8, &[7, 0, 8]);
    btf.record("tag", 17 << 24, int, &[0]);
    let union = btf.composite("union", (5, true), 8, &[("low", int, 5 << 24 | 3)]);
    let wide = [btf.name("top"), 0, 0x8000_0000];
    btf.record("wide", 19 << 24 | 1, 8, &wide);
    let bytes = btf.bytes();
    let types = Types::parse(&bytes).unwrap();
    let kinds: Vec<Kind<'_>> = types.refs().map(|one| types.get(one).unwrap().1).collect();
    let to_int = TypeRef { set: 0, id: int };
    assert!(matches!(
        kinds[0],
        Kind::Int {
            size: 8,
            bit_offset: 0,
            bits: 64,
            is_signed: false,
            is_bool: false
        }
    ));
    assert!(matches!(
        kinds[1],
        Kind::Int {
            size: 1,
            is_bool: true,
            ..
        }
    ));
    assert!(matches!(kinds[2], Kind::Pointer(to) if to == to_int));
    assert!(matches!(kinds[3], Kind::Array { element, count: 16 } if element == to_int));
    assert!(matches!(kinds[4], Kind::Forward { is_union: false }));
    assert!(matches!(kinds[5], Kind::Function));
    assert!(matches!(kinds[6], Kind::Variable(of) if of == to_int));
    assert!(matches!(kinds[7], Kind::Float { size: 4 }));
    assert!(matches!(kinds[8], Kind::Other));
    assert!(matches!(kinds[9], Kind::Other));
    let Kind::Composite {
        is_union: true,
        members,
        ..
    } = kinds[10]
    else {
        panic!("{union}: {:?}", kinds[10]);
    };
    let member = members.iter().next().unwrap();
    assert_eq!((member.bit_offset, member.bits), (3, Some(5)));
    let Kind::Enum { values, .. } = kinds[11] else {
        panic!("{:?}", kinds[11]);
    };
    assert_eq!(values.iter().next().unwrap().1, 1 << 63);
    let void = types.get(TypeRef { set: 0, id: 0 }).unwrap();
    assert!(matches!(void, ("void", Kind::Void)));
}

#[test]
fn typedefs_and_qualifiers_lead_to_the_type_behind_them() {
    let mut btf = small();
    let constant = btf.constant(1);
    let inner = btf.typedef("inner_t", constant);
    let outer = btf.typedef("outer_t", inner);
    let bytes = btf.bytes();
    let types = Types::parse(&bytes).unwrap();
    let bare = types.bare(TypeRef { set: 0, id: outer }).unwrap();
    assert_eq!((bare.name, bare.alias), ("int", Some("inner_t")));
    assert_eq!(bare.type_ref, TypeRef { set: 0, id: 1 });
}

#[test]
fn modules_go_on_where_the_kernel_ends() {
    let base = small();
    let mut module = Assembler::on(&base);
    let own = module.structure("own", 8, &[("task", 3, 0)]);
    let (base, module) = (base.bytes(), module.bytes());
    let mut types = Types::parse(&base).unwrap();
    types.add_module(&module).unwrap();
    assert_eq!(types.count(), 5);
    let (name, kind) = types.get(TypeRef { set: 1, id: own }).unwrap();
    assert_eq!(name, "own");
    let Kind::Composite { members, .. } = kind else {
        panic!("{kind:?}");
    };
    let member = members.iter().next().unwrap();
    assert_eq!(types.text(1, member.name), Ok("task"));
    let bare = types.bare(member.type_ref).unwrap();
    assert_eq!((bare.name, bare.type_ref.set), ("task_struct", 0));
    // A damaged one adds nothing.
    assert!(types.add_module(b"\x9f\xeb\x01\0").is_err());
    assert_eq!(types.count(), 5);
}

#[test]
fn what_is_not_btf_says_so() {
    for bytes in [&b""[..], b"\x9f", b"\x7fELF", b"\x9f\xeb\x02\0"] {
        let error = error_of(bytes);
        assert!(matches!(error, BtfError::Magic { .. }), "{error}");
    }
    // Big endian.
    assert!(error_of(b"\xeb\x9f\x01\0").to_string().contains("eb, 9f"));
}

#[test]
fn every_cut_is_noticed() {
    let whole = small().bytes();
    assert_eq!(read(&whole, None), Ok(7));
    for len in 3..whole.len() {
        let error = error_of(&whole[..len]);
        let is_right = matches!(error, BtfError::Truncated { .. } | BtfError::Name { .. });
        assert!(is_right, "{len}: {error}");
    }
}

#[test]
fn sections_beyond_32_bits_are_refused() {
    // Header length, offset and length of the types: all as large as they can be.
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    bytes.extend([0xff; 20]);
    assert_eq!(
        error_of(&bytes),
        BtfError::Truncated {
            what: "the types",
            end: 3 * u64::from(u32::MAX),
            len: 24,
        }
    );
}

#[test]
fn circles_and_long_chains_end() {
    let mut btf = Assembler::new();
    btf.typedef("a", 2);
    btf.typedef("b", 1);
    assert_eq!(
        error_of(&btf.bytes()),
        BtfError::TooDeep { id: 1, limit: 64 }
    );
}

#[test]
fn what_does_not_exist_is_not_followed() {
    let mut btf = Assembler::new();
    btf.structure("x", 8, &[("p", 4_000_000_000, 0)]);
    assert_eq!(
        error_of(&btf.bytes()),
        BtfError::NoSuchType {
            id: 4_000_000_000,
            count: 1,
        }
    );
    let mut btf = Assembler::new();
    btf.record("x", 31 << 24, 0, &[]);
    assert_eq!(error_of(&btf.bytes()), BtfError::Kind { id: 1, kind: 31 });
    // A name without an end.
    let mut btf = Assembler::new();
    btf.structure(&"n".repeat(600), 8, &[]);
    assert_eq!(error_of(&btf.bytes()), BtfError::Name { offset: 1 });
}

proptest! {
    /// Whatever a byte is changed to, there are types or an error.
    #[test]
    fn a_changed_byte_harms_nothing(at in 0_usize..200, to in any::<u8>(), more in any::<u16>()) {
        let base = small();
        let mut module = Assembler::on(&base);
        module.structure("own", 8, &[("task", 3, 0)]);
        let mut bytes = [base.bytes(), module.bytes()];
        let [base, module] = &mut bytes;
        let len = base.len();
        base[at % len] = to;
        base[usize::from(more) % len] ^= 0x80;
        let len = module.len();
        module[at % len] = to;
        // Either is right, and neither may panic.
        let _ = read(base, None);
        let _ = read(&small().bytes(), Some(module));
    }
}
