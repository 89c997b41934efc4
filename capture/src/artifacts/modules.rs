// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel modules: /proc/modules (`m_show` in kernel/module/procfs.c), and the build ids
//! in /sys/module.

use super::machine::Module;
use super::machine_files::{MODULES, MachineFiles};
use linpmem_kinfo::notes::{self, Notes};
use linpmem_manifest::Address;
use linpmem_phys::hex;

/// A longer note is not that of a build id.
const MAX_NOTE_BYTES: u64 = 4096;
/// Longer lists, and further modules, are not the kernel's.
const MAX_LIST_BYTES: u64 = 4 << 20;
const MAX_MODULES: usize = 4096;

/// The modules that the kernel has loaded.
pub(super) fn modules(files: &MachineFiles) -> Vec<Module> {
    let list = files.bytes(MODULES, MAX_LIST_BYTES).unwrap_or_default();
    String::from_utf8_lossy(&list)
        .lines()
        .filter_map(parse)
        .take(MAX_MODULES)
        .map(|module| Module {
            build_id: build_id_of(files, &module.name),
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
    let address = hex::parse_prefixed_u64(words.next()?)?;
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

fn build_id_of(files: &MachineFiles, module: &str) -> Option<String> {
    if module.contains(['/', '.']) {
        return None;
    }
    let path = format!("sys/module/{module}/notes/.note.gnu.build-id");
    build_id(&files.bytes(&path, MAX_NOTE_BYTES).ok()?)
}

/// The build id among the ELF notes in `bytes`, hexadecimal.
pub(super) fn build_id(bytes: &[u8]) -> Option<String> {
    notes::build_id(Notes::new(bytes)).map(hex::encode)
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
        let modules = modules(&MachineFiles::at(folder.path().to_path_buf(), None));
        assert_eq!(modules.len(), 3);
        assert_eq!(modules[0].build_id.as_deref(), Some("01abcd"));
        assert_eq!(modules[0].address, Some(Address(0xffff_ffff_c021_2000)));
        assert_eq!(modules[0].taints.as_deref(), Some("OE"));
        assert_eq!((modules[1].address, modules[1].size), (None, 4096));
        // Its name and content have 4 and 3 bytes, padded, after 12 bytes of header.
        for cut in 0..note.len() {
            let expected = (cut >= note.len() - 1).then(|| "01abcd".to_owned());
            assert_eq!(build_id(&note[..cut]), expected, "{cut}");
        }
        assert_eq!(build_id(&[0xff; 64]), None);
    }
}
