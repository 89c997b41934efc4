// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing a flattened stream.

use super::layout::{END, HEADER_BYTES, header, record_header};
use crate::{ImageOutput, WriteError};
use bytes::Bytes;
use linpmem_phys::num::usize_as_u64;

/// Writes pieces of a file as records of a flattened stream, so that what belongs to
/// the front of the file can come last.
#[derive(Clone, Copy, Debug)]
pub(in crate::kdump) struct Writer;

impl Writer {
    pub(in crate::kdump) fn begin(self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        let header: [u8; HEADER_BYTES] = header();
        out.bytes(&header)?;
        Ok(())
    }

    /// Writes `bytes`, which belong at `offset` in the file.
    pub(in crate::kdump) fn bytes(
        self,
        offset: u64,
        bytes: &[u8],
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        if !bytes.is_empty() {
            out.bytes(&record_header(offset, usize_as_u64(bytes.len())))?;
            out.bytes(bytes)?;
        }
        Ok(())
    }

    /// As [`bytes`](Self::bytes), without copying where the output supports that.
    pub(in crate::kdump) fn shared(
        self,
        offset: u64,
        bytes: &Bytes,
        out: &mut dyn ImageOutput,
    ) -> Result<(), WriteError> {
        if !bytes.is_empty() {
            out.bytes(&record_header(offset, usize_as_u64(bytes.len())))?;
            out.shared(bytes)?;
        }
        Ok(())
    }

    /// Writes `len` zeros, which belong at `offset` in the file.
    pub(in crate::kdump) fn zeros(
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

    pub(in crate::kdump) fn end(self, out: &mut dyn ImageOutput) -> Result<(), WriteError> {
        out.bytes(&END)?;
        Ok(())
    }
}
