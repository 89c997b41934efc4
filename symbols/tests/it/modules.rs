// SPDX-License-Identifier: MIT OR Apache-2.0
//! Types of modules.

use crate::assembler::Assembler;
use crate::kernel::{at, facts, json_of};
use linpmem_symbols::SymbolFileError;

#[test]
fn they_go_on_where_the_kernels_end() {
    let mut base = Assembler::new();
    let int = base.int("int", 4, 1);
    let inode = base.structure("inode", 8, &[("i_no", int, 32)]);
    let one = {
        let mut btf = Assembler::on(&base);
        let own = btf.structure("", 4, &[("one", int, 0)]);
        btf.structure("fs_inode", 16, &[("vfs", inode, 0), ("own", own, 64)]);
        btf.structure("inode", 99, &[]);
        btf.bytes()
    };
    let two = {
        let mut btf = Assembler::on(&base);
        let own = btf.structure("", 4, &[("two", int, 0)]);
        btf.structure("net_inode", 8, &[("own", own, 0)]);
        btf.bytes()
    };
    let modules = [("fs".to_owned(), one), ("net".to_owned(), two)];
    let file = json_of(facts(&base.bytes(), &modules)).unwrap();
    let types = |path: &str| at(&file, &format!("/user_types/{path}")).clone();
    assert_eq!(types("fs_inode/fields/vfs/type/name"), "inode");
    // The kernel's own, whatever a module calls so.
    assert_eq!(types("inode/fields/i_no/offset"), 4);
    // Both have the same number.
    for (of, field) in [("fs_inode", "one"), ("net_inode", "two")] {
        let name = types(&format!("{of}/fields/own/type/name"));
        let name = name.as_str().unwrap();
        types(&format!("{name}/fields/{field}"));
    }
    assert_eq!(
        at(&file, "/metadata/linux/types").as_array().unwrap().len(),
        3
    );
}

#[test]
fn the_damaged_module_is_named() {
    let mut base = Assembler::new();
    base.int("int", 4, 1);
    let modules = [("bad".to_owned(), b"\x9f\xeb\x01\0".to_vec())];
    let error = json_of(facts(&base.bytes(), &modules)).unwrap_err();
    assert!(matches!(&error, SymbolFileError::Module { name, .. } if name == "bad"));
    assert!(error.to_string().contains("module bad"), "{error}");
}
