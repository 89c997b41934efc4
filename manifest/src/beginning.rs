// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the manifest of a run says that did not finish.

use crate::{Header, Manifest, ReadError, Reader, Record};
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, RegionKind, Unreadable, Unreadables};
use std::io::BufRead;
use std::path::Path;

/// The most ranges to keep.
const MAX_RANGES: usize = 1 << 20;
/// The most ranges of unreadable pages to keep.
const MAX_UNREADABLE: usize = 4 << 20;

/// The beginning of a manifest: what was planned, and what was written until the run ended.
/// The manifest of a run that a kill or a power cut ended has no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The first line.
    pub header: Header,
    /// The ranges that were begun. Only the last one may not be complete.
    pub ranges: Vec<BegunRange>,
    /// Whether the manifest ends before it says that the image is written.
    pub is_truncated: bool,
}

/// A range of which at least the beginning was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunRange {
    /// Its addresses.
    pub addresses: PhysRange,
    /// What the kernel calls it.
    pub kind: RegionKind,
    /// The address up to which the manifest lists chunks and what could not be read of them.
    pub listed_end: PhysAddr,
    /// What could not be read of these chunks.
    pub unreadable: Vec<Unreadable>,
}

impl Beginning {
    /// Reads the manifest at `path`, as far as it goes.
    ///
    /// # Errors
    /// If it cannot be opened, or not even its first line can be read.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        Self::collect(Reader::open(path)?)
    }

    /// What `reader` says, as far as it goes.
    ///
    /// # Errors
    /// If not even its first line can be read.
    pub fn collect<R: BufRead>(mut reader: Reader<R>) -> Result<Self, ReadError> {
        let mut header = None;
        let mut ranges: Vec<BegunRange> = Vec::new();
        let mut unreadable = Unreadables::new();
        let mut kept = 0;
        let mut is_truncated = true;
        while let Some(record) = reader.next() {
            let record = match record {
                Ok(record) => record,
                // What comes before a damaged line was checked.
                Err(_) if header.is_some() => break,
                Err(error) => return Err(error),
            };
            match record {
                Record::Header(first) => header = Some(*first),
                Record::Range(range) if ranges.len() < MAX_RANGES => {
                    ranges.extend(range.addresses().map(|addresses| BegunRange {
                        addresses,
                        kind: range.kind(),
                        listed_end: addresses.start(),
                        unreadable: Vec::new(),
                    }));
                }
                Record::Range(_) => break,
                Record::Unreadable(record) if kept < MAX_UNREADABLE => {
                    if let Some(addresses) = record.addresses() {
                        unreadable.push(addresses, record.errno());
                        kept += 1;
                    }
                }
                Record::Unreadable(_) => break,
                Record::RangeEnd(end) => {
                    if let Some(last) = ranges.last_mut() {
                        last.listed_end = end_of(last.addresses, end.written_bytes);
                    }
                    close(&mut ranges, &mut unreadable);
                }
                // After this line only hashes of the file may be missing.
                Record::Written(_) | Record::Footer(_) => is_truncated = false,
                _ => {}
            }
            // The unreadable pages of the latest chunks may not be listed yet.
            let latest = reader.sequence().range().and_then(|range| range.latest);
            if let (Some(latest), Some(last)) = (latest, ranges.last_mut()) {
                last.listed_end = latest.addresses.start();
            }
        }
        close(&mut ranges, &mut unreadable);
        let header = header.ok_or_else(|| ReadError::Truncated {
            path: reader.path().to_path_buf(),
            lines: 0,
        })?;
        Ok(Self {
            header,
            ranges,
            is_truncated,
        })
    }
}

/// Where the first `written` bytes of a range end.
fn end_of(range: PhysRange, written: u64) -> PhysAddr {
    let end = range.start().checked_add(PhysLen::new(written));
    end.map_or(range.end(), |end| end.min(range.end()))
}

/// Gives what could not be read to the last range.
fn close(ranges: &mut [BegunRange], unreadable: &mut Unreadables) {
    if let Some(last) = ranges.last_mut().filter(|last| last.unreadable.is_empty()) {
        last.unreadable = std::mem::take(unreadable).as_slice().to_vec();
    }
}

impl From<&Manifest> for Beginning {
    fn from(manifest: &Manifest) -> Self {
        let ranges = manifest.ranges.iter().map(|range| BegunRange {
            addresses: range.addresses,
            kind: range.kind(),
            listed_end: end_of(range.addresses, range.end.written_bytes),
            unreadable: range.unreadable.clone(),
        });
        Self {
            header: manifest.header.clone(),
            ranges: ranges.collect(),
            is_truncated: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_phys::Errno;
    use std::io::Write;

    /// A manifest of two ranges, with an unreadable page in each.
    fn text() -> String {
        let header = r#"{"header":{"manifest_version":2,"tool":{"name":"t","version":"1"},"command":[],"host":{"hostname":"h","kernel_release":"","kernel_version":"","machine":"","boot_id":null},"source":{"kind":"fake","path":"x","detail":null},"started":{"utc":"2026-01-01T00:00:00Z","monotonic_ns":1},"machine":{"phys_bits":null,"paging_levels":null,"direct_map_base":null,"kernel_page_table":null,"kaslr_offset":null,"vmcoreinfo":null},"iomem":null,"map":[],"image":{"name":"a","format":"lime","raw_layout":null,"compression":"none","chunk_bytes":4096,"planned_bytes":16384},"artifacts":null}}"#;
        let sum = "0".repeat(64);
        let chunk = format!(r#"{{"chunk":["{sum}",[1,1]]}}"#);
        let bad = |start: u64| {
            format!(
                r#"{{"unreadable":{{"start":"{start:#x}","last":"{:#x}","pages":1,"errno":5,"name":"EIO"}}}}"#,
                start + 0xfff
            )
        };
        let range = |index, start: u64| {
            format!(
                r#"{{"range":{{"index":{index},"start":"{start:#x}","last":"{:#x}","kind":"System RAM","file_offset":null}}}}"#,
                start + 0x1fff
            )
        };
        let end = format!(
            r#"{{"range_end":{{"written_bytes":8192,"unreadable_pages":1,"sha256_tree":"{sum}","read_us":[1,1]}}}}"#
        );
        let lines = [
            header.to_owned(),
            range(0, 0x1000),
            chunk.clone(),
            bad(0x1000),
            chunk.clone(),
            end,
            range(1, 0x8000),
            chunk.clone(),
            bad(0x8000),
            chunk,
        ];
        lines.map(|line| line + "\n").concat()
    }

    #[test]
    fn a_manifest_cut_anywhere_vouches_for_no_more_than_it_lists() {
        let text = text();
        let mut seen = 0;
        for end in 0..=text.len() {
            let part = &text.as_bytes()[..end];
            let read = Beginning::collect(Reader::new(part, Path::new("m")));
            let lines = part.iter().filter(|&&byte| byte == b'\n').count();
            if lines == 0 {
                assert!(read.is_err(), "{end}");
                continue;
            }
            let beginning = read.unwrap();
            assert!(beginning.is_truncated);
            let found: Vec<(u64, usize)> = beginning
                .ranges
                .iter()
                .map(|range| (range.listed_end.get(), range.unreadable.len()))
                .collect();
            let expected: &[(u64, usize)] = match lines {
                1 => &[],
                2 | 3 => &[(0x1000, 0)],
                4 => &[(0x1000, 1)],
                5 => &[(0x2000, 1)],
                6 => &[(0x3000, 1)],
                7 | 8 => &[(0x3000, 1), (0x8000, 0)],
                9 => &[(0x3000, 1), (0x8000, 1)],
                _ => &[(0x3000, 1), (0x9000, 1)],
            };
            assert_eq!(found, expected, "{lines} lines");
            seen = lines;
        }
        assert_eq!(seen, 10);
        let whole = Beginning::collect(Reader::new(text.as_bytes(), Path::new("m"))).unwrap();
        assert_eq!(whole.ranges[1].unreadable[0].errno, Errno::EIO);
    }

    #[test]
    fn what_comes_before_a_damaged_line_counts() {
        let mut text = text().into_bytes();
        text.write_all(b"{\"footer\":{}}\n").unwrap();
        let beginning = Beginning::collect(Reader::new(text.as_slice(), Path::new("m"))).unwrap();
        assert_eq!(beginning.ranges.len(), 2);
        assert!(beginning.is_truncated);
    }
}
