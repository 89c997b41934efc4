// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's log (kernel/printk/printk_ringbuffer.c, since Linux 5.10): a ring of
//! descriptors, one of infos about each record, and one of text.
//!
//! A descriptor says where its text begins and ends, as positions that only grow: modulo the
//! size of the ring they are places in it. A text that would not fit before the end of the ring
//! begins at its start. In front of each text is the number of its descriptor, by which it is
//! told that the text is still this record's.

use crate::error::Error;
use crate::found::Found;
use crate::list::MAX_ITEMS;
use crate::machine::{Machine, Struct};
use crate::trouble::Trouble;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};

const WHAT: &str = "log";

/// The two highest bits of a descriptor's state; the others are its number.
const STATE_SHIFT: u32 = 62;
const ID: u64 = (1 << STATE_SHIFT) - 1;
/// `EMPTY_LINE_LPOS`, both positions of a record without text.
const EMPTY_LINE: u64 = 3;
const COMMITTED: u64 = 1;
const FINAL: u64 = 2;

/// A log of 2^25 bytes is the largest that can be configured; the command line allows 2^31.
const MAX_BITS: u64 = 31;
/// Bytes of text that are read, of a log that is larger still.
const MAX_TEXTS: u64 = 64 << 20;
/// No record has as many bytes (`LOG_LINE_MAX`, with room).
const MAX_TEXT: u64 = 64 << 10;

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its number since the boot.
    pub sequence: u64,
    /// Nanoseconds since the boot.
    pub time_ns: u64,
    /// From 0, an emergency, to 7, for debugging.
    pub level: u8,
    /// Who wrote it, by syslog(3)'s numbers: 0 is the kernel.
    pub facility: u8,
    /// The text, which can have several lines.
    pub text: String,
}

/// A ring, and its size as a power of two.
struct Ring {
    mask: u64,
    bits: u32,
}

impl Ring {
    fn new(ring: Struct<'_>, bits: &'static str) -> Result<Option<Self>, Error> {
        let bits = ring.field(bits)?.u64()?;
        Ok(u32::try_from(bits)
            .ok()
            .filter(|&bits| bits > 0 && u64::from(bits) <= MAX_BITS)
            .map(|bits| Self {
                mask: (1 << bits) - 1,
                bits,
            }))
    }
}

impl Machine<'_> {
    /// The records of the kernel's log, from the oldest that is left.
    ///
    /// # Errors
    /// If this kernel keeps its log in another way, or the log cannot be found.
    pub fn log(&self) -> Result<Found<LogRecord>, Error> {
        let at = self.read_u64(self.symbol("prb")?)?;
        let log = self.structure("printk_ringbuffer", at)?;
        let descriptors = log.field("desc_ring")?.structure();
        let texts = log.field("text_data_ring")?.structure();
        let rings = (
            Ring::new(descriptors, "count_bits")?,
            Ring::new(texts, "size_bits")?,
        );
        let mut found = Found::default();
        let (Some(places), Some(text)) = rings else {
            found.troubles.push(Trouble::Wild {
                what: WHAT,
                at,
                value: descriptors.field("count_bits")?.u64()?,
            });
            return Ok(found);
        };
        let tail = descriptors.field("tail_id.counter")?.u64()? & ID;
        let head = descriptors.field("head_id.counter")?.u64()? & ID;
        let reader = Reader {
            machine: self,
            descriptors: descriptors.field("descs")?.u64()?,
            descriptor_size: self.size_of("prb_desc")?,
            infos: descriptors.field("infos")?.u64()?,
            info_size: self.size_of("printk_info")?,
            text: texts.field("data")?.u64()?,
            text_ring: text,
        };
        // Both were read while records were added: no more than the ring has can be meant.
        let last = (head.wrapping_sub(tail) & ID).min(places.mask);
        // No two records share text.
        let room = (1 << reader.text_ring.bits).min(MAX_TEXTS);
        let mut left = room;
        for step in 0..=last {
            if step == usize_as_u64(MAX_ITEMS) {
                let limit = MAX_ITEMS;
                found.troubles.push(Trouble::TooMany { what: WHAT, limit });
                break;
            }
            let id = tail.wrapping_add(step) & ID;
            match reader.record(id, id & places.mask) {
                Ok(Some((record, len))) => {
                    let Some(rest) = left.checked_sub(len) else {
                        found.troubles.push(Trouble::TooLong {
                            what: WHAT,
                            limit: room,
                        });
                        break;
                    };
                    left = rest;
                    found.items.push(record);
                }
                Ok(None) => {}
                Err(error @ Error::Memory(_)) => {
                    let is_end = error.is_too_much();
                    found
                        .troubles
                        .push(Trouble::Unreadable { what: WHAT, error });
                    if is_end {
                        break;
                    }
                }
                Err(other) => return Err(other),
            }
        }
        Ok(found)
    }

    fn size_of(&self, name: &'static str) -> Result<u64, Error> {
        self.types().size(self.types().find(name)?)
    }
}

struct Reader<'m> {
    machine: &'m Machine<'m>,
    descriptors: u64,
    descriptor_size: u64,
    infos: u64,
    info_size: u64,
    text: u64,
    text_ring: Ring,
}

impl Reader<'_> {
    /// The record with this number, at this place, and how many bytes of text it has; `None` if
    /// it is not written yet, or already overwritten.
    fn record(&self, id: u64, place: u64) -> Result<Option<(LogRecord, u64)>, Error> {
        let at = |base: u64, size: u64| base.wrapping_add(place.wrapping_mul(size));
        let descriptor = at(self.descriptors, self.descriptor_size);
        let descriptor = self.machine.structure("prb_desc", descriptor)?;
        let state = descriptor.field("state_var.counter")?.u64()?;
        if state & ID != id || !matches!(state >> STATE_SHIFT, COMMITTED | FINAL) {
            return Ok(None);
        }
        let info = at(self.infos, self.info_size);
        let info = self.machine.structure("printk_info", info)?;
        let begin = descriptor.field("text_blk_lpos.begin")?.u64()?;
        let next = descriptor.field("text_blk_lpos.next")?.u64()?;
        let len = info.field("text_len")?.u64()?;
        let Some(bytes) = self.text(id, begin, next, len)? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let small = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        let record = LogRecord {
            sequence: info.field("seq")?.u64()?,
            time_ns: info.field("ts_nsec")?.u64()?,
            level: small(info.field("level")?.u64()?),
            facility: small(info.field("facility")?.u64()?),
            text,
        };
        Ok(Some((record, usize_as_u64(bytes.len()))))
    }

    /// The text between two positions, if it is still that of record `id`.
    fn text(&self, id: u64, begin: u64, next: u64, len: u64) -> Result<Option<Vec<u8>>, Error> {
        // Odd positions are of no place: the line is empty, or there was no room for its text.
        if begin & next & 1 == 1 {
            let is_empty = (begin, next) == (EMPTY_LINE, EMPTY_LINE);
            return Ok(is_empty.then(Vec::new));
        }
        let Ring { mask, bits } = self.text_ring;
        let turn = |position: u64| position >> bits;
        let (start, size) = if turn(begin) == turn(next.wrapping_sub(1)) {
            (begin & mask, next.wrapping_sub(begin))
        } else {
            (0, next & mask)
        };
        let at = self.text.wrapping_add(start);
        let Some(room) = size.checked_sub(8).filter(|&room| room <= mask) else {
            return Ok(None);
        };
        if self.machine.read_u64(at)? != id {
            return Ok(None);
        }
        let mut bytes = vec![0; u64_as_usize(len.min(room).min(MAX_TEXT))];
        self.machine.read(at.wrapping_add(8), &mut bytes)?;
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Btf, Kernel, LogRing, log_types};

    const STATE: u64 = FINAL << STATE_SHIFT;

    struct Log {
        kernel: Kernel,
        log: LogRing,
    }

    fn log() -> Log {
        let mut btf = Btf::new();
        log_types(&mut btf);
        let mut kernel = Kernel::new(&btf);
        let log = LogRing::new(&mut kernel);
        Log { kernel, log }
    }

    impl std::ops::Deref for Log {
        type Target = LogRing;

        fn deref(&self) -> &LogRing {
            &self.log
        }
    }

    impl Log {
        fn record(&mut self, id: u64, span: [u64; 2], text: &str) {
            self.log.record(&mut self.kernel, id, span, text);
        }

        fn range(&mut self, tail: u64, head: u64) {
            self.log.range(&mut self.kernel, tail, head);
        }

        fn found(self) -> Found<LogRecord> {
            self.kernel.image().machine().log().unwrap()
        }
    }

    fn texts(found: &Found<LogRecord>) -> Vec<(u64, &str)> {
        let records = found.items.iter();
        records
            .map(|record| (record.sequence, record.text.as_str()))
            .collect()
    }

    #[test]
    fn records_are_read_from_the_oldest_around_the_end_of_the_ring() {
        let mut wrapped = log();
        wrapped.record(7, [88, 112], "seven");
        // It would not fit before the end of the ring.
        wrapped.record(8, [112, 152], "eight\nlines");
        wrapped.range(7, 8);
        let found = wrapped.found();
        assert_eq!(texts(&found), [(7, "seven"), (8, "eight\nlines")]);
        assert_eq!(found.troubles, []);
        let record = &found.items[0];
        assert_eq!(
            (record.time_ns, record.level, record.facility),
            (7000, 6, 3)
        );
        // As far as the end of the ring.
        let mut whole = log();
        whole.record(9, [152, 192], "nine");
        whole.range(9, 9);
        assert_eq!(texts(&whole.found()), [(9, "nine")]);
    }

    #[test]
    fn records_that_are_being_written_or_were_overwritten_are_left_out() {
        let mut log = log();
        for id in 4..8 {
            log.record(id, [64 + id % 4 * 16, 80 + id % 4 * 16], "text");
        }
        log.range(4, 7);
        log.kernel.put(log.descriptors, 4);
        log.kernel.put(log.descriptors + 24, 9 | STATE);
        // The text is already another record's.
        log.kernel.put(log.text + 32, 99);
        assert_eq!(texts(&log.found()), [(7, "text")]);
    }

    #[test]
    fn an_empty_line_is_a_record_and_one_whose_text_found_no_room_is_none() {
        for (position, expected) in [(3, vec![(4, "")]), (1, vec![])] {
            let mut log = log();
            log.record(4, [64, 80], "text");
            log.kernel.put(log.descriptors + 8, position);
            log.kernel.put(log.descriptors + 16, position);
            log.range(4, 4);
            assert_eq!(texts(&log.found()), expected);
        }
    }

    #[test]
    fn no_more_descriptors_are_read_than_a_log_can_have() {
        let mut log = log();
        log.kernel.put_u32(log.ring, 31);
        // No valid address: nothing is read, so that no count of reads ends it.
        log.kernel.put(log.ring + 8, 1 << 48);
        log.range(0, 1 << 40);
        let found = log.found();
        assert_eq!(found.items, []);
        assert_eq!(found.troubles.more(), (1 << 20) + 1 - 1000);
    }

    #[test]
    fn records_that_share_text_have_no_more_than_the_ring() {
        let mut log = log();
        // Each begins in the text of the one before it, and has all to the end of the ring.
        for id in 4..8 {
            log.record(id, [64 + id % 4 * 8, 128], "");
            log.kernel.put_u32(log.infos + id % 4 * 32 + 16, 56);
        }
        log.range(4, 7);
        let found = log.found();
        assert_eq!((found.items.len(), found.items[0].text.len()), (1, 56));
        let limit = 64;
        assert_eq!(found.troubles, [Trouble::TooLong { what: WHAT, limit }]);
    }

    #[test]
    fn sizes_that_cannot_be_are_said_and_no_ring_is_followed_twice() {
        let mut huge = log();
        huge.kernel.put_u32(huge.ring, 40);
        let found = huge.found();
        assert!(matches!(found.troubles[..], [Trouble::Wild { .. }]));
        let mut wild = log();
        wild.record(4, [64, 80], "text");
        // More numbers between both ends than there are places.
        wild.range(4, 1 << 40);
        assert_eq!(texts(&wild.found()), [(4, "text")]);
        let mut long = log();
        long.record(4, [64, 80], "text");
        long.kernel.put_u32(long.infos + 16, 0xffff);
        long.range(4, 4);
        // No more than its place has.
        assert_eq!(texts(&long.found()), [(4, "text\0\0\0\0")]);
    }
}
