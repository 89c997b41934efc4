// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the running kernel tells debuggers about itself, in the note VMCOREINFO of
//! /proc/kcore. It was computed by the compiler, independently of the BTF.

use crate::error::FitError;
use crate::explanation::Explanation;
use crate::sources::Sources;
use linpmem_core::layout::{ABSENT, Layout};
use linpmem_kinfo::notes::Notes;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The most program headers, and bytes of notes, that are read.
const MAX_HEADERS: u16 = 4096;
const MAX_NOTES: u64 = 1 << 20;

/// Bytes of the file's header, and of a program header.
const FILE_HEADER: usize = 64;
const HEADER: usize = 56;

/// The type of a segment with notes.
const PT_NOTE: u32 = 4;

/// Compares the facts with the note, as far as it has them and may be read.
pub(crate) fn compare(sources: &Sources, told: &mut Explanation) -> Result<(), FitError> {
    // Who may not read memory gets no note; the facts need not have it.
    let Ok(Some((path, file))) = sources.kcore.open() else {
        return Ok(());
    };
    let Some(notes) = notes(&file) else {
        return Ok(());
    };
    let Some(info) = Vmcoreinfo::from_notes(Notes::new(&notes)) else {
        return Ok(());
    };
    let origin = format!("the note VMCOREINFO of {}", path.display());
    let mut compared = 0_u32;
    for (what, own, noted) in facts(&told.layout, info) {
        let Some(noted) = noted else {
            continue;
        };
        compared += 1;
        if own != noted {
            return Err(FitError::Disagreement {
                what: what.to_owned(),
                first: own,
                first_source: "the BTF".to_owned(),
                second: noted,
                second_source: origin,
            });
        }
    }
    if let Some(release) = info.release().filter(|release| *release != told.release) {
        return Err(FitError::Disagreement {
            what: "the release".to_owned(),
            first: told.release.clone(),
            first_source: "vermagic".to_owned(),
            second: release.to_owned(),
            second_source: origin,
        });
    }
    told.checks
        .push(format!("{compared} facts are those in {origin}"));
    Ok(())
}

/// A fact as the layout has it, and as the note has it, if it does.
type Pair = (&'static str, String, Option<String>);

fn facts(layout: &Layout, info: Vmcoreinfo<'_>) -> Vec<Pair> {
    let text = |number: u64| number.to_string();
    let pair = |what, own: u32, noted: Option<u64>| (what, text(u64::from(own)), noted.map(text));
    let mut pairs = vec![
        pair(
            "the size of struct page",
            layout.page_size,
            info.size("page"),
        ),
        pair("page.flags", layout.page_flags, info.offset("page.flags")),
        pair(
            "page.compound_head",
            layout.page_compound,
            info.offset("page.compound_head")
                .or_else(|| info.offset("page.compound_info")),
        ),
    ];
    if layout.section_size != ABSENT {
        pairs.push(pair(
            "the size of struct mem_section",
            layout.section_size,
            info.size("mem_section"),
        ));
        pairs.push(pair(
            "mem_section.section_mem_map",
            layout.section_mem_map,
            info.offset("mem_section.section_mem_map"),
        ));
    }
    // A kernel that knows no poisoned pages has no such number.
    let poisoned = info.number("PG_hwpoison");
    let own = match layout.poisoned_bit {
        ABSENT => "no number".to_owned(),
        bit => text(u64::from(bit)),
    };
    pairs.push((
        "PG_hwpoison",
        own,
        poisoned.map(|number| number.to_string()),
    ));
    // The page_type of a page that is offline, all 32 bits of it.
    let offline = info.number("PAGE_OFFLINE_MAPCOUNT_VALUE").map(|number| {
        let [a, b, c, d, ..] = number.to_le_bytes();
        u32::from_le_bytes([a, b, c, d]) & layout.offline_mask
    });
    let offline = offline.map(|value| format!("{value:#010x}"));
    pairs.push((
        "the type of offline pages",
        format!("{:#010x}", layout.offline_type),
        offline,
    ));
    pairs
}

/// The segment with notes.
fn notes(file: &File) -> Option<Vec<u8>> {
    let mut header = [0; FILE_HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    let start = number(&header, 32)?;
    let count = u16::from_le_bytes(*header.get(56..)?.first_chunk()?);
    if !header.starts_with(b"\x7fELF") || count > MAX_HEADERS {
        return None;
    }
    let mut segment = [0; HEADER];
    for index in 0..u64::from(count) {
        let at = start.checked_add(index * usize_as_u64(HEADER))?;
        file.read_exact_at(&mut segment, at).ok()?;
        if u32::from_le_bytes(*segment.first_chunk()?) != PT_NOTE {
            continue;
        }
        let len = number(&segment, 32)?;
        if len > MAX_NOTES {
            return None;
        }
        let mut notes = vec![0; u64_as_usize(len)];
        file.read_exact_at(&mut notes, number(&segment, 8)?).ok()?;
        return Some(notes);
    }
    None
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}
