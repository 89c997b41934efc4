// SPDX-License-Identifier: MIT OR Apache-2.0
//! An ELF core as a file: its headers are in memory, its data is read when it is asked for.

use crate::memory_file::read_memory;
use crate::part::copy;
use linpmem_formats::{ImagePlan, ImageReader, ImageWriter, StreamOutput, WriteError, elf};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Errno, PhysRange};
use std::sync::Arc;

/// The core that the writer of the format would write.
pub(crate) struct CoreFile {
    image: Arc<dyn ImageReader>,
    /// Everything before the first byte of memory.
    head: Vec<u8>,
    /// Where each range begins, by offset, which is by address, too.
    data: Vec<(u64, PhysRange)>,
    size: u64,
}

impl CoreFile {
    pub(crate) fn new(image: Arc<dyn ImageReader>, plan: &ImagePlan) -> Result<Self, WriteError> {
        let mut writer = elf::Writer::new(plan)?;
        let mut head = StreamOutput::new(Vec::new());
        writer.begin(&mut head)?;
        let ranges = plan.ranges().iter().enumerate();
        let data: Vec<_> = ranges
            .filter_map(|(index, planned)| Some((writer.data_offset(index)?, planned.range)))
            .collect();
        let head = head.into_inner();
        let size = data.last().map_or(usize_as_u64(head.len()), |(at, range)| {
            at.saturating_add(range.len().get())
        });
        Ok(Self {
            image,
            head,
            data,
            size,
        })
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn read(&self, at: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let len = usize_as_u64(buf.len()).min(self.size.saturating_sub(at));
        let (target, _) = buf.split_at_mut(u64_as_usize(len));
        let whole = target.len();
        let done = copy(&self.head, at, target);
        let (_, mut rest) = target.split_at_mut(done);
        let mut at = at.saturating_add(usize_as_u64(done));
        while !rest.is_empty() {
            let after = self.data.partition_point(|&(offset, _)| offset <= at);
            let piece = after.checked_sub(1).and_then(|index| self.data.get(index));
            // Ranges are back to back, behind the head.
            let &(offset, range) = piece.ok_or(Errno::EIO)?;
            let within = at.saturating_sub(offset);
            let left = range.len().get().saturating_sub(within);
            if left == 0 {
                return Err(Errno::EIO);
            }
            let len = left.min(usize_as_u64(rest.len()));
            let (target, tail) = rest.split_at_mut(u64_as_usize(len));
            read_memory(
                &*self.image,
                range.start().get().saturating_add(within),
                target,
            )?;
            at = at.saturating_add(len);
            rest = tail;
        }
        Ok(whole)
    }
}
