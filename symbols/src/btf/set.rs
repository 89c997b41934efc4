// SPDX-License-Identifier: MIT OR Apache-2.0
//! The types of the kernel or of one module, by number.

use super::bytes::{index, u32_at};
use super::error::BtfError;
use super::header::{sections, text};
use super::kind::{Kind, Members, TypeRef, Values};

const RECORD: usize = 12;

/// One set of types.
///
/// # Invariants
/// At each offset there is a whole record of a known kind, with what follows it.
#[derive(Debug)]
pub(crate) struct Set<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type's record is.
    offsets: Vec<u32>,
    /// The number of the first of them.
    first_id: u32,
    /// Where these strings begin, as names count.
    first_string: u32,
}

impl<'a> Set<'a> {
    /// The kernel's: `base` is `None`. A module's go on where the kernel's end.
    pub(crate) fn parse(bytes: &'a [u8], base: Option<&Set<'_>>) -> Result<Self, BtfError> {
        let found = sections(bytes)?;
        let mut set = Self {
            types: found.types,
            strings: found.strings,
            offsets: Vec::new(),
            first_id: base.map_or(1, |base| base.first_id.saturating_add(base.count())),
            first_string: base.map_or(0, |base| {
                u32::try_from(base.strings.len()).unwrap_or(u32::MAX)
            }),
        };
        let mut at = 0_usize;
        while at < set.types.len() {
            let id = set.first_id.saturating_add(set.count());
            let end = set.end_of(id, at)?;
            set.offsets.push(u32::try_from(at).unwrap_or(u32::MAX));
            at = end;
        }
        Ok(set)
    }

    /// How many types it has.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.offsets.len()).unwrap_or(u32::MAX)
    }

    /// The number after the last.
    pub(crate) fn end_id(&self) -> u32 {
        self.first_id.saturating_add(self.count())
    }

    /// The numbers of its types.
    pub(crate) fn ids(&self) -> std::ops::Range<u32> {
        self.first_id..self.end_id()
    }

    /// Where the record at `at` ends, which must be within the section.
    fn end_of(&self, id: u32, at: usize) -> Result<usize, BtfError> {
        let len = u64::try_from(self.types.len()).unwrap_or(u64::MAX);
        let short = |end| BtfError::Truncated {
            what: "a type",
            end: u64::try_from(end).unwrap_or(u64::MAX),
            len,
        };
        let info = u32_at(self.types, at.saturating_add(4)).ok_or(short(at + RECORD))?;
        let count = index(info & 0xffff);
        let kind = (info >> 24) & 0x1f;
        let more = match kind {
            1 | 14 | 17 => 4,
            3 => 12,
            2 | 7..=12 | 16 | 18 => 0,
            4 | 5 | 15 | 19 => count * 12,
            6 | 13 => count * 8,
            _ => return Err(BtfError::Kind { id, kind }),
        };
        let end = at.saturating_add(RECORD).saturating_add(more);
        match end <= self.types.len() {
            true => Ok(end),
            false => Err(short(end)),
        }
    }

    /// The text at `offset` of the strings, if it is among these.
    pub(crate) fn text(&self, offset: u32) -> Option<&'a str> {
        text(self.strings, offset.checked_sub(self.first_string)?)
    }

    /// Whether the strings at `offset` are a base's.
    pub(crate) fn is_text_of_base(&self, offset: u32) -> bool {
        offset < self.first_string
    }

    /// The place of the name of type `id`, and what the type is. `set` is this
    /// one's number.
    pub(crate) fn get(&self, set: u32, id: u32) -> Option<(u32, Kind<'a>)> {
        let offset = self.offsets.get(index(id.checked_sub(self.first_id)?))?;
        let record = self.types.get(index(*offset)..)?;
        let info = u32_at(record, 4)?;
        let more = record.get(RECORD..)?;
        let (flag, kind, count) = (info >> 31 == 1, (info >> 24) & 0x1f, index(info & 0xffff));
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
