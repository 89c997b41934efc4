// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is missing, and what that means for whoever analyses the image.

use crate::gathered::Gathered;
use crate::scale::float;
use crate::words::{count, percent, size};
use linpmem_cli::printable;
use linpmem_manifest::State;
use linpmem_phys::{PAGE_SIZE, RegionKind};

/// How an acquisition ended, in a few words, and how that is shown.
pub(crate) fn verdict(gathered: &Gathered) -> (&'static str, String) {
    let Some(footer) = &gathered.footer else {
        let text = match &gathered.written {
            Some(_) => "Whole; the run was killed before it could say so",
            None => "INCOMPLETE: the run was killed",
        };
        return ("bad", text.to_owned());
    };
    match footer.state {
        State::Complete => ("good", "Complete".to_owned()),
        State::CompleteWithUnreadable => {
            let pages = count(footer.unreadable_pages, "page");
            (
                "fair",
                format!("Complete, but for {pages} that could not be read"),
            )
        }
        State::Interrupted => ("bad", "INCOMPLETE: the run was interrupted".to_owned()),
        State::Failed => ("bad", "INCOMPLETE: the run failed".to_owned()),
    }
}

/// A sentence or two for each thing that is missing, or may mislead.
pub(crate) fn remarks(gathered: &Gathered) -> Vec<String> {
    let mut remarks = Vec::new();
    end(gathered, &mut remarks);
    let pages = gathered.unreadable_pages;
    if pages > 0 {
        let bytes = pages.saturating_mul(PAGE_SIZE.get());
        let share = float(bytes) / float(gathered.written_bytes.max(1));
        remarks.push(format!(
            "{} ({}, {} of the image) could not be read, and are zero in the image. What was \
             there looks empty: a list that leads there ends early, and a structure in it has no \
             values. The pages are listed below.",
            count(pages, "page"),
            size(bytes),
            percent(share)
        ));
    }
    for (name, kind) in &gathered.kinds {
        let left_out = kind.listed.saturating_sub(kind.requested);
        if left_out == 0 {
            continue;
        }
        let what = size(left_out);
        let meaning = match RegionKind::from_name(name) {
            RegionKind::SystemRam => {
                "The kernel's structures and processes that lie there are missing."
            }
            _ => {
                "The kernel and its processes do not need it; what firmware or devices keep there \
                 cannot be examined."
            }
        };
        remarks.push(format!(
            "{what} of the kind \u{201c}{name}\u{201d} were not asked for, and are not in the image. {meaning}"
        ));
    }
    let is_live = gathered.header.source.kind != "file";
    if is_live && gathered.header.frozen.is_empty() && gathered.timeline.seconds() > 0.0 {
        remarks.push(
            "The machine went on running while its memory was read, so that parts of the image are \
             of different moments. Structures that were changed meanwhile may contradict each other."
                .to_owned(),
        );
    }
    if let Some(totals) = &gathered.second_pass {
        remarks.push(format!(
            "A second reading found that {} of {} ({}) had changed since the first.",
            count(totals.changed_pages, "page"),
            count(totals.pages, "page"),
            percent(float(totals.changed_pages) / float(totals.pages.max(1)))
        ));
    }
    if gathered.artifacts().is_none() {
        remarks.push(
            "No artifacts were kept with the memory, such as the kernel's symbols and types: tools \
             need them from elsewhere, for exactly this kernel."
                .to_owned(),
        );
    }
    remarks
}

/// What an early end means.
fn end(gathered: &Gathered, remarks: &mut Vec<String>) {
    let is_whole = match &gathered.footer {
        Some(footer) => footer.state.is_whole(),
        None => gathered.written.is_some(),
    };
    if let Some(error) = gathered
        .footer
        .as_ref()
        .and_then(|footer| footer.error.as_deref())
    {
        remarks.push(format!(
            "The run ended with an error: {}.",
            printable(error)
        ));
    }
    if !is_whole {
        let planned = gathered.header.image.planned_bytes;
        let missing = planned.saturating_sub(gathered.written_bytes);
        remarks.push(format!(
            "{} of {} that were to be read are not in the image. What lies there is missing, \
             whatever a tool shows in its place.",
            size(missing),
            size(planned)
        ));
    }
    let has_sum = gathered
        .footer
        .as_ref()
        .is_some_and(|footer| footer.file.sha256.is_some());
    if is_whole && !has_sum {
        remarks.push(
            "The file as a whole has no hash here. The manifest has a hash of each chunk of memory, \
             which `linpmem-dump verify` compares."
                .to_owned(),
        );
    }
}
