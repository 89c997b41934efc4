// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing an image in one go, for programs without a pipeline of their own.

use crate::{Chunk, ImageOutput, ImagePlan, ImageWriter, OutputError, WriteError};
use bytes::Bytes;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{PhysLen, ReadPhys, Unreadables};
use std::io::Write;

/// Memory in a chunk.
const CHUNK: PhysLen = PhysLen::new(1 << 20);

/// Bytes written at a time where a format has zeros.
const ZEROS: &[u8] = &[0; 64 << 10];

/// Writes the image that `plan` describes, with memory from `source`, and returns what
/// could not be read. `writer` must have been made for `plan`.
///
/// One thread does all the work. A program that needs speed makes [`Chunk`]s itself and
/// runs [`ImageWriter::encoder`] on several threads.
///
/// # Errors
/// If `source` fails as a whole, the format cannot express the image, or `out` failed.
/// The output is incomplete then.
///
/// # Examples
/// See the [crate's documentation](crate#writing).
pub fn write_image(
    source: &dyn ReadPhys,
    plan: &ImagePlan,
    writer: &mut dyn ImageWriter,
    out: &mut dyn ImageOutput,
) -> Result<Unreadables, WriteError> {
    let mut all = Unreadables::new();
    writer.begin(out)?;
    for planned in plan.ranges() {
        for piece in planned.range.pieces(CHUNK) {
            let mut data = vec![0; u64_as_usize(piece.len().get())];
            let mut unreadable = Unreadables::new();
            source.read_phys(piece.start(), &mut data, &mut unreadable)?;
            let chunk = Chunk::new(piece.start(), Bytes::from(data), unreadable.as_slice());
            writer.chunk(&chunk, out)?;
            all.append(&unreadable);
        }
    }
    writer.finish(out)?;
    Ok(all)
}

/// An output that passes the bytes of an image on to a [`Write`]: a file, a pipe, a
/// `Vec<u8>`. It compresses nothing and leaves no holes.
///
/// It does not flush: use [`into_inner`](Self::into_inner) and do it there.
#[derive(Debug)]
pub struct StreamOutput<W> {
    inner: W,
    position: u64,
}

impl<W: Write> StreamOutput<W> {
    /// An output to `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, position: 0 }
    }

    /// What the image was written to.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> ImageOutput for StreamOutput<W> {
    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.inner.write_all(bytes).map_err(|source| OutputError {
            position: self.position,
            source,
        })?;
        self.position += usize_as_u64(bytes.len());
        Ok(())
    }

    fn zeros(&mut self, len: u64) -> Result<(), OutputError> {
        let mut left = len;
        while left > 0 {
            let (zeros, _) = ZEROS.split_at(u64_as_usize(left).min(ZEROS.len()));
            self.bytes(zeros)?;
            left -= usize_as_u64(zeros.len());
        }
        Ok(())
    }

    fn chunk(&mut self, chunk: &Chunk<'_>) -> Result<(), OutputError> {
        self.bytes(&chunk.data)
    }
}

#[cfg(feature = "raw")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MachineFacts, PlannedRange, raw};
    use linpmem_phys::{
        Errno, MemoryImage, MemoryMap, PhysAddr, PhysRange, Region, RegionKind, Unreadable,
    };

    fn range(start: u64, end: u64) -> PhysRange {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(end)).unwrap()
    }

    #[test]
    fn memory_is_written_in_order_and_what_is_missing_is_listed() {
        let region = Region {
            range: range(0x1000, 0x3000),
            kind: RegionKind::SystemRam,
        };
        let present = MemoryMap::new([region]).unwrap();
        let source = MemoryImage::new(present, vec![7; 0x4000]);
        let kind = RegionKind::SystemRam;
        let planned = [range(0x1000, 0x2000), range(0x2000, 0x4000)]
            .map(|range| PlannedRange { range, kind });
        let plan = ImagePlan::new(planned.to_vec(), MachineFacts::default()).unwrap();
        let mut writer = raw::Writer::new(&plan, raw::Layout::Padded);
        let mut out = StreamOutput::new(Vec::new());
        let unreadable = write_image(&source, &plan, &mut writer, &mut out).unwrap();
        let image = out.into_inner();
        assert_eq!(image.len(), 0x4000);
        assert!(image[..0x1000].iter().all(|&byte| byte == 0));
        assert!(image[0x1000..0x3000].iter().all(|&byte| byte == 7));
        assert!(image[0x3000..].iter().all(|&byte| byte == 0));
        assert_eq!(
            unreadable.as_slice(),
            [Unreadable {
                range: range(0x3000, 0x4000),
                errno: Errno::ENXIO
            }]
        );
    }

    #[test]
    fn zeros_of_any_number_are_written() {
        for len in [0, 1, 0x1_0000, 0x1_0001] {
            let mut out = StreamOutput::new(Vec::new());
            out.zeros(len).unwrap();
            assert_eq!(out.position(), len);
            assert_eq!(out.into_inner(), vec![0; usize::try_from(len).unwrap()]);
        }
    }
}
