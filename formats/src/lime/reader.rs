// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a LiME image, made by linpmem or another tool.

use super::Error;
use crate::read_span::StoredSpans;
use crate::records::{self, HEADER_BYTES, RecordHeader, sort};
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Content, PhysAddr, ReadPhys, SourceError, Unreadables};

/// Reads a LiME image.
///
/// Records may come in any order, and begin or end within a page as AVML up to
/// version 0.20 writes them; [`warnings`](ImageReader::warnings) reports both.
/// Records must not overlap, and nothing may follow the last one except up to 1 MiB
/// of zeros.
#[derive(Debug)]
pub struct Reader<S> {
    memory: StoredSpans<S>,
    machine: MachineFacts,
    warnings: Vec<String>,
}

/// The most records to accept; their headers alone take 64 MiB.
const MAX_RECORDS: usize = 1 << 21;

/// The most zeros to accept after the last record, as block devices add them.
const MAX_PADDING_BYTES: u64 = 1 << 20;

impl<S: ReadAt> Reader<S> {
    /// Opens the image in `source`.
    ///
    /// # Errors
    /// If a record is damaged or ends beyond the file, two records overlap, or there
    /// is no record.
    pub fn new(source: S) -> Result<Self, Error> {
        let mut ranges = Vec::new();
        let mut warnings = Vec::new();
        let mut reserved_used: u64 = 0;
        let mut offset: u64 = 0;
        let file = source.len();
        while offset < file {
            let Some(encoded) = header_at(&source, offset, !ranges.is_empty())? else {
                let padding = file - offset;
                warnings.push(format!("{padding} zero bytes follow the last record"));
                break;
            };
            let header =
                RecordHeader::parse(&encoded).map_err(|what| Error::Record { offset, what })?;
            if header.is_compressed {
                let what = "it is an AVML record, but the records before it are LiME's";
                return Err(Error::Record { offset, what });
            }
            reserved_used += u64::from(!header.reserved_is_zero);
            if ranges.len() == MAX_RECORDS {
                return Err(Error::TooManyRecords { limit: MAX_RECORDS });
            }
            // The header lies within the file.
            let data = offset + usize_as_u64(HEADER_BYTES);
            let end = data.checked_add(header.range.len().get());
            let Some(end) = end.filter(|end| *end <= file) else {
                let range = header.range;
                return Err(Error::BeyondFile {
                    offset,
                    range,
                    file,
                });
            };
            ranges.push(StoredRange {
                range: header.range,
                kind: None,
                content: Content::Data,
                offset: Some(data),
            });
            offset = end;
        }
        if reserved_used > 0 {
            warnings.push(records::reserved_used(reserved_used));
        }
        sort(&mut ranges, &mut warnings)?;
        Ok(Self {
            memory: StoredSpans::new(source, ranges),
            machine: MachineFacts::default(),
            warnings,
        })
    }
}

/// The header at `offset`, which lies within the file. `None` if only zeros follow
/// and the image `may_end` here.
fn header_at(
    source: &impl ReadAt,
    offset: u64,
    may_end: bool,
) -> Result<Option<[u8; HEADER_BYTES]>, Error> {
    let failed = |source| Error::Io { offset, source };
    let left = source.len() - offset;
    let mut encoded = [0; HEADER_BYTES];
    if left >= usize_as_u64(HEADER_BYTES) {
        source.read_exact_at(offset, &mut encoded).map_err(failed)?;
        if !may_end || encoded.iter().any(|&byte| byte != 0) {
            return Ok(Some(encoded));
        }
    }
    if may_end && left <= MAX_PADDING_BYTES {
        let mut padding = vec![0; u64_as_usize(left)];
        source.read_exact_at(offset, &mut padding).map_err(failed)?;
        if padding.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
    }
    let what = "the file ends within its header, or no record begins here";
    Err(Error::Record { offset, what })
}

impl<S: ReadAt> ReadPhys for Reader<S> {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.memory.read_phys(start, buf, unreadable)
    }
}

impl<S: ReadAt> ImageReader for Reader<S> {
    fn format(&self) -> Format {
        Format::Lime
    }

    fn ranges(&self) -> &[StoredRange] {
        self.memory.ranges()
    }

    fn machine(&self) -> &MachineFacts {
        &self.machine
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
