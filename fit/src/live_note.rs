// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the running kernel tells debuggers about itself, in the note VMCOREINFO of
//! /proc/kcore. It was computed by the compiler, independently of the BTF.

use crate::error::FitError;
use crate::explanation::Explanation;
use crate::live_kernel::LiveKernel;
use crate::sources::Sources;
use linpmem_core::layout::{ABSENT, Layout};
use linpmem_kinfo::notes::Notes;
use linpmem_kinfo::vmcoreinfo::Vmcoreinfo;

/// Compares the facts with the note, as far as it has them and may be read.
pub(crate) fn compare(sources: &Sources, told: &mut Explanation) -> Result<(), FitError> {
    // Who may not read memory gets no note; the facts need not have it.
    let Some(live) = LiveKernel::open(sources) else {
        return Ok(());
    };
    let Some(notes) = live.notes() else {
        return Ok(());
    };
    let Some(info) = Vmcoreinfo::from_notes(Notes::new(&notes)) else {
        return Ok(());
    };
    let origin = format!("the note VMCOREINFO of {}", live.origin);
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
