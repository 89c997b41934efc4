// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random access to the content of a compressed file.

use super::Error;
use super::index::{Entry, Index};
use super::{lz4, snappy};
use crate::cache::Cache;
use crate::{Budget, ReadAt};
use linpmem_phys::num::{u32_as_usize, u64_as_usize, usize_as_u64};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes that one frame may hold, since reading any byte of a frame
/// decompresses all of it, and a few bytes can claim to be any amount.
pub const MAX_CONTENT_BYTES: u32 = 64 << 20;

/// Size of the decompressed frames to keep.
const CACHE_BYTES: usize = 64 << 20;

/// Frames that hold more than this are decompressed one at a time.
const LARGE_BYTES: u32 = 4 << 20;

/// How the frames are compressed.
#[derive(Clone, Copy, Debug)]
enum Compression {
    Zstd,
    Lz4,
    Snappy,
}

/// The content of a frame, or why it is damaged.
type Frame = Result<Vec<u8>, &'static str>;

/// The content of a file of independent zstd, LZ4 or Snappy frames. zstd's seek table
/// lists the frames; without one, opening walks from header to header.
///
/// It needs 32 bytes of memory per frame, up to 64 MiB for decompressed frames, and one
/// frame for each thread that reads, of which only one at a time is larger than 4 MiB.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    compression: Compression,
    index: Index,
    cache: Cache<usize, Frame>,
    /// Held while a large frame is decompressed, so that threads do it one after the
    /// other.
    large: Mutex<()>,
}

impl<S: ReadAt> Reader<S> {
    /// Opens the compressed file `source`.
    ///
    /// # Errors
    /// If it is damaged or not such a file, or has a frame that is larger than
    /// [`MAX_CONTENT_BYTES`] or does not give its size, as `zstd` writes it when it
    /// compresses a pipe. Damage inside a frame is found only when it is read. A file that
    /// was cut off gives what is left of its content, and
    /// [`ends_early`](ReadAt::ends_early).
    pub fn new(source: S) -> Result<Self, Error> {
        Self::within(source, &Budget::default())
    }

    /// As [`new`](Self::new), within `budget`.
    ///
    /// # Errors
    /// As [`new`](Self::new), or if the file needs more than the budget.
    pub fn within(source: S, budget: &Budget) -> Result<Self, Error> {
        let account = budget.open(&source);
        let mut head = [0; snappy::IDENTIFIER.len()];
        let len = u64_as_usize(source.len()).min(head.len());
        let (start, _) = head.split_at_mut(len);
        source
            .read_exact_at(0, start)
            .map_err(|source| Error::Io { offset: 0, source })?;
        let (compression, index) = if head == *snappy::IDENTIFIER {
            (Compression::Snappy, snappy::frames(&source, account)?)
        } else if head.starts_with(&lz4::MAGIC.to_le_bytes()) {
            (Compression::Lz4, lz4::frames(&source, account)?)
        } else {
            (Compression::Zstd, super::zstd::frames(&source, account)?)
        };
        Ok(Self {
            compression,
            index,
            cache: Cache::new(CACHE_BYTES),
            large: Mutex::default(),
            source,
        })
    }

    fn frame(&self, number: usize, entry: Entry) -> io::Result<Arc<Frame>> {
        if let Some(frame) = self.cache.get(&number) {
            return Ok(frame);
        }
        let _turn = if entry.content_bytes > LARGE_BYTES {
            let turn = self.large.lock().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have come first.
            if let Some(frame) = self.cache.get(&number) {
                return Ok(frame);
            }
            self.cache.make_room(u32_as_usize(entry.content_bytes));
            Some(turn)
        } else {
            None
        };
        let mut content = vec![0; u32_as_usize(entry.content_bytes)];
        let frame = Arc::new(match self.decompress(entry, &mut content)? {
            Ok(()) => Ok(content),
            Err(what) => Err(what),
        });
        let bytes = frame.as_ref().as_ref().map_or(0, Vec::len);
        self.cache.put(number, Arc::clone(&frame), bytes);
        Ok(frame)
    }

    /// Decompresses a frame into `content`, which is as long as the frame says.
    fn decompress(&self, entry: Entry, content: &mut [u8]) -> io::Result<Result<(), &'static str>> {
        let mut compressed = vec![0; u32_as_usize(entry.compressed_bytes)];
        self.source
            .read_exact_at(entry.file_offset, &mut compressed)?;
        Ok(match self.compression {
            Compression::Zstd => super::zstd::decompress(entry.form, &compressed, content),
            Compression::Lz4 => lz4::decompress(entry.form, &compressed, content),
            Compression::Snappy => snappy::decompress(&compressed, content),
        })
    }
}

impl<S: ReadAt> ReadAt for Reader<S> {
    fn len(&self) -> u64 {
        self.index.content_bytes()
    }

    fn stored_bytes(&self) -> u64 {
        self.source.stored_bytes()
    }

    fn ends_early(&self) -> bool {
        self.index.is_cut()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut offset = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let (number, entry) = self.index.at(offset).ok_or(io::ErrorKind::UnexpectedEof)?;
            // The index found the entry that holds `offset`.
            let within = u64_as_usize(offset - entry.content_offset);
            let available = u32_as_usize(entry.content_bytes) - within;
            let (target, tail) = rest.split_at_mut(available.min(rest.len()));
            let damaged = |what| {
                let place = entry.file_offset;
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the frame at offset {place} is damaged: {what}"),
                )
            };
            if target.len() == u32_as_usize(entry.content_bytes)
                && self.cache.get(&number).is_none()
            {
                // The caller wants all of it, so the cache would not be used again.
                if let Err(what) = self.decompress(entry, target)? {
                    self.cache.put(number, Arc::new(Err(what)), 0);
                    return Err(damaged(what));
                }
            } else {
                let frame = self.frame(number, entry)?;
                let content = (*frame).as_ref().map_err(|what| damaged(what))?;
                let source = content
                    .get(within..within + target.len())
                    .ok_or(io::ErrorKind::UnexpectedEof)?;
                target.copy_from_slice(source);
            }
            offset += usize_as_u64(target.len());
            rest = tail;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{ZstdFrame, seek_table};

    fn content() -> Vec<u8> {
        (0..300_000_u32)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 28) as u8)
            .collect()
    }

    /// Frames of `step` bytes; with a seek table where asked for.
    fn compressed(content: &[u8], step: usize, table: bool) -> Vec<u8> {
        let mut file = Vec::new();
        let mut frames = Vec::new();
        for piece in content.chunks(step) {
            let frame = zstd::bulk::compress(piece, 1).unwrap();
            frames.push(ZstdFrame {
                compressed_bytes: frame.len() as u32,
                content_bytes: piece.len() as u32,
            });
            file.extend_from_slice(&frame);
        }
        if table {
            file.extend_from_slice(&seek_table(&frames));
        }
        file
    }

    fn zstd_frames(file: &Vec<u8>) -> Result<Index, Error> {
        crate::frames::zstd::frames(file, Budget::default().open(file))
    }

    #[test]
    fn table_and_scan_find_the_same_frames() {
        let content = content();
        let with = compressed(&content, 70_000, true);
        let without = compressed(&content, 70_000, false);
        let table = zstd_frames(&with).unwrap();
        let scan = zstd_frames(&without).unwrap();
        assert_eq!(table.entries(), scan.entries());
        assert_eq!(table.entries().len(), 5);
        for file in [with, without] {
            let reader = Reader::new(file).unwrap();
            assert_eq!(reader.len(), content.len() as u64);
            for (offset, len) in [(0, 300_000), (69_999, 2), (70_000, 70_000), (299_999, 1)] {
                let mut buf = vec![0; len];
                reader.read_exact_at(offset as u64, &mut buf).unwrap();
                assert_eq!(buf, content[offset..offset + len]);
            }
            assert!(reader.read_exact_at(299_999, &mut [0; 2]).is_err());
        }
    }

    #[test]
    fn truncation_anywhere_is_noticed_and_leaves_the_beginning() {
        let content = content();
        let content = &content[..150_000];
        let zstd = compressed(content, 60_000, true);
        let (mut lz4, mut snappy, mut frame) = (Vec::new(), Vec::new(), Vec::new());
        for piece in content.chunks(60_000) {
            crate::frames::encode_lz4(piece, &mut frame).unwrap();
            lz4.extend_from_slice(&frame);
            crate::frames::encode_snappy(piece, &mut frame).unwrap();
            snappy.extend_from_slice(&frame);
        }
        for (name, whole, borders) in [("zstd", zstd, 3), ("lz4", lz4, 2), ("snappy", snappy, 5)] {
            let mut unnoticed = 0;
            let mut longest = 0;
            for cut in (10..whole.len())
                .step_by(7)
                .chain(whole.len() - 40..whole.len())
            {
                let reader = Reader::new(&whole[..cut]).unwrap();
                // Only what ends between two frames can look whole; it is shorter then.
                unnoticed += u64::from(!reader.ends_early());
                let mut buf = vec![0; reader.len() as usize];
                reader.read_exact_at(0, &mut buf).unwrap();
                assert_eq!(buf, content[..buf.len()], "{name} {cut}");
                longest = longest.max(buf.len());
            }
            assert!(unnoticed <= borders, "{name}: {unnoticed}");
            assert!(longest >= 120_000, "{name}: {longest}");
        }
    }

    #[test]
    fn what_is_left_of_a_large_frame_is_read() {
        let content = content();
        let zstd = zstd::bulk::compress(&content, 1).unwrap();
        let mut lz4 = Vec::new();
        crate::frames::encode_lz4(
            &[content.clone(), content.clone(), content.repeat(3)].concat(),
            &mut lz4,
        )
        .unwrap();
        for (whole, least) in [(zstd, 100_000), (lz4, 1 << 20)] {
            let reader = Reader::new(&whole[..whole.len() - 2]).unwrap();
            assert!(reader.ends_early());
            let mut buf = vec![0; reader.len() as usize];
            assert!(buf.len() >= least, "{}", buf.len());
            reader.read_exact_at(0, &mut buf).unwrap();
            for (index, byte) in buf.iter().enumerate() {
                assert_eq!(*byte, content[index % content.len()]);
            }
        }
    }

    #[test]
    fn one_damaged_frame_leaves_the_others_readable() {
        let content = content();
        let mut file = compressed(&content, 100_000, true);
        let second = zstd_frames(&file).unwrap().entries()[1];
        // Within the first block's header: a reserved block type.
        file[second.file_offset as usize + 9] |= 6;
        let reader = Reader::new(file).unwrap();
        let mut buf = vec![0; 100_000];
        reader.read_exact_at(0, &mut buf).unwrap();
        for _ in 0..2 {
            let error = reader.read_exact_at(100_000, &mut buf).unwrap_err();
            assert!(error.to_string().contains("damaged"), "{error}");
            assert!(reader.read_exact_at(150_000, &mut [0; 1]).is_err());
        }
        reader.read_exact_at(200_000, &mut buf).unwrap();
        assert_eq!(buf, content[200_000..]);
    }

    #[test]
    fn a_false_seek_table_is_noticed() {
        let content = content();
        let good = compressed(&content, 100_000, true);
        let table = good.len() - 8 - 3 * 8 - 9;
        // Sizes that do not add up.
        let mut bad = good.clone();
        bad[table + 8] ^= 1;
        assert!(matches!(Reader::new(bad), Err(Error::Damaged { .. })));
        // Content other than the frame holds: one more, one less.
        for change in [1_u8, 0xff] {
            let mut bad = good.clone();
            bad[table + 12] = bad[table + 12].wrapping_add(change);
            let reader = Reader::new(bad).unwrap();
            assert!(reader.read_exact_at(0, &mut [0; 10]).is_err());
        }
        // A count that the file has no room for.
        let mut bad = good.clone();
        let footer = good.len() - 9;
        bad[footer..footer + 4].copy_from_slice(&1_000_000_u32.to_le_bytes());
        assert!(matches!(Reader::new(bad), Err(Error::Damaged { .. })));
    }

    #[test]
    fn one_huge_frame_and_one_of_unknown_length_are_refused_with_advice() {
        let huge = zstd::bulk::compress(&vec![0; (64 << 20) + 1], 1).unwrap();
        let error = Reader::new(huge).unwrap_err();
        assert!(matches!(error, Error::FrameTooLarge { offset: 0, .. }));
        assert!(error.to_string().contains("zstd -d"));
        let piped = zstd::stream::encode_all(content().as_slice(), 1).unwrap();
        assert!(matches!(
            Reader::new(piped),
            Err(Error::UnknownLength { offset: 0 })
        ));
        let largest = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
        assert_eq!(Reader::new(largest).unwrap().len(), 64 << 20);
    }
}
