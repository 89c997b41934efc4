// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every target does with a volume that opens.

use linpmem_formats::{ImageReader, aff4};
use linpmem_phys::{ReadPhys, Unreadables};
use std::sync::Arc;

/// Opens `bytes` and reads up to 64 KiB of its first ranges.
pub fn exercise(bytes: Vec<u8>) {
    let Ok(image) = aff4::Reader::open(vec![Arc::new(bytes)]) else {
        return;
    };
    let mut unreadable = Unreadables::new();
    for stored in image.ranges().iter().take(8) {
        let len = usize::try_from(stored.range.len().get().min(0x1_0000)).unwrap_or(0);
        let mut buf = vec![0; len];
        image
            .read_phys(stored.range.start(), &mut buf, &mut unreadable)
            .expect("an image does not fail as a whole");
    }
    for pair in image.ranges().windows(2) {
        assert!(pair[0].range.end() <= pair[1].range.start());
    }
    for file in image.files() {
        let _ = image.file(&file.urn);
    }
    // How long that may take is in the budget.
    let _ = image.verify(|_| {});
}
