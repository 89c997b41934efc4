// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sums of chunks that lie in the file as they were in memory, several at once.

use super::check::Fault;
use crate::hash::Backend;
use linpmem_formats::ReadAt;
use linpmem_manifest::Sha256Sum;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_sha256::{BLOCK_BYTES, Block, Hasher};

/// Bytes of all chunks together that are read and hashed while they are in a processor's
/// cache.
const STEP_BYTES: usize = 256 << 10;

/// A chunk in the file.
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    /// Where it begins.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
}

/// A chunk of which a part was hashed.
struct Part {
    left: Plain,
    hasher: Hasher,
    buffer: Vec<Block>,
    /// Bytes of the buffer that are not hashed yet.
    read: usize,
    /// What does not fill a block at the end of the chunk.
    end: Vec<u8>,
    fault: Option<Fault>,
}

/// The sum of each chunk, or why it cannot be read.
pub fn sums(
    file: &dyn ReadAt,
    chunks: &[Plain],
    backend: Backend,
) -> Vec<Result<Sha256Sum, Fault>> {
    let step_blocks = STEP_BYTES / BLOCK_BYTES / chunks.len().max(1);
    let mut parts: Vec<Part> = chunks
        .iter()
        .map(|&left| Part::new(left, step_blocks.max(1)))
        .collect();
    while parts.iter().any(|part| part.left.length > 0) {
        parts.iter_mut().for_each(|part| part.read(file));
        backend.update(parts.iter_mut().map(Part::blocks));
        parts.iter_mut().for_each(Part::keep_end);
    }
    let ends = parts.iter().map(|part| (part.hasher.clone(), &*part.end));
    let sums = backend.finish(ends).into_iter().map(Sha256Sum::new);
    parts
        .iter_mut()
        .zip(sums)
        .map(|(part, sum)| part.fault.take().map_or(Ok(sum), Err))
        .collect()
}

impl Part {
    fn new(left: Plain, blocks: usize) -> Self {
        Self {
            left,
            hasher: Hasher::default(),
            buffer: vec![[0; BLOCK_BYTES]; blocks],
            read: 0,
            end: Vec::new(),
            fault: None,
        }
    }

    /// Reads the next bytes: as many as the buffer holds, which are whole blocks, or all
    /// that are left.
    fn read(&mut self, file: &dyn ReadAt) {
        let bytes = self.buffer.as_flattened_mut();
        let step = self.left.length.min(usize_as_u64(bytes.len()));
        let bytes = bytes.get_mut(..u64_as_usize(step)).unwrap_or_default();
        match file.read_exact_at(self.left.offset, bytes) {
            Ok(()) => {
                self.read = bytes.len();
                self.left.offset = self.left.offset.saturating_add(step);
                self.left.length -= step;
            }
            Err(error) => {
                self.fault = Some(Fault::Unreadable(error.to_string()));
                self.left.length = 0;
            }
        }
    }

    fn blocks(&mut self) -> (&mut Hasher, &[Block]) {
        let blocks = self.buffer.get(..self.read / BLOCK_BYTES);
        (&mut self.hasher, blocks.unwrap_or_default())
    }

    fn keep_end(&mut self) {
        let read = self.buffer.as_flattened().get(..self.read);
        let hashed = self.read / BLOCK_BYTES * BLOCK_BYTES;
        let end = read.and_then(|read| read.get(hashed..)).unwrap_or_default();
        self.end.extend_from_slice(end);
        self.read = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use linpmem_formats::FileSource;
    use std::io::Write;

    #[test]
    fn chunks_of_any_length_at_any_place() {
        let bytes: Vec<u8> = (0..3_000_000_u32)
            .map(|n| (n ^ (n >> 7)).to_le_bytes()[0])
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let file = FileSource::new(file).unwrap();
        let mib = 1 << 20;
        let chunks = [
            (0, mib),
            (mib, mib),
            (7, 0),
            (5, 1),
            (2 * mib, 64),
            (99, 65),
            (4096, 300_000),
            (1 << 18, 1 << 18),
            (1, 4095),
            (2 * mib - 1, mib - 200_000),
        ];
        let plain = chunks.map(|(offset, length)| Plain { offset, length });
        for backend in Backend::all().into_iter().chain([Backend::best()]) {
            for count in 0..=chunks.len() {
                let sums = sums(&file, &plain[..count], backend);
                assert_eq!(sums.len(), count);
                for (sum, (offset, length)) in sums.into_iter().zip(chunks) {
                    let range = u64_as_usize(offset)..u64_as_usize(offset + length);
                    assert_eq!(sum, Ok(sha256(&bytes[range])), "{offset}, {length}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_a_fault_of_its_chunk_alone() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[1; 100_000]).unwrap();
        let file = FileSource::new(file).unwrap();
        let plain = [(0, 50_000), (50_000, 50_001), (50_000, 50_000)];
        let plain = plain.map(|(offset, length)| Plain { offset, length });
        let sum = Ok(sha256(&[1; 50_000]));
        let found = sums(&file, &plain, Backend::best());
        assert!(matches!(found[1], Err(Fault::Unreadable(_))));
        assert_eq!([&found[0], &found[2]], [&sum, &sum]);
    }
}
