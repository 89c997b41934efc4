// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that changes while it is read, and how that is recorded.

use crate::fake::{Fake, manifest_of, range, verify};
use linpmem_capture::stop::Stop;
use linpmem_dump::args::UsageError;
use linpmem_manifest::{Reader, Record};
use linpmem_phys::{Errno, PhysAddr};

fn restless() -> Fake {
    Fake {
        restless: vec![
            range(0x3000, 0x3fff),
            // Across the boundary of a chunk.
            range(0x1f_f000, 0x20_1fff),
            range(0x1_00ff_e000, 0x1_00ff_efff),
        ],
        refused: vec![(range(0x40_0000, 0x40_1fff), Errno::EIO)],
        ..Fake::default()
    }
}

#[test]
fn pages_that_changed_are_listed_by_range_and_the_image_stays() {
    let all = [
        (0x3000, 0x3fff, 1, 1),
        (0x1f_f000, 0x20_1fff, 3, 3),
        (0x1_00ff_e000, 0x1_00ff_efff, 1, 1),
    ];
    // Hashing the 4 GiB between them is not part of this test.
    let (bare, low) = ("--no-file-hash", "--range=0-0x8fffff");
    for (name, more, expected) in [
        ("a.core", None, &all[..]),
        ("a.raw", None, &all),
        ("a.padded", Some(bare), &all),
        ("a.lime.zst", None, &all),
        ("a.aff4", Some(low), &all[..2]),
        ("a.kdump", None, &all),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut words = vec![name, "--second-pass"];
        words.extend(more);
        let summary = restless().acquire(folder.path(), &words).unwrap();
        assert_eq!(summary.exit_status().code(), 3);
        let pages: u64 = expected.iter().map(|(_, _, pages, _)| pages).sum();
        let said = summary.to_string();
        let words = format!("smear:      {pages} of ");
        assert!(said.contains(&words), "{said}");
        let manifest = manifest_of(&summary);
        let second = manifest.second_pass.unwrap();
        let lines = Reader::open(&summary.acquired.manifest).unwrap();
        let changed: Vec<_> = lines
            .filter_map(|record| match record.unwrap() {
                Record::Changed(part) => {
                    Some((part.start.0, part.last.0, part.pages, part.changed_bytes))
                }
                _ => None,
            })
            .collect();
        assert_eq!(changed, expected, "{name}");
        let planned: u64 = manifest
            .ranges
            .iter()
            .map(|range| range.addresses.len().pages())
            .sum();
        let totals = &second.totals;
        assert_eq!(totals.pages, planned);
        assert_eq!((totals.changed_pages, totals.changed_bytes), (pages, pages));
        assert_eq!((totals.unreadable_pages, &totals.error), (2, &None));
        assert_eq!(second.ranges.len(), manifest.ranges.len());
        let (code, words) = verify(&folder.path().join(name));
        assert_eq!(code, 0, "{words}");
    }
}

#[test]
fn memory_at_rest_has_no_changed_page_and_without_the_option_there_is_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["a.core", "--second-pass"];
    let summary = Fake::default().acquire(folder.path(), &words).unwrap();
    let totals = manifest_of(&summary).second_pass.unwrap().totals;
    assert_eq!((totals.changed_pages, totals.unreadable_pages), (0, 0));
    let summary = Fake::default().acquire(folder.path(), &["b.core"]).unwrap();
    assert!(manifest_of(&summary).second_pass.is_none());
}

#[test]
fn a_second_pass_that_is_stopped_leaves_a_whole_image() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake {
        stop_again_at: Some((PhysAddr::new(0x60_0000), Stop::default())),
        ..restless()
    };
    let words = ["a.core", "--second-pass"];
    let summary = fake.acquire(folder.path(), &words).unwrap();
    assert_eq!(summary.exit_status().code(), 3, "{summary}");
    let manifest = manifest_of(&summary);
    let totals = manifest.second_pass.unwrap().totals;
    assert_eq!(totals.error.as_deref(), Some("stopped"));
    let planned: u64 = manifest
        .ranges
        .iter()
        .map(|range| range.addresses.len().pages())
        .sum();
    assert!(totals.pages < planned, "{} of {planned}", totals.pages);
    let warning = manifest.footer.warnings.join("\n");
    assert!(warning.contains("the second pass ended early"), "{warning}");
    assert_eq!(verify(&folder.path().join("a.core")).0, 0);
}

#[test]
fn an_interrupted_image_is_not_read_again_and_stdout_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake {
        stop_at: Some((PhysAddr::new(0x40_0000), Stop::default())),
        ..Fake::default()
    };
    let words = ["a.core", "--second-pass"];
    let summary = fake.acquire(folder.path(), &words).unwrap();
    assert!(manifest_of(&summary).second_pass.is_none());
    let words = ["-", "--second-pass", "--manifest", "x.json"];
    let cli = <linpmem_dump::args::Cli as clap::Parser>::parse_from(
        ["linpmem-dump"].iter().chain(&words),
    );
    let error = cli.acquire.plan(Vec::new()).unwrap_err();
    assert_eq!(error, UsageError::SecondPassOfStream);
}
