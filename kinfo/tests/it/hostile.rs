// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text may be anything if it comes out of an image.

use linpmem_kinfo::kallsyms::{Lines, Reader, Scanner, Symbol};
use linpmem_kinfo::vmcoreinfo::{self, Vmcoreinfo};
use linpmem_kinfo::{iomem, kallsyms};
use proptest::prelude::*;

/// Lines of kallsyms among others, some of them too long.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        "[0-9a-f]{7,17} [a-zA-Z] [a-z_]{1,20}",
        "[0-9a-f]{16} t [a-z_]{1,20}\t\\[[a-z]{1,8}\\]",
        "[ -~]{0,30}",
        "x{4000,5000}",
    ];
    let raw = prop::collection::vec(any::<u8>(), 0..40);
    let line = prop_oneof![4 => line.prop_map(String::into_bytes), 1 => raw];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join(&b'\n'))
}

fn key(symbol: &Symbol<'_>) -> (u64, char, String, Option<String>) {
    let module = symbol.module.map(str::to_owned);
    let (address, letter) = (symbol.address, symbol.kind.letter());
    (address, letter, symbol.name.to_owned(), module)
}

proptest! {
    #[test]
    fn symbols_are_the_same_however_the_text_is_cut(text in lines(), step in 1_usize..6000) {
        let mut scanned = Vec::new();
        let mut scanner = Scanner::default();
        for piece in text.chunks(step) {
            scanner.feed(piece, |symbol| scanned.push(key(symbol)));
        }
        scanner.finish(|symbol| scanned.push(key(symbol)));
        let listed: Vec<_> = Lines::new(&text)
            .filter_map(|symbol| symbol.ok().map(|symbol| key(&symbol)))
            .collect();
        prop_assert_eq!(&scanned, &listed);
        // The reader gives up at the first line that is too long.
        let mut reader = Reader::new(&*text);
        let mut read = Vec::new();
        while let Ok(Some(symbol)) = reader.next_symbol() {
            read.push(key(&symbol));
        }
        prop_assert!(listed.starts_with(&read));
        prop_assert!(read == listed || text.len() >= 4096);
    }

    #[test]
    fn any_bytes_are_facts_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let info = Vmcoreinfo::new(&bytes);
        prop_assert!(!info.as_bytes().contains(&0));
        prop_assert!(info.lines().count() <= bytes.len());
        let _ = (info.kernel_page_table(), info.kaslr_offset(), info.paging_levels());
        let _ = vmcoreinfo::parse_location(&String::from_utf8_lossy(&bytes));
        let _ = kallsyms::Symbol::parse(&bytes);
        let _ = iomem::parse(&bytes);
    }

    #[test]
    fn entries_are_in_the_order_of_the_text(
        ranges in prop::collection::vec((0..1_u64 << 52, 0..1_u64 << 40, 0_usize..5), 1..20),
    ) {
        let text: String = ranges
            .iter()
            .map(|(first, len, depth)| {
                let blanks = " ".repeat(depth * 2);
                format!("{blanks}{first:08x}-{:08x} : {depth} : name\n", first + len)
            })
            .collect();
        let hidden = ranges.iter().all(|(first, len, _)| (*first, *len) == (0, 0));
        match iomem::parse(text.as_bytes()) {
            Ok(listing) => {
                prop_assert_eq!(&listing.odd, &[]);
                let found: Vec<_> = listing
                    .entries
                    .iter()
                    .map(|entry| {
                        let range = entry.range;
                        (range.start().get(), range.len().get() - 1, entry.depth)
                    })
                    .collect();
                prop_assert_eq!(found, ranges);
            }
            Err(error) => prop_assert!(hidden, "{}", error),
        }
    }
}
