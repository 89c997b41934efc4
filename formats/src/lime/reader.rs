// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a LiME image, ours or another's.

use super::{HEADER_BYTES, LimeError, RecordHeader};
use crate::linear::Linear;
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange};
use linpmem_phys::{Content, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};

/// Reads a LiME image.
///
/// Records may come in any order and begin and end within pages, as AVML up to
/// 0.20 has them end; both is reported. They may not overlap, and nothing may
/// follow the last but a few zeros.
#[derive(Debug)]
pub struct LimeReader<S> {
    memory: Linear<S>,
    machine: MachineFacts,
    oddities: Vec<String>,
}

/// The most records that are believed, in 66 MiB of headers and memory at least.
const MAX_RECORDS: usize = 1 << 21;

/// The most zeros behind the last record: what a tape or a block device adds.
const MAX_PADDING_BYTES: u64 = 1 << 20;

impl<S: ReadAt> LimeReader<S> {
    /// The image in `source`.
    ///
    /// # Errors
    /// If a record is damaged or reaches beyond the file, two overlap, or there
    /// is none.
    pub fn new(source: S) -> Result<Self, LimeError> {
        let mut ranges = Vec::new();
        let mut oddities = Vec::new();
        let mut untidy: u64 = 0;
        let mut offset: u64 = 0;
        let file = source.len();
        while offset < file {
            let Some(encoded) = header_at(&source, offset, !ranges.is_empty())? else {
                let padding = file.saturating_sub(offset);
                oddities.push(format!("{padding} zero bytes follow the last record"));
                break;
            };
            let header =
                RecordHeader::parse(&encoded).map_err(|what| LimeError::Record { offset, what })?;
            if header.is_compressed {
                let what = "it is compressed by AVML, but those before it are not";
                return Err(LimeError::Record { offset, what });
            }
            untidy = untidy.saturating_add(u64::from(!header.is_tidy));
            if ranges.len() == MAX_RECORDS {
                return Err(LimeError::TooManyRecords { limit: MAX_RECORDS });
            }
            let data = offset.saturating_add(header_bytes());
            let end = data.checked_add(header.range.len().get());
            let Some(end) = end.filter(|end| *end <= file) else {
                let range = header.range;
                return Err(LimeError::BeyondFile {
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
            oddities.push(format!("{untidy} records use bytes that should be 0"));
        }
        sort(&mut ranges, &mut oddities)?;
        Ok(Self {
            memory: Linear::new(source, ranges),
            machine: MachineFacts::default(),
            oddities,
        })
    }
}

/// The header at `offset`; `None` if nothing but zeros follows, and `may_end`.
fn header_at(
    source: &impl ReadAt,
    offset: u64,
    may_end: bool,
) -> Result<Option<[u8; HEADER_BYTES]>, LimeError> {
    let failed = |source| LimeError::Io { offset, source };
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
    Err(LimeError::Record { offset, what })
}

/// Brings the ranges of records into the order of their addresses.
pub(crate) fn sort(
    ranges: &mut [StoredRange],
    oddities: &mut Vec<String>,
) -> Result<(), LimeError> {
    if ranges.is_empty() {
        return Err(LimeError::Empty);
    }
    if !ranges.is_sorted_by_key(|stored| stored.range) {
        oddities.push("the records are not in the order of their addresses".to_owned());
        ranges.sort_by_key(|stored| stored.range);
    }
    let mut lower: Option<PhysRange> = None;
    let mut partial: u64 = 0;
    for stored in ranges.iter() {
        let upper = stored.range;
        if let Some(lower) = lower.filter(|lower| upper.start() < lower.end()) {
            return Err(LimeError::Overlap { lower, upper });
        }
        if !upper.start().is_page_aligned() || !upper.end().is_page_aligned() {
            partial = partial.saturating_add(1);
        }
        lower = Some(upper);
    }
    if partial > 0 {
        oddities.push(format!(
            "{partial} records begin or end within a page (AVML up to 0.20 loses the last byte of \
             each range): the rest of that page is not in the image"
        ));
    }
    Ok(())
}

fn header_bytes() -> u64 {
    u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX)
}

impl<S: ReadAt> ReadPhys for LimeReader<S> {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        self.memory.read_phys(start, buf, unreadable)
    }
}

impl<S: ReadAt> ImageReader for LimeReader<S> {
    fn format(&self) -> Format {
        Format::Lime
    }

    fn ranges(&self) -> &[StoredRange] {
        self.memory.ranges()
    }

    fn machine(&self) -> &MachineFacts {
        &self.machine
    }

    fn oddities(&self) -> &[String] {
        &self.oddities
    }
}
