// SPDX-License-Identifier: MIT OR Apache-2.0
//! makedumpfile's flattened stream, written: pieces of a file, each with its
//! place, so that what belongs to the front can come last.

use super::flattened::{END, HEADER_BYTES, header, record_header};
use crate::{ImageOutput, WriteError};
use bytes::Bytes;
use linpmem_phys::num::len_bytes;

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

    /// The same for bytes that nobody needs to copy.
    pub(super) fn shared(
        self,
        offset: u64,
        bytes: &Bytes,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        if !bytes.is_empty() {
            out.bytes(&record_header(offset, len_bytes(bytes)))?;
            out.shared(bytes)?;
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
