// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a flattened stream.

use super::layout::{END, HEADER_BYTES, RECORD_BYTES, header};
use crate::ReadAt;
use crate::fields::Fields;
use crate::read_span::split_off_front;
use linpmem_phys::PhysLen;
use linpmem_phys::num::usize_as_u64;
use std::collections::BTreeMap;
use std::io;

/// The file that a flattened stream describes. Where records overlap, the later one
/// wins, as if each were written to the file in turn; bytes in no record are zero.
///
/// Of a stream that was cut off, the records that are left can be read. Bytes in none of
/// them are an error then, as if they were beyond the end of the file.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    /// Disjoint pieces of the file, by their first byte.
    pieces: BTreeMap<u64, Piece>,
    len: u64,
    is_cut: bool,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// The offset in the file after the last byte.
    end: u64,
    /// Where its bytes begin in the stream.
    offset: u64,
}

/// Why a flattened stream cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream cannot be read.
    #[error("cannot read the flattened dump at offset {offset}: {source}")]
    Io {
        /// The offset in the stream, in bytes.
        offset: u64,
        /// The underlying error.
        source: io::Error,
    },
    /// The stream is of an unknown type or version.
    #[error("the flattened dump has an unknown type or version (expected type 1, version 1)")]
    NotThisKind,
    /// The stream ends early.
    #[error(
        "the flattened dump is truncated: it ends within the record at offset {offset}; copy it \
         again"
    )]
    Truncated {
        /// Where the incomplete record begins, in bytes.
        offset: u64,
    },
    /// A record contradicts itself.
    #[error("the record at offset {offset} of the flattened dump is damaged: {what}")]
    Record {
        /// Where the record begins, in bytes.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A flattened stream inside a flattened stream.
    #[error("this dump is flattened twice: run `makedumpfile -R OUT < IN` on it first")]
    Twice,
}

/// The most records to accept.
const MAX_RECORDS: usize = 1 << 23;

struct Record {
    start: u64,
    piece: Piece,
}

impl<S: ReadAt> Reader<S> {
    /// Opens the stream in `source`.
    ///
    /// # Errors
    /// If `source` is not a flattened stream, is truncated within its first record's
    /// header, or has a damaged record.
    pub fn new(source: S) -> Result<Self, Error> {
        let mut pieces = BTreeMap::new();
        let (records, is_cut) = records(&source)?;
        let len = records
            .iter()
            .map(|record| record.piece.end)
            .max()
            .unwrap_or(0);
        for record in records.into_iter().rev() {
            add_under(&mut pieces, &record);
        }
        Ok(Self {
            source,
            pieces,
            len,
            is_cut,
        })
    }
}

/// The records, and whether the stream ends without the last one.
fn records(source: &impl ReadAt) -> Result<(Vec<Record>, bool), Error> {
    let mut offset = usize_as_u64(HEADER_BYTES);
    let read = |offset, buf: &mut [u8]| {
        source
            .read_exact_at(offset, buf)
            .map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => Error::Truncated { offset },
                _ => Error::Io { offset, source },
            })
    };
    let mut first = [0; 32];
    read(0, &mut first)?;
    if header().get(..first.len()) != Some(&first) {
        return Err(Error::NotThisKind);
    }
    let mut records = Vec::new();
    loop {
        let mut encoded = [0; RECORD_BYTES];
        match read(offset, &mut encoded) {
            Err(Error::Truncated { .. }) if !records.is_empty() => return Ok((records, true)),
            other => other?,
        }
        // The record's header is within the stream.
        let data = offset + usize_as_u64(RECORD_BYTES);
        if encoded == END {
            let what = "something follows the last record";
            return match data == source.len() {
                true => Ok((records, false)),
                false => Err(Error::Record { offset, what }),
            };
        }
        let damaged = |what| Error::Record { offset, what };
        let mut fields = Fields(&encoded);
        let (start, len) = fields
            .u64_be()
            .zip(fields.u64_be())
            .ok_or(damaged("its header is cut off"))?;
        start
            .checked_add(len)
            .filter(|end| *end <= i64::MAX.unsigned_abs() && len > 0)
            .ok_or(damaged("it is empty, or ends beyond 2^63 bytes"))?;
        if records.len() == MAX_RECORDS {
            return Err(damaged("there are more than 8,388,608 records before it"));
        }
        let next = data.checked_add(len).filter(|next| *next <= source.len());
        let there = next.unwrap_or(source.len()) - data;
        if there > 0 {
            let end = start + there;
            records.push(Record {
                start,
                piece: Piece { end, offset: data },
            });
        }
        offset = match next {
            Some(next) => next,
            None if records.is_empty() => return Err(Error::Truncated { offset }),
            None => return Ok((records, true)),
        };
    }
}

/// Adds the parts of `record` that no later record covers.
fn add_under(pieces: &mut BTreeMap<u64, Piece>, record: &Record) {
    let Record { start, piece } = *record;
    let mut next = start;
    if let Some((_, below)) = pieces.range(..=start).next_back() {
        next = next.max(below.end);
    }
    let covered: Vec<(u64, u64)> = pieces
        .range(next..piece.end.max(next))
        .map(|(&start, above)| (start, above.end))
        .collect();
    let ends = covered.into_iter().chain([(piece.end, piece.end)]);
    for (end, resume) in ends {
        if next < end {
            let offset = piece.offset + (next - start);
            pieces.insert(next, Piece { end, offset });
        }
        next = next.max(resume);
    }
}

impl<S: ReadAt> ReadAt for Reader<S> {
    fn len(&self) -> u64 {
        self.len
    }

    fn stored_bytes(&self) -> u64 {
        self.source.stored_bytes()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset
            .checked_add(usize_as_u64(buf.len()))
            .filter(|end| *end <= self.len)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let first = self
            .pieces
            .range(..=offset)
            .next_back()
            .filter(|(_, piece)| piece.end > offset)
            .map_or(offset, |(&start, _)| start);
        let mut rest = buf;
        let mut next = offset;
        for (&start, piece) in self.pieces.range(first..end) {
            let from = start.max(next);
            let to = piece.end.min(end);
            self.gap(split_off_front(&mut rest, PhysLen::new(from - next)))?;
            let target = split_off_front(&mut rest, PhysLen::new(to - from));
            self.source
                .read_exact_at(piece.offset + (from - start), target)?;
            next = to;
        }
        self.gap(rest)
    }

    fn ends_early(&self) -> bool {
        self.is_cut || self.source.ends_early()
    }
}

impl<S> Reader<S> {
    /// Bytes that are in no record.
    fn gap(&self, target: &mut [u8]) -> io::Result<()> {
        if self.is_cut && !target.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        target.fill(0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::record_header;
    use super::*;

    fn stream(records: &[(u64, &[u8])]) -> Vec<u8> {
        let mut stream = header().to_vec();
        for (offset, bytes) in records {
            stream.extend(record_header(*offset, ReadAt::len(*bytes)));
            stream.extend(*bytes);
        }
        stream.extend(END);
        stream
    }

    fn file(records: &[(u64, &[u8])]) -> Vec<u8> {
        let flattened = Reader::new(stream(records)).unwrap();
        let mut bytes = vec![0xee; usize::try_from(flattened.len()).unwrap()];
        flattened.read_exact_at(0, &mut bytes).unwrap();
        for start in 0..bytes.len() {
            let mut part = vec![0xee; bytes.len() - start];
            flattened
                .read_exact_at(u64::try_from(start).unwrap(), &mut part)
                .unwrap();
            assert_eq!(part, bytes[start..]);
        }
        bytes
    }

    #[test]
    fn records_apply_as_if_each_were_written_to_the_file() {
        assert_eq!(file(&[(4, b"efg"), (0, b"abcd")]), b"abcdefg");
        assert_eq!(
            file(&[(0, b"aaaaaaaa"), (2, b"bb"), (5, b"c")]),
            b"aabbacaa"
        );
        assert_eq!(
            file(&[(2, b"bb"), (5, b"c"), (0, b"aaaaaaaa")]),
            b"aaaaaaaa"
        );
        assert_eq!(file(&[(6, b"z"), (1, b"a")]), b"\0a\0\0\0\0z");
        assert_eq!(file(&[(0, b"aaaa"), (2, b"bbbb"), (1, b"cc")]), b"accbbb");
        assert_eq!(file(&[]), b"");
    }

    #[test]
    fn a_stream_without_its_end_gives_what_is_left_and_says_so() {
        let whole = stream(&[(0, b"abc"), (5, b"fgh")]);
        let first = 4096 + 16;
        for len in 0..whole.len() {
            let Ok(cut) = Reader::new(&whole[..len]) else {
                assert!(len <= first, "{len} bytes");
                continue;
            };
            assert!(cut.ends_early(), "{len} bytes");
            for at in 0..8 {
                let mut byte = [0];
                let place = match at {
                    0..3 => Some(first + at),
                    5..8 => Some(first + 3 + 16 + at - 5),
                    _ => None,
                };
                let is_there = place.is_some_and(|place| place < len);
                let read = cut.read_exact_at(at as u64, &mut byte);
                assert_eq!(read.is_ok(), is_there, "{len} bytes, {at}");
                assert!(!is_there || byte[0] == b"abc__fgh"[at]);
            }
        }
        assert!(!Reader::new(whole.as_slice()).unwrap().ends_early());
        let longer = [&whole[..], b"x"].concat();
        assert!(Reader::new(longer).is_err());
        let mut other = whole.clone();
        other[31] = 2;
        assert!(matches!(Reader::new(other), Err(Error::NotThisKind)));
        let mut endless = whole;
        endless[4096 + 8..4096 + 16].fill(0x7f);
        assert!(Reader::new(&endless[..4096 + 16]).is_err());
    }
}
