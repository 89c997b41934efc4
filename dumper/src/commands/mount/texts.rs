// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said about an image in files of its own.

use crate::text::figures::count;
use crate::text::info::InfoDocument;
use linpmem_cli::Document;
use linpmem_formats::StoredRange;
use linpmem_mount::Text;
use linpmem_phys::num::len_bytes;
use linpmem_phys::{Content, PAGE_SIZE, PhysLen, Unreadable};
use std::io::{self, Write};

/// The longest text; it is in memory as long as the image is mounted.
const MAX_BYTES: PhysLen = PhysLen::new(64 << 20);

/// What `info --json` prints.
///
/// # Errors
/// A sentence for people, if that is too long.
pub(super) fn info(document: InfoDocument) -> Result<Text, String> {
    text("info.json", |out| {
        let printed = document.print(true, out);
        printed.map_err(io::Error::other)
    })
}

/// The pages that could not be read, a range on each line: those that the image marks, and those
/// that its manifest lists.
///
/// # Errors
/// A sentence for people, if that is too long.
pub(super) fn unreadable(stored: &[StoredRange], listed: &[Unreadable]) -> Result<Text, String> {
    let marked = stored.iter().filter_map(|stored| match stored.content {
        Content::Unreadable { errno } => Some(Unreadable {
            range: stored.range,
            errno,
        }),
        _ => None,
    });
    let mut all: Vec<_> = marked.flat_map(|item| without(item, listed)).collect();
    all.extend(listed);
    all.sort_by_key(|item| item.range.start());
    text("unreadable.txt", |out| {
        for Unreadable { range, errno } in all {
            let pages = range.len().get().div_ceil(PAGE_SIZE.get());
            let meaning = errno.meaning().or(errno.text()).unwrap_or("unknown");
            writeln!(
                out,
                "{range}, {}: {errno} ({meaning})",
                count(pages, "page")
            )?;
        }
        Ok(())
    })
}

/// The parts of `item` that are not among those that are `listed`, by address: an image that marks
/// pages may know no more than that, and its manifest has the reason.
fn without(item: Unreadable, listed: &[Unreadable]) -> Vec<Unreadable> {
    let errno = item.errno;
    let mut parts = Vec::new();
    let mut rest = Some(item.range);
    let first = listed.partition_point(|known| known.range.end() <= item.range.start());
    for known in listed.iter().skip(first) {
        let Some(range) = rest.filter(|rest| rest.end() > known.range.start()) else {
            break;
        };
        let (before, _) = range.split_at(known.range.start());
        parts.extend(before.map(|range| Unreadable { range, errno }));
        rest = range.split_at(known.range.end()).1;
    }
    parts.extend(rest.map(|range| Unreadable { range, errno }));
    parts
}

fn text(
    name: &'static str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Text, String> {
    let mut content = Bounded(Vec::new());
    match write(&mut content) {
        Ok(()) => Ok(Text {
            name,
            content: content.0,
        }),
        Err(_) => Err(format!(
            "{name} is left out: it would be longer than {MAX_BYTES}; `linpmem-dump info` prints \
             what is in it"
        )),
    }
}

/// Memory that takes so much and no more.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if len_bytes(&self.0).saturating_add(len_bytes(bytes)) > MAX_BYTES.get() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
