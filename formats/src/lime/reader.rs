// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading a LiME image, made by linpmem or another tool.

use super::Error;
use crate::read_span::StoredSpans;
use crate::records::{self, HEADER_BYTES, RecordHeader, sort};
use crate::truncation::missing;
use crate::{Format, ImageReader, MachineFacts, ReadAt, StoredRange, Truncation};
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use linpmem_phys::{Content, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};

/// Reads a LiME image.
///
/// Records may come in any order, and begin or end within a page as AVML up to
/// version 0.20 writes them. A header that the next one follows directly stands for
/// zeros, as AVML 0.16 and 0.17 write them. [`warnings`](ImageReader::warnings) reports
/// all of that. Records must not overlap, and nothing may follow the last one except up to
/// 1 MiB of zeros. An image that was cut off gives what is left of it.
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
    /// If a record is damaged, two records overlap, or there is no record. An image that
    /// ends early is an error only if not even its first header is left.
    pub fn new(source: S) -> Result<Self, Error> {
        let Records {
            mut ranges,
            mut warnings,
            is_cut,
        } = Records::read(&source)?;
        sort(&mut ranges, &mut warnings)?;
        // A record does not say whether others follow it.
        let is_cut = is_cut || source.ends_early();
        let memory = StoredSpans::cut(source, ranges, is_cut);
        if let Some(truncation) = memory.truncation() {
            warnings.insert(0, truncation.to_string());
        }
        Ok(Self {
            memory,
            machine: MachineFacts::default(),
            warnings,
        })
    }
}

/// The records in the order of the file.
#[derive(Default)]
struct Records {
    ranges: Vec<StoredRange>,
    warnings: Vec<String>,
    /// Whether the file ends within a record.
    is_cut: bool,
}

impl Records {
    fn read(source: &impl ReadAt) -> Result<Self, Error> {
        let mut records = Self::default();
        let (mut reserved_used, mut zero_blocks): (u64, u64) = (0, 0);
        let mut offset: u64 = 0;
        let file = source.len();
        while offset < file {
            let encoded = match header_at(source, offset, !records.ranges.is_empty())? {
                Found::Header(encoded) => encoded,
                Found::Padding => {
                    let padding = file - offset;
                    let warning = format!("{padding} zero bytes follow the last record");
                    records.warnings.push(warning);
                    break;
                }
                Found::CutOff => {
                    records.is_cut = true;
                    break;
                }
            };
            let header =
                RecordHeader::parse(&encoded).map_err(|what| Error::Record { offset, what })?;
            if header.is_compressed {
                let what = "it is an AVML record, but the records before it are LiME's";
                return Err(Error::Record { offset, what });
            }
            reserved_used += u64::from(!header.reserved_is_zero);
            if records.ranges.len() == MAX_RECORDS {
                return Err(Error::TooManyRecords { limit: MAX_RECORDS });
            }
            // The header is within the file.
            let data = offset + usize_as_u64(HEADER_BYTES);
            let end = data.checked_add(header.range.len().get());
            let is_zero = is_zero_block(source, &header, data, end)?;
            zero_blocks += u64::from(is_zero);
            records.ranges.push(if may_be_header(source, data)? {
                missing(header.range, None)
            } else {
                StoredRange {
                    range: header.range,
                    kind: None,
                    content: if is_zero {
                        Content::Zero
                    } else {
                        Content::Data
                    },
                    offset: (!is_zero).then_some(data),
                }
            });
            offset = match end {
                _ if is_zero => data,
                Some(end) if end <= file => end,
                _ => {
                    records.is_cut = true;
                    break;
                }
            };
        }
        if reserved_used > 0 {
            records.warnings.push(records::reserved_used(reserved_used));
        }
        if zero_blocks > 0 {
            records.warnings.push(records::zero_blocks(zero_blocks));
        }
        Ok(records)
    }
}

/// Whether nothing but the next header follows `header`, where `data` should begin and
/// end at `end`. Memory may hold a header too, such as that of a LiME image in the page
/// cache; then another one, or the end of the file, comes where the data ends.
fn is_zero_block(
    source: &impl ReadAt,
    header: &RecordHeader,
    data: u64,
    end: Option<u64>,
) -> Result<bool, Error> {
    let follows = |offset| {
        let next = records::header_at(source, offset)?;
        Ok(next.is_some_and(|next| header.is_followed_by(&next)))
    };
    Ok(follows(data)?
        && match end {
            Some(end) => end != source.len() && !follows(end)?,
            None => true,
        })
}

/// Whether less than a header is left from `data` on, and may be the beginning of one: then
/// it is not known whether the record before it stands for zeros.
fn may_be_header(source: &impl ReadAt, data: u64) -> Result<bool, Error> {
    let left = source.len().saturating_sub(data);
    if left == 0 || left >= usize_as_u64(HEADER_BYTES) {
        return Ok(false);
    }
    let mut rest = vec![0; u64_as_usize(left)];
    source
        .read_exact_at(data, &mut rest)
        .map_err(|source| Error::Io {
            offset: data,
            source,
        })?;
    Ok(RecordHeader::begins_with(&rest))
}

/// What is where a record should begin.
enum Found {
    Header([u8; HEADER_BYTES]),
    /// Only zeros follow.
    Padding,
    /// The file ends within the header.
    CutOff,
}

/// What is at `offset`, which is within the file. Only if the image `may_end` here, it may
/// be something else than a header.
fn header_at(source: &impl ReadAt, offset: u64, may_end: bool) -> Result<Found, Error> {
    let failed = |source| Error::Io { offset, source };
    let left = source.len() - offset;
    let mut encoded = [0; HEADER_BYTES];
    if left >= usize_as_u64(HEADER_BYTES) {
        source.read_exact_at(offset, &mut encoded).map_err(failed)?;
        if !may_end || encoded.iter().any(|&byte| byte != 0) {
            return Ok(Found::Header(encoded));
        }
    }
    if may_end && left <= MAX_PADDING_BYTES {
        let mut padding = vec![0; u64_as_usize(left)];
        source.read_exact_at(offset, &mut padding).map_err(failed)?;
        if padding.iter().all(|&byte| byte == 0) {
            return Ok(Found::Padding);
        }
        if RecordHeader::begins_with(&padding) {
            return Ok(Found::CutOff);
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

    fn is_known_zero(&self, range: PhysRange) -> bool {
        self.memory.is_known_zero(range)
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

    fn truncation(&self) -> Option<Truncation> {
        self.memory.truncation()
    }
}
