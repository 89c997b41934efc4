// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header of a stream and of its records (`makedumpfile_header` and
//! `makedumpfile_data_header` of makedumpfile.h). All numbers big-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 16 | `makedumpfile`, then zeros |
//! | 16 | 8 | type, 1 |
//! | 24 | 8 | version, 1 |
//! | 32 | 4064 | 0 |
//!
//! then records, the last of which has -1 twice and no bytes:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | where the bytes belong |
//! | 8 | 8 | how many there are |
//! | 16 | | the bytes |

/// Bytes before the first record.
pub(crate) const HEADER_BYTES: usize = 4096;
/// Bytes of a record's header.
pub(crate) const RECORD_BYTES: usize = 16;

const SIGNATURE: [u8; 16] = *b"makedumpfile\0\0\0\0";
const TYPE: i64 = 1;
const VERSION: i64 = 1;

/// The last record.
pub(crate) const END: [u8; RECORD_BYTES] = [0xff; RECORD_BYTES];

/// The stream's header.
pub(crate) fn header() -> [u8; HEADER_BYTES] {
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

/// The header of a record of `len` bytes that belong at `offset`.
pub(crate) fn record_header(offset: u64, len: u64) -> [u8; RECORD_BYTES] {
    let mut header = [0; RECORD_BYTES];
    let fields = offset.to_be_bytes().into_iter().chain(len.to_be_bytes());
    for (byte, value) in header.iter_mut().zip(fields) {
        *byte = value;
    }
    header
}
