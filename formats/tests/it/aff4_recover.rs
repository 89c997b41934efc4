// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recovering AFF4 volumes whose acquisition did not finish.

use crate::aff4_images::{mixed, open, options};
use crate::outputs::VecOutput;
use linpmem_formats::{ImageReader, aff4};
use linpmem_phys::{Content, ReadPhys, Unreadables};
use std::sync::Arc;

#[test]
fn a_volume_cut_anywhere_keeps_its_complete_segments() {
    let whole = mixed().image(options(aff4::Compression::Snappy));
    let mut most = 0;
    for cut in (0..whole.len()).step_by(4099) {
        let source = &whole[..cut];
        match aff4::Reader::open(vec![Arc::new(source.to_vec())]) {
            Ok(image) => assert!(image.truncation().is_some(), "{cut}"),
            Err(error) => assert!(matches!(error, aff4::Error::NoDirectory), "{cut}"),
        }
        let mut out = VecOutput::default();
        let recovery = match aff4::recover(&source, &mut out) {
            Ok(recovery) => recovery,
            Err(aff4::RecoverError::Nothing) if cut < 200 => continue,
            Err(error) => panic!("{cut}: {error}"),
        };
        let Some(mapped) = recovery.mapped_bytes else {
            // The description was complete, or not even the journal was.
            continue;
        };
        assert!(mapped >= most, "{cut}");
        most = mapped;
        let image = open(out.0);
        image
            .verify(|check| assert_eq!(check.verdict, aff4::Verdict::Match, "{check:?}"))
            .unwrap();
        let mut readable = 0;
        for stored in image.ranges() {
            let (data, _) = mixed().read(stored.range);
            let mut buf = vec![0xee; data.len()];
            let mut unreadable = Unreadables::new();
            image
                .read_phys(stored.range.start(), &mut buf, &mut unreadable)
                .unwrap();
            match stored.content {
                Content::Data => {
                    assert!(buf == data, "{cut}: {}", stored.range);
                    assert!(unreadable.is_empty(), "{cut}: {}", stored.range);
                    readable += stored.range.len().get();
                }
                _ => assert_eq!(unreadable.total(), stored.range.len()),
            }
        }
        assert!(readable <= mapped);
    }
    assert!(most > 0x10_0000, "{most:#x}");
}

#[test]
fn complete_volumes_and_other_files_are_refused() {
    let whole = mixed().image(options(aff4::Compression::Snappy));
    let mut out = VecOutput::default();
    let told = aff4::recover(&whole, &mut out);
    assert!(matches!(told, Err(aff4::RecoverError::Whole)));
    for nothing in [&b""[..], b"PK\x03\x04", &[0; 4096], &whole[1..]] {
        // Without its first byte, the volume still has its directory.
        let told = aff4::recover(&nothing, &mut out);
        assert!(
            matches!(
                told,
                Err(aff4::RecoverError::Nothing | aff4::RecoverError::Whole)
            ),
            "{told:?}"
        );
    }
    assert!(out.0.is_empty());
}
