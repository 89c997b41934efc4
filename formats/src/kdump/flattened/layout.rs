// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of a stream and of its records (`makedumpfile_header` and
//! `makedumpfile_data_header` in makedumpfile.h). All numbers are big-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 16 | `makedumpfile`, then zeros |
//! | 16 | 8 | type, 1 |
//! | 24 | 8 | version, 1 |
//! | 32 | 4064 | 0 |
//!
//! followed by records, the last of which has -1 in both fields and no bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | offset of the bytes in the file |
//! | 8 | 8 | number of bytes |
//! | 16 | | the bytes |

/// Size of the stream's header: the records follow it.
pub(super) const HEADER_BYTES: usize = 4096;
/// Size of the header of a record.
pub(super) const RECORD_BYTES: usize = 16;

const SIGNATURE: [u8; 16] = *b"makedumpfile\0\0\0\0";
const TYPE: i64 = 1;
const VERSION: i64 = 1;

/// The last record.
pub(super) const END: [u8; RECORD_BYTES] = [0xff; RECORD_BYTES];

/// The stream's header.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let fields = SIGNATURE
        .into_iter()
        .chain(TYPE.to_be_bytes())
        .chain(VERSION.to_be_bytes());
    for (byte, value) in header.iter_mut().zip(fields) {
        *byte = value;
    }
    header
}

/// The header of a record of `len` bytes that belong at `offset` in the file.
pub(super) fn record_header(offset: u64, len: u64) -> [u8; RECORD_BYTES] {
    let mut header = [0; RECORD_BYTES];
    let fields = offset.to_be_bytes().into_iter().chain(len.to_be_bytes());
    for (byte, value) in header.iter_mut().zip(fields) {
        *byte = value;
    }
    header
}
