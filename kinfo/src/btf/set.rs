// SPDX-License-Identifier: MIT OR Apache-2.0
//! The types of the kernel or of one module, by number.

use super::bytes::u32_at;
use super::error::BtfError;
use super::header::{MAX_LEN, sections, text};
use super::kind::{Kind, Members, TypeRef, Values};
use linpmem_phys::num::{u32_as_u64, u32_as_usize, usize_as_u64};

/// Bytes of a type's record without what follows it.
const RECORD: u32 = 12;

/// One set of types.
///
/// # Invariants
/// At each offset there is a whole record of a known kind, with what follows it.
/// Numbers and offsets are far from 2^32: a section has [`MAX_LEN`] bytes at most,
/// and a type 12 or more.
#[derive(Debug)]
pub(super) struct Set<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type's record is.
    offsets: Vec<u32>,
    /// The number of the first of them, 1 or more.
    first_id: u32,
    /// The number after the last of them.
    end_id: u32,
    /// Where these strings begin, as names count.
    first_string: u32,
}

const _: () = {
    // A record has 65,535 members of 12 bytes at most.
    let longest = RECORD + 12 * 0xffff;
    assert!(2 * MAX_LEN + u32_as_u64(longest) < u32_as_u64(u32::MAX));
};

impl<'a> Set<'a> {
    /// The kernel's: `base` is `None`. A module's continue the kernel's.
    pub(super) fn parse(bytes: &'a [u8], base: Option<&Set<'_>>) -> Result<Self, BtfError> {
        let found = sections(bytes)?;
        let [types_len, base_strings] =
            [found.types.len(), base.map_or(0, |base| base.strings.len())].map(usize_as_u64);
        let narrow = |len| {
            let too_large = BtfError::TooLarge { len, max: MAX_LEN };
            u32::try_from(len).map_err(|_| too_large)
        };
        let first_id = base.map_or(1, |base| base.end_id);
        let mut set = Self {
            types: found.types,
            strings: found.strings,
            offsets: Vec::new(),
            first_id,
            end_id: first_id,
            first_string: narrow(base_strings)?,
        };
        let mut at = 0;
        let end = narrow(types_len)?;
        while at < end {
            let next = set.end_of(set.end_id, at)?;
            set.offsets.push(at);
            set.end_id += 1;
            at = next;
        }
        Ok(set)
    }

    /// How many types it has.
    pub(super) fn count(&self) -> u32 {
        self.end_id - self.first_id
    }

    /// The number after the last.
    pub(super) fn end_id(&self) -> u32 {
        self.end_id
    }

    /// The numbers of its types.
    pub(super) fn ids(&self) -> std::ops::Range<u32> {
        self.first_id..self.end_id
    }

    /// Where the record at `at` ends, which must be within the section.
    fn end_of(&self, id: u32, at: u32) -> Result<u32, BtfError> {
        let len = usize_as_u64(self.types.len());
        let truncated = |end| BtfError::Truncated {
            what: "a type",
            end: u64::from(end),
            len,
        };
        let info = u32_at(self.types, u32_as_usize(at + 4)).ok_or(truncated(at + RECORD))?;
        let count = info & 0xffff;
        let kind = (info >> 24) & 0x1f;
        let more = match kind {
            1 | 14 | 17 => 4,
            3 => 12,
            2 | 7..=12 | 16 | 18 => 0,
            4 | 5 | 15 | 19 => count * 12,
            6 | 13 => count * 8,
            _ => return Err(BtfError::Kind { id, kind }),
        };
        let end = at + RECORD + more;
        match u64::from(end) <= len {
            true => Ok(end),
            false => Err(truncated(end)),
        }
    }

    /// The text at `offset` of the strings, if it is among these.
    pub(super) fn text(&self, offset: u32) -> Option<&'a str> {
        text(self.strings, offset.checked_sub(self.first_string)?)
    }

    /// Whether the strings at `offset` are a base's.
    pub(super) fn is_text_of_base(&self, offset: u32) -> bool {
        offset < self.first_string
    }

    /// The offset of the name of type `id`, and what the type is. `set` is the number of
    /// this set.
    pub(super) fn get(&self, set: u32, id: u32) -> Option<(u32, Kind<'a>)> {
        let offset = self
            .offsets
            .get(u32_as_usize(id.checked_sub(self.first_id)?))?;
        let record = self.types.get(u32_as_usize(*offset)..)?;
        let info = u32_at(record, 4)?;
        let more = record.get(u32_as_usize(RECORD)..)?;
        let (flag, kind, count) = (
            info >> 31 == 1,
            (info >> 24) & 0x1f,
            u32_as_usize(info & 0xffff),
        );
        let size = u32_at(record, 8)?;
        let other = TypeRef { set, id: size };
        let kind = match kind {
            1 => {
                let facts = u32_at(more, 0)?;
                let encoding = facts >> 24;
                Kind::Int {
                    size,
                    bit_offset: (facts >> 16) & 0xff,
                    bits: facts & 0xff,
                    is_signed: encoding & 1 != 0,
                    is_bool: encoding & 4 != 0,
                }
            }
            2 => Kind::Pointer(other),
            3 => Kind::Array {
                element: TypeRef {
                    set,
                    id: u32_at(more, 0)?,
                },
                count: u32_at(more, 8)?,
            },
            4 | 5 => Kind::Composite {
                is_union: kind == 5,
                size,
                members: Members {
                    set,
                    has_sizes: flag,
                    records: more.get(..count * 12)?,
                },
            },
            6 | 19 => {
                let is_wide = kind == 19;
                let len = if is_wide { 12 } else { 8 };
                Kind::Enum {
                    size,
                    is_signed: flag,
                    values: Values {
                        is_signed: flag,
                        is_wide,
                        records: more.get(..count * len)?,
                    },
                }
            }
            7 => Kind::Forward { is_union: flag },
            8 => Kind::Typedef(other),
            9..=11 | 18 => Kind::Modifier(other),
            12 | 13 => Kind::Function,
            14 => Kind::Variable(other),
            16 => Kind::Float { size },
            _ => Kind::Other,
        };
        Some((u32_at(record, 0)?, kind))
    }
}
