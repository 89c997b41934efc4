// SPDX-License-Identifier: MIT OR Apache-2.0
//! makedumpfile's flattened stream, written: pieces of a file, each with its
//! place, so that what belongs to the front can come last.

use super::flattened::{END, HEADER_BYTES, header, record_header};
use crate::{ImageOutput, WriteError};

/// Writes pieces of a dump as records of a flattened stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream;

impl Stream {
    pub(super) fn begin(self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let header: [u8; HEADER_BYTES] = header();
        out.bytes(&header)?;
        Ok(())
    }

    /// `bytes` lie at `offset` in the dump.
    pub(super) fn bytes(
        self,
        offset: u64,
        bytes: &[u8],
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        if !bytes.is_empty() {
            let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            out.bytes(&record_header(offset, len))?;
            out.bytes(bytes)?;
        }
        Ok(())
    }

    /// `len` zeros lie at `offset` in the dump.
    pub(super) fn zeros(
        self,
        offset: u64,
        len: u64,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        if len > 0 {
            out.bytes(&record_header(offset, len))?;
            out.zeros(len)?;
        }
        Ok(())
    }

    pub(super) fn end(self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        out.bytes(&END)?;
        Ok(())
    }
}
