// SPDX-License-Identifier: MIT OR Apache-2.0
//! A flattened stream, as the file that it becomes.

use super::layout::{END, HEADER_BYTES, RECORD_BYTES, header};
use crate::ReadAt;
use scroll::{BE, Pread};
use std::collections::BTreeMap;
use std::io;

/// The file that a flattened stream becomes. Where two records give the same
/// bytes, the later one counts, as if each were written to the file; what none
/// gives is zero.
#[derive(Debug)]
pub struct Reader<S> {
    source: S,
    /// Pieces of the file by their first byte; disjoint.
    pieces: BTreeMap<u64, Piece>,
    len: u64,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// The byte of the file after the last.
    end: u64,
    /// Where its bytes lie in the stream.
    offset: u64,
}

/// A stream that becomes no file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream could not be read.
    #[error("reading the flattened dump at offset {offset}: {source}")]
    Io {
        /// Where.
        offset: u64,
        /// The system's reason.
        source: io::Error,
    },
    /// It is of another kind or version.
    #[error("the flattened dump is of a type or version that is not known here")]
    NotThisKind,
    /// It breaks off.
    #[error("the flattened dump breaks off at offset {offset}: it is truncated")]
    Truncated {
        /// The record that is not all there.
        offset: u64,
    },
    /// A record that cannot be.
    #[error("the record at offset {offset} of the flattened dump is damaged: {what}")]
    Record {
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A stream in a stream.
    #[error("this dump is flattened twice: `makedumpfile -R OUT < IN` undoes it once")]
    Twice,
}

/// The most records that are believed.
const MAX_RECORDS: usize = 1 << 23;

struct Record {
    start: u64,
    piece: Piece,
}

impl<S: ReadAt> Reader<S> {
    /// The file that the stream in `source` becomes.
    ///
    /// # Errors
    /// If it is none, breaks off, or a record is damaged.
    pub fn new(source: S) -> Result<Self, Error> {
        let mut pieces = BTreeMap::new();
        let records = records(&source)?;
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
        })
    }
}

fn records(source: &impl ReadAt) -> Result<Vec<Record>, Error> {
    let mut offset = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
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
        read(offset, &mut encoded)?;
        let data = offset.saturating_add(16);
        if encoded == END {
            let what = "something follows the end";
            return match data == source.len() {
                true => Ok(records),
                false => Err(Error::Record { offset, what }),
            };
        }
        let start: u64 = encoded.pread_with(0, BE).unwrap_or(u64::MAX);
        let len: u64 = encoded.pread_with(8, BE).unwrap_or(u64::MAX);
        let damaged = |what| Error::Record { offset, what };
        let end = start
            .checked_add(len)
            .filter(|end| *end <= i64::MAX.unsigned_abs() && len > 0)
            .ok_or(damaged("it has no bytes, or too many"))?;
        if records.len() == MAX_RECORDS {
            return Err(damaged(
                "there are more records before it than are believed",
            ));
        }
        records.push(Record {
            start,
            piece: Piece { end, offset: data },
        });
        let truncated = Error::Truncated { offset };
        offset = match data.checked_add(len) {
            Some(next) if next <= source.len() => next,
            _ => return Err(truncated),
        };
    }
}

/// Adds what of `record` lies in no piece yet.
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
            let offset = piece.offset.saturating_add(next.saturating_sub(start));
            pieces.insert(next, Piece { end, offset });
        }
        next = next.max(resume);
    }
}

impl<S: ReadAt> ReadAt for Reader<S> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let len = u64::try_from(buf.len()).unwrap_or(u64::MAX);
        let end = offset
            .checked_add(len)
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
            cut(&mut rest, from.saturating_sub(next)).fill(0);
            let target = cut(&mut rest, to.saturating_sub(from));
            let within = from.saturating_sub(start);
            self.source
                .read_exact_at(piece.offset.saturating_add(within), target)?;
            next = to;
        }
        rest.fill(0);
        Ok(())
    }
}

fn cut<'a>(rest: &mut &'a mut [u8], len: u64) -> &'a mut [u8] {
    crate::linear::take(rest, linpmem_phys::PhysLen::new(len))
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
    fn records_count_as_if_each_were_written_to_the_file() {
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
    fn a_stream_without_its_end_is_truncated() {
        let whole = stream(&[(0, b"abc"), (3, b"def")]);
        for len in 0..whole.len() {
            assert!(Reader::new(&whole[..len]).is_err(), "{len} bytes");
        }
        let longer = [&whole[..], b"x"].concat();
        assert!(Reader::new(longer).is_err());
        let mut other = whole.clone();
        other[31] = 2;
        assert!(matches!(Reader::new(other), Err(Error::NotThisKind)));
        let mut endless = whole;
        endless[4096 + 8..4096 + 16].fill(0x7f);
        assert!(Reader::new(endless).is_err());
    }
}
