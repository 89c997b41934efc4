// SPDX-License-Identifier: MIT OR Apache-2.0
//! The notes of a dump, and the machine that it is of.

use super::Error;
use crate::core_note::Noted;
use crate::{CoreNote, ReadAt};
use linpmem_kinfo::layout::Architecture;
use linpmem_kinfo::{notes, vmcoreinfo};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

/// What `uname -m` says on machines of other kinds, or how that begins.
const OTHER_MACHINES: [&str; 16] = [
    "i386",
    "i486",
    "i586",
    "i686",
    "aarch64_be",
    "arm",
    "ppc",
    "s390",
    "riscv",
    "mips",
    "loongarch",
    "sparc",
    "ia64",
    "alpha",
    "parisc",
    "sh4",
];

/// The machine that the dump is of, by its notes, if they tell, or else by the `name` in the
/// header; `None` if neither tells: QEMU from version 10 on calls every machine `Unknown`,
/// and older ones leave the name empty. A dump of a machine that this project does not know
/// is refused.
pub(super) fn machine_of(
    name: &[u8],
    noted: Option<Noted>,
    warnings: &mut Vec<String>,
) -> Result<Option<Architecture>, Error> {
    let name = String::from_utf8_lossy(name);
    let named = Architecture::from_name(&name);
    let is_other = || OTHER_MACHINES.iter().any(|other| name.starts_with(other));
    match noted {
        Some(Noted::Known(known)) => {
            let differs = named.map_or_else(is_other, |named| named != known);
            if differs {
                warnings.push(format!(
                    "the header says that the dump is of another kind of machine ({name}), but \
                     its notes are of {known}: they count"
                ));
            }
            Ok(Some(known))
        }
        None if named.is_some() => Ok(named),
        None if !is_other() => {
            warnings.push("the dump does not say of which kind of machine it is".to_owned());
            Ok(None)
        }
        _ => Err(Error::NotThisKind("it is of another architecture")),
    }
}

/// The most bytes of notes to read.
pub(super) const MAX_NOTES_BYTES: u64 = 64 << 20;

/// The most notes to read. 8192 processors have a few each.
const MAX_NOTES: usize = 1 << 16;

/// The VMCOREINFO text in the notes, and the other notes. Without them, the memory can
/// still be read.
pub(super) fn noted(
    source: &impl ReadAt,
    offset: u64,
    len: u64,
    warnings: &mut Vec<String>,
) -> (Option<Vec<u8>>, Vec<CoreNote>) {
    let (mut vmcoreinfo, mut others) = (None, Vec::new());
    if len == 0 {
        return (vmcoreinfo, others);
    }
    // Before there is memory for them.
    let end = offset.checked_add(len);
    let is_there = len <= MAX_NOTES_BYTES && end.is_some_and(|end| end <= source.len());
    let mut bytes = vec![0; if is_there { u64_as_usize(len) } else { 0 }];
    if !is_there || source.read_exact_at(offset, &mut bytes).is_err() {
        warnings.push(format!(
            "its notes of {len} bytes cannot be read: they are beyond the end of the file, or \
             larger than 64 MiB"
        ));
        return (vmcoreinfo, others);
    }
    for note in notes::Notes::new(&bytes).take(MAX_NOTES) {
        match note {
            Ok(note) if note.name == vmcoreinfo::NOTE_NAME => {
                let is_text = usize_as_u64(note.content.len()) <= vmcoreinfo::MAX_BYTES;
                vmcoreinfo = vmcoreinfo.or(is_text.then(|| note.content.to_vec()));
            }
            Ok(note) => others.push(CoreNote {
                name: note.name.to_vec(),
                kind: note.kind,
                content: note.content.to_vec(),
            }),
            Err(error) => warnings.push(error.to_string()),
        }
    }
    (vmcoreinfo, others)
}
