// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a manifest, read line by line, chunk by chunk and as a whole.
#![no_main]

#[path = "../../../formats/fuzz/fuzz_targets/allocations.rs"]
mod allocations;

use libfuzzer_sys::fuzz_target;
use linpmem_manifest::{Chunks, EncryptionRecord, ReadError, Reader, parse};
use std::path::Path;

fuzz_target!(|data: &[u8]| {
    if let Ok(record) = EncryptionRecord::parse(data) {
        let text = record.to_text().expect("it was read from such a text");
        assert_eq!(EncryptionRecord::parse(&text).ok(), Some(record));
    }
    let path = Path::new("manifest");
    let records: Result<Vec<_>, ReadError> = Reader::new(data, path).collect();
    let whole = parse(data, path);
    assert_eq!(records.is_ok(), whole.is_ok());
    let mut end = None;
    let mut count = 0;
    for chunk in Chunks::new(Reader::new(data, path)) {
        let Ok(listed) = chunk else {
            assert!(whole.is_err());
            return;
        };
        let addresses = listed.chunk.addresses;
        assert!(end.is_none_or(|end| end <= addresses.start()));
        end = Some(addresses.end());
        count += 1;
    }
    let (Ok(records), Ok(whole)) = (records, whole) else {
        panic!("the chunks of something that is not a manifest");
    };
    assert_eq!(
        whole.ranges.iter().map(|range| range.chunks).sum::<u64>(),
        count
    );
    // What was read can be written, and reads back the same.
    let mut again = Vec::new();
    for record in &records {
        record.write_line(&mut again).expect("a vector takes all");
    }
    let again: Result<Vec<_>, ReadError> = Reader::new(again.as_slice(), path).collect();
    assert_eq!(again.expect("what was written is read"), records);
});
