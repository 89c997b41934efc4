// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a LiME image, ours or another's.

use super::Error;
use crate::linear::Linear;
use crate::records::{HEADER_BYTES, RecordHeader, sort};
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange};
use linpmem_phys::{Content, PhysAddr, ReadPhys, SourceError, Unreadables};

/// Reads a LiME image.
///
/// Records may come in any order and begin and end within pages, as AVML up to
/// 0.20 has them end; both is reported. They may not overlap, and nothing may
/// follow the last but a few zeros.
#[derive(Debug)]
pub struct Reader<S> {
    memory: Linear<S>,
    machine: MachineFacts,
    warnings: Vec<String>,
}

/// The most records that are believed, in 66 MiB of headers and memory at least.
const MAX_RECORDS: usize = 1 << 21;

/// The most zeros behind the last record: what a tape or a block device adds.
const MAX_PADDING_BYTES: u64 = 1 << 20;

impl<S: ReadAt> Reader<S> {
    /// The image in `source`.
    ///
    /// # Errors
    /// If a record is damaged or reaches beyond the file, two overlap, or there
    /// is none.
    pub fn new(source: S) -> Result<Self, Error> {
        let mut ranges = Vec::new();
        let mut warnings = Vec::new();
        let mut untidy: u64 = 0;
        let mut offset: u64 = 0;
        let file = source.len();
        while offset < file {
            let Some(encoded) = header_at(&source, offset, !ranges.is_empty())? else {
                let padding = file.saturating_sub(offset);
                warnings.push(format!("{padding} zero bytes follow the last record"));
                break;
            };
            let header =
                RecordHeader::parse(&encoded).map_err(|what| Error::Record { offset, what })?;
            if header.is_compressed {
                let what = "it is compressed by AVML, but those before it are not";
                return Err(Error::Record { offset, what });
            }
            untidy = untidy.saturating_add(u64::from(!header.reserved_is_zero));
            if ranges.len() == MAX_RECORDS {
                return Err(Error::TooManyRecords { limit: MAX_RECORDS });
            }
            let data = offset.saturating_add(header_bytes());
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
        if untidy > 0 {
            warnings.push(format!("{untidy} records use bytes that should be 0"));
        }
        sort(&mut ranges, &mut warnings)?;
        Ok(Self {
            memory: Linear::new(source, ranges),
            machine: MachineFacts::default(),
            warnings,
        })
    }
}

/// The header at `offset`; `None` if nothing but zeros follows, and `may_end`.
fn header_at(
    source: &impl ReadAt,
    offset: u64,
    may_end: bool,
) -> Result<Option<[u8; HEADER_BYTES]>, Error> {
    let failed = |source| Error::Io { offset, source };
    let left = source.len().saturating_sub(offset);
    let mut encoded = [0; HEADER_BYTES];
    if left >= header_bytes() {
        source.read_exact_at(offset, &mut encoded).map_err(failed)?;
        if !may_end || encoded.iter().any(|&byte| byte != 0) {
            return Ok(Some(encoded));
        }
    }
    if may_end && left <= MAX_PADDING_BYTES {
        let mut padding = vec![0; usize::try_from(left).unwrap_or(0)];
        source.read_exact_at(offset, &mut padding).map_err(failed)?;
        if padding.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
    }
    let what = "the file ends within its header, or it is not one";
    Err(Error::Record { offset, what })
}

fn header_bytes() -> u64 {
    u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX)
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
