// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the file describes each kind of type.

use crate::assembler::Assembler;
use crate::kernel::{BANNER, at, facts, file_of};
use linpmem_symbols::SymbolFile;
use serde_json::{Value, json};

fn field<'v>(file: &'v Value, path: &str) -> &'v Value {
    at(file, &format!("/user_types/{path}"))
}

#[test]
fn members_of_every_kind() {
    let mut btf = Assembler::new();
    let int = btf.int("int", 4, 1);
    let long = btf.int("unsigned long", 8, 0);
    let char_type = btf.int("char", 1, 1);
    let boolean = btf.int("_Bool", 1, 4);
    let constant = btf.constant(int);
    let pid = btf.typedef("pid_t", constant);
    let text = btf.array(char_type, 16);
    let texts = btf.array(text, 3);
    let unknown = btf.forward("mystery");
    let to_unknown = btf.pointer(unknown);
    let prototype = btf.prototype();
    let handler = btf.pointer(prototype);
    let nothing = btf.pointer(0);
    let to_nothing = btf.pointer(nothing);
    let inner = btf.composite("", (5, false), 8, &[("a", int, 0), ("b", long, 0)]);
    let shared = btf.structure("", 4, &[("counter", int, 0)]);
    let atomic = btf.typedef("atomic_t", shared);
    btf.structure(
        "task_struct",
        256,
        &[
            ("pid", pid, 0),
            ("comm", text, 64),
            ("names", texts, 192),
            ("who", to_unknown, 576),
            ("handler", handler, 640),
            ("data", to_nothing, 704),
            ("", inner, 768),
            ("", inner, 832),
            ("usage", atomic, 896),
            ("raw", shared, 928),
            ("is_it", boolean, 960),
            ("flags", long, 1024),
        ],
    );
    let file = file_of(&btf);
    let task = |path: &str| field(&file, &format!("task_struct/fields/{path}")).clone();
    let base = |name: &str| json!({ "kind": "base", "name": name });
    assert_eq!(field(&file, "task_struct/size"), 256);
    assert_eq!(field(&file, "task_struct/kind"), "struct");
    assert_eq!(task("pid"), json!({ "type": base("int"), "offset": 0 }));
    let text = json!({ "kind": "array", "count": 16, "subtype": base("char") });
    assert_eq!(task("comm"), json!({ "type": text, "offset": 8 }));
    let texts = json!({ "kind": "array", "count": 3, "subtype": text });
    assert_eq!(task("names/type"), texts);
    let unknown = json!({ "kind": "struct", "name": "mystery" });
    assert_eq!(
        task("who/type"),
        json!({ "kind": "pointer", "subtype": unknown })
    );
    let function = json!({ "kind": "pointer", "subtype": { "kind": "function" } });
    assert_eq!(task("handler/type"), function);
    let nothing = json!({ "kind": "pointer", "subtype": base("void") });
    assert_eq!(
        task("data/type"),
        json!({ "kind": "pointer", "subtype": nothing })
    );
    // Volatility takes the fields of these for fields of the struct around them.
    assert_eq!(task("unnamed_field_0/anonymous"), true);
    assert_eq!(task("unnamed_field_1/offset"), 104);
    let name = task("unnamed_field_0/type/name");
    let union = field(&file, name.as_str().unwrap());
    assert_eq!(at(union, "/kind"), "union");
    assert_eq!(at(union, "/fields/b/type/name"), "long unsigned int");
    assert_eq!(
        task("usage/type"),
        json!({ "kind": "struct", "name": "atomic_t" })
    );
    assert_eq!(field(&file, "atomic_t/fields/counter/offset"), 0);
    // Without the typedef, the same type has a name and an entry of its own.
    let raw = task("raw/type/name");
    assert_eq!(
        field(&file, raw.as_str().unwrap()),
        field(&file, "atomic_t")
    );
    assert_eq!(task("is_it/type"), base("_Bool"));
    assert_eq!(task("flags/type"), base("long unsigned int"));
    assert_eq!(at(&file, "/base_types/_Bool/kind"), "bool");
    assert_eq!(at(&file, "/base_types/char/signed"), true);
    assert_eq!(at(&file, "/base_types/pointer/size"), 8);
}

#[test]
fn bit_fields_of_new_and_old_btf() {
    let mut btf = Assembler::new();
    let int = btf.int("unsigned int", 4, 0);
    // 3 bits at bit 1, as an integer of its own kind.
    let old = btf.record("unsigned int", 1 << 24, 4, &[1 << 16 | 3]);
    let kind = btf.enumeration("kind", false, &[("NONE", 0)]);
    let new = |at: u32, bits: u32| bits << 24 | at;
    btf.composite(
        "new",
        (4, true),
        8,
        &[
            ("whole", int, new(0, 0)),
            ("low", int, new(32, 5)),
            ("high", int, new(50, 6)),
            ("what", kind, new(56, 8)),
            ("", int, new(40, 4)),
        ],
    );
    btf.structure("old", 4, &[("three", old, 8)]);
    let file = file_of(&btf);
    let bits = |name: &str, position: u32, length: u32| {
        json!({
            "kind": "bitfield", "bit_position": position, "bit_length": length,
            "type": { "kind": "base", "name": name },
        })
    };
    assert_eq!(field(&file, "new/fields/whole/type/kind"), "base");
    assert_eq!(
        field(&file, "new/fields/low/type"),
        &bits("unsigned int", 0, 5)
    );
    assert_eq!(
        field(&file, "new/fields/high/type"),
        &bits("unsigned int", 2, 6)
    );
    assert_eq!(field(&file, "new/fields/high/offset"), 6);
    assert_eq!(field(&file, "new/fields/what/type/type/kind"), "enum");
    // Padding is not a field.
    assert_eq!(field(&file, "new/fields").as_object().unwrap().len(), 4);
    assert_eq!(
        field(&file, "old/fields/three/type"),
        &bits("unsigned int", 1, 3)
    );
    assert_eq!(field(&file, "old/fields/three/offset"), 1);
}

#[test]
fn enumerations_of_all_sizes() {
    let mut btf = Assembler::new();
    btf.enumeration("pid_type", false, &[("PIDTYPE_PID", 0), ("PIDTYPE_MAX", 4)]);
    btf.enumeration(
        "desc_state",
        true,
        &[("desc_miss", u32::MAX), ("desc_ok", 1)],
    );
    let words = [btf.name("big"), 1, 2, btf.name("top"), 0, 0x8000_0000];
    btf.record("wide", 19 << 24 | 2, 8, &words);
    btf.record("wide_signed", 1 << 31 | 19 << 24 | 2, 8, &words);
    // As kernels before 6.2 have those with wide values.
    let lost = btf.name("lost");
    btf.record("halved", 6 << 24 | 1, 8, &[lost, 0]);
    let unnamed = btf.enumeration("", false, &[("ALONE", 7)]);
    btf.typedef("state_t", unnamed);
    let file = file_of(&btf);
    let of = |name: &str| at(&file, &format!("/enums/{name}")).clone();
    assert_eq!(
        of("pid_type"),
        json!({
            "size": 4, "base": "unsigned int",
            "constants": { "PIDTYPE_PID": 0, "PIDTYPE_MAX": 4 },
        })
    );
    assert_eq!(of("desc_state/base"), "int");
    assert_eq!(of("desc_state/constants/desc_miss"), -1);
    assert_eq!(of("wide/constants/big"), 0x2_0000_0001_u64);
    assert_eq!(of("wide/constants/top"), 0x8000_0000_0000_0000_u64);
    assert_eq!(of("wide_signed/constants/top"), i64::MIN);
    assert_eq!(of("wide_signed/base"), "long int");
    assert_eq!(
        of("halved"),
        json!({ "size": 8, "base": "long unsigned int", "constants": {} })
    );
    assert_eq!(of("state_t/constants/ALONE"), 7);
}

#[test]
fn types_that_share_a_name_are_all_kept() {
    let mut btf = Assembler::new();
    let int = btf.int("int", 4, 1);
    let first = btf.structure("context", 4, &[("one", int, 0)]);
    let second = btf.structure("context", 8, &[("two", int, 32)]);
    let other = btf.structure("other", 4, &[("x", int, 0)]);
    // A typedef by the name of a struct that is not its own.
    let odd = btf.typedef("context", other);
    btf.structure(
        "user",
        32,
        &[("a", first, 0), ("b", second, 64), ("c", odd, 128)],
    );
    let file = file_of(&btf);
    let name = |of: &str| field(&file, &format!("user/fields/{of}/type/name")).clone();
    assert_eq!(name("a"), "context");
    assert_eq!(name("c"), "other");
    let second = name("b").as_str().unwrap().to_owned();
    assert_ne!(second, "context");
    assert_eq!(field(&file, &format!("{second}/fields/two/offset")), 4);
    assert_eq!(field(&file, "context/fields/one/offset"), 0);
}

#[test]
fn symbols_have_addresses_types_and_the_banner() {
    let mut btf = Assembler::new();
    let int = btf.int("int", 4, 1);
    btf.variable("cpu_number", int);
    btf.structure("task_struct", 8, &[("pid", int, 0)]);
    btf.structure("list_head", 16, &[]);
    let clock = btf.structure("timekeeper", 8, &[]);
    btf.structure("taint_flag", 24, &[]);
    let unnamed = btf.structure("", 16, &[("seq", int, 0), ("timekeeper", clock, 64)]);
    let file = file_of(&btf);
    let of = |name: &str| at(&file, &format!("/symbols/{name}")).clone();
    let structure = |name: &str| json!({ "kind": "struct", "name": name });
    assert_eq!(
        of("init_task"),
        json!({ "type": structure("task_struct"), "address": 0xffff_ffff_8300_0000_u64 })
    );
    assert_eq!(of("modules/type"), structure("list_head"));
    assert_eq!(
        of("cpu_number"),
        json!({ "type": { "kind": "base", "name": "int" }, "address": 0x21000 })
    );
    assert_eq!(of("helper/type/name"), "void");
    // A type that this BTF lacks.
    assert_eq!(of("init_mm/type/name"), "void");
    // As many as there is room for: 0x100 bytes up to the next symbol.
    assert_eq!(of("taint_flags/type/count"), 10);
    assert_eq!(of("taint_flags/type/subtype"), structure("taint_flag"));
    let name = of("tk_core/type/name").as_str().unwrap().to_owned();
    assert_eq!(name, format!("unnamed_0_{unnamed}"));
    assert_eq!(field(&file, &format!("{name}/fields/timekeeper/offset")), 8);
    assert!(file.pointer("/symbols/own").is_none());
    // "Linux version 6.12.1 …\n\0", as in memory.
    let data = of("linux_banner/constant_data");
    let data = data.as_str().unwrap();
    assert!(data.starts_with("TGludXggdmVyc2lvbiA2LjEyLjEg"), "{data}");
    assert_eq!(data.len(), (BANNER.len() + 1).div_ceil(3) * 4);
    assert_eq!(at(&file, "/metadata/format"), "6.2.0");
}

#[test]
fn compressed_is_the_same_file() {
    let mut btf = Assembler::new();
    btf.int("int", 4, 1);
    let btf = btf.bytes();
    let file = SymbolFile::of(facts(&btf, &[])).unwrap();
    let mut plain = Vec::new();
    file.write_json(&mut plain).unwrap();
    let packed = file.write_xz(Vec::new()).unwrap();
    let mut unpacked = Vec::new();
    let mut reader = lzma_rust2::XzReader::new(&*packed, false);
    std::io::Read::read_to_end(&mut reader, &mut unpacked).unwrap();
    assert!(unpacked == plain);
    assert!(packed.len() < plain.len());
}
