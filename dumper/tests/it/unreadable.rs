// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages that cannot be read.

use crate::fake::{Fake, manifest_of, page, range, verify};
use linpmem_formats::open_image;
use linpmem_manifest::State;
use linpmem_phys::{Errno, PhysAddr, Unreadables};

fn refusing() -> Fake {
    Fake {
        refused: vec![
            (range(0x2000, 0x2fff), Errno::EIO),
            // Across the boundary of two chunks.
            (range(0x1f_e000, 0x20_1fff), Errno::new(133)),
            (range(0x20_2000, 0x20_2fff), Errno::EIO),
            // The very last page.
            (range(0x1_00ff_e000, 0x1_00ff_efff), Errno::new(4000)),
        ],
        ..Fake::default()
    }
}

#[test]
fn are_zero_in_the_image_and_listed_with_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.core", "b.core.zst"] {
        let summary = refusing().acquire(folder.path(), &[name]).unwrap();
        assert_eq!(summary.exit_status().code(), 3);
        assert_eq!(summary.acquired.outcome.unreadable_pages, 7);
        let words = summary.to_string();
        assert!(words.contains("unreadable: 7 pages"), "{words}");
        assert!(words.contains("0x2000-0x2fff EIO ("), "{words}");

        let manifest = manifest_of(&summary);
        assert_eq!(manifest.footer.state, State::CompleteWithUnreadable);
        assert_eq!(manifest.footer.unreadable_pages, 7);
        let listed: Vec<_> = manifest
            .ranges
            .iter()
            .flat_map(|range| &range.unreadable)
            .map(|part| {
                let range = part.range;
                let (start, last) = (range.start().get(), range.last().get());
                (start, last, range.len().pages(), part.errno.get())
            })
            .collect();
        assert_eq!(
            listed,
            [
                (0x2000, 0x2fff, 1, 5),
                (0x1f_e000, 0x20_1fff, 4, 133),
                (0x20_2000, 0x20_2fff, 1, 5),
                (0x1_00ff_e000, 0x1_00ff_efff, 1, 4000),
            ]
        );
        let pages: Vec<_> = manifest
            .ranges
            .iter()
            .map(|range| range.end.unreadable_pages)
            .collect();
        assert_eq!(pages, [1, 5, 1]);

        let image = folder.path().join(name);
        assert_eq!(verify(&image).0, 0);
        let image = open_image(&image).unwrap();
        let mut got = [1; 4096];
        for (start, expected) in [
            (0x2000, [0; 4096]),
            (0x20_1000, [0; 4096]),
            (0x1f_d000, page(0x1f_d000)),
            (0x20_3000, page(0x20_3000)),
        ] {
            image
                .read_phys(PhysAddr::new(start), &mut got, &mut Unreadables::new())
                .unwrap();
            assert!(got == expected, "{start:#x}");
        }
    }
}

#[test]
fn very_many_stretches_are_listed_too() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake {
        refused: (0..1790_u64)
            .map(|number| {
                let start = 0x10_0000 + number * 4096;
                (
                    range(start, start + 4095),
                    Errno::new(if number % 2 == 0 { 5 } else { 6 }),
                )
            })
            .collect(),
        ..Fake::default()
    };
    let summary = fake.acquire(folder.path(), &["a.core"]).unwrap();
    let manifest = manifest_of(&summary);
    assert_eq!(manifest.ranges[1].unreadable.len(), 1790);
    assert_eq!(manifest.footer.unreadable_pages, 1790);
    assert_eq!(verify(&folder.path().join("a.core")).0, 0);
}
