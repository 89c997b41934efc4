// SPDX-License-Identifier: MIT OR Apache-2.0
//! Modules: /proc/modules (`m_show` in kernel/module/procfs.c), and the build ids
//! in their notes.

use super::items::MODULES;
use super::machine::Module;
use super::tree::Tree;
use linpmem_manifest::Address;
use std::fmt::Write;

/// A module's note of its build id, in full.
const MAX_NOTE_BYTES: u64 = 4096;
/// n_namesz, n_descsz, n_type, 32 bits each.
const HEADER_BYTES: usize = 12;
const NT_GNU_BUILD_ID: u32 = 3;
/// What the list may have, and how many modules are believed.
const MAX_LIST_BYTES: u64 = 4 << 20;
const MAX_MODULES: usize = 4096;

/// The modules of `tree`.
pub(super) fn modules(tree: &Tree) -> Vec<Module> {
    let list = tree.bytes(MODULES, MAX_LIST_BYTES).unwrap_or_default();
    String::from_utf8_lossy(&list)
        .lines()
        .filter_map(parse)
        .take(MAX_MODULES)
        .map(|module| Module {
            build_id: build_id_of(tree, &module.name),
            ..module
        })
        .collect()
}

/// `e1000 180224 0 - Live 0xffffffffc0212000 (OE)`.
fn parse(line: &str) -> Option<Module> {
    let mut words = line.split_ascii_whitespace();
    let name = words.next()?.to_owned();
    let size = words.next()?.parse().ok()?;
    let (_users, _dependents) = (words.next()?, words.next()?);
    let state = words.next()?.to_owned();
    let address = words.next()?.strip_prefix("0x")?;
    let address = u64::from_str_radix(address, 16).ok()?;
    Some(Module {
        name,
        size,
        state,
        address: (address != 0).then_some(Address(address)),
        build_id: None,
        taints: words
            .next()
            .map(|taints| taints.trim_matches(['(', ')']).to_owned()),
    })
}

fn build_id_of(tree: &Tree, module: &str) -> Option<String> {
    if module.contains(['/', '.']) {
        return None;
    }
    let path = format!("sys/module/{module}/notes/.note.gnu.build-id");
    build_id(&tree.bytes(&path, MAX_NOTE_BYTES).ok()?)
}

/// The build id among ELF `notes`, hexadecimal.
pub(super) fn build_id(mut notes: &[u8]) -> Option<String> {
    loop {
        let (header, rest) = notes.split_at_checked(HEADER_BYTES)?;
        let mut fields = header
            .chunks_exact(4)
            .filter_map(|field| Some(u32::from_le_bytes(field.try_into().ok()?)));
        let name_bytes = usize::try_from(fields.next()?).ok()?;
        let content_bytes = usize::try_from(fields.next()?).ok()?;
        let kind = fields.next()?;
        let (name, rest) = rest.split_at_checked(name_bytes.checked_next_multiple_of(4)?)?;
        let content = rest.get(..content_bytes)?;
        if kind == NT_GNU_BUILD_ID && name == b"GNU\0" {
            let mut text = String::new();
            for byte in content {
                let _ = write!(text, "{byte:02x}");
            }
            return Some(text);
        }
        let padded = content_bytes.checked_next_multiple_of(4)?;
        notes = rest.get(padded..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_list_and_the_notes_are_joined() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("proc")).unwrap();
        fs::write(
            folder.path().join(MODULES),
            "linpmem 45056 0 - Live 0xffffffffc0212000 (OE)\nhidden 4096 1 a,b, Loading 0x0000000000000000\n\
             broken line\n../../etc 1 0 - Live 0x1\n",
        )
        .unwrap();
        let notes = folder.path().join("sys/module/linpmem/notes");
        fs::create_dir_all(&notes).unwrap();
        let mut note = vec![];
        for field in [4_u32, 2, 1, u32::from_le_bytes(*b"GNU\0"), 0xeeee] {
            note.extend(field.to_le_bytes());
        }
        for field in [4_u32, 3, 3, u32::from_le_bytes(*b"GNU\0"), 0x00cd_ab01] {
            note.extend(field.to_le_bytes());
        }
        fs::write(notes.join(".note.gnu.build-id"), &note).unwrap();
        let modules = modules(&Tree::at(folder.path().to_path_buf(), None));
        assert_eq!(modules.len(), 3);
        assert_eq!(modules[0].build_id.as_deref(), Some("01abcd"));
        assert_eq!(modules[0].address, Some(Address(0xffff_ffff_c021_2000)));
        assert_eq!(modules[0].taints.as_deref(), Some("OE"));
        assert_eq!((modules[1].address, modules[1].size), (None, 4096));
        for cut in 0..note.len() {
            let _ = build_id(&note[..cut]);
        }
        assert_eq!(build_id(&[0xff; 64]), None);
    }
}
