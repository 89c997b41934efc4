// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ranges`: what an acquisition would read.

use linpmem_cli::Document;
use linpmem_cli::table::{self, Align};
use linpmem_manifest::Address;
use linpmem_phys::PhysLen;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The whole memory map, and what would be read of it.
#[derive(Debug, Serialize)]
pub struct RangesDocument {
    /// Memory that would be read.
    pub read_bytes: u64,
    /// The map, by address.
    pub ranges: Vec<MapRange>,
    /// Totals by kind of memory.
    pub totals: BTreeMap<&'static str, Total>,
    /// Why there is no source to read from, if there is none.
    pub no_source: Option<String>,
}

/// A range of the map.
#[derive(Debug, Serialize)]
pub struct MapRange {
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
    /// Its size.
    pub size_bytes: u64,
    /// What the kernel calls it.
    pub kind: &'static str,
    /// Whether it would be read.
    pub read: bool,
    /// The source it would be read from; none if it would not be read, or no source
    /// has it: then it would be listed as unreadable.
    pub source: Option<String>,
}

/// The memory of one kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Total {
    /// What would be read.
    pub read_bytes: u64,
    /// What would not be.
    pub left_out_bytes: u64,
}

impl RangesDocument {
    /// The document about `ranges`, which do not overlap.
    #[must_use]
    pub fn new(ranges: Vec<MapRange>, no_source: Option<String>) -> Self {
        let mut totals: BTreeMap<&'static str, Total> = BTreeMap::new();
        let mut read_bytes = 0;
        for range in &ranges {
            let total = totals.entry(range.kind).or_default();
            if range.read {
                total.read_bytes += range.size_bytes;
                read_bytes += range.size_bytes;
            } else {
                total.left_out_bytes += range.size_bytes;
            }
        }
        Self {
            read_bytes,
            ranges,
            totals,
            no_source,
        }
    }
}

impl Document for RangesDocument {
    const FORMAT: &'static str = "linpmem-dump ranges";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<_> = self.ranges.iter().map(row).collect();
        let columns = [
            ("START", Align::Right),
            ("LAST", Align::Right),
            ("SIZE", Align::Right),
            ("KIND", Align::Left),
            ("READ", Align::Left),
            ("SOURCE", Align::Left),
        ];
        table::write(out, columns, rows.iter().cloned())?;
        writeln!(out)?;
        let figure = |bytes| match bytes {
            0 => "-".to_owned(),
            bytes => PhysLen::new(bytes).to_string(),
        };
        let rows: Vec<_> = self
            .totals
            .iter()
            .map(|(kind, total)| {
                [
                    (*kind).to_owned(),
                    figure(total.read_bytes),
                    figure(total.left_out_bytes),
                ]
            })
            .collect();
        let columns = [
            ("KIND", Align::Left),
            ("READ", Align::Right),
            ("LEFT OUT", Align::Right),
        ];
        table::write(out, columns, rows.iter().cloned())?;
        let read = PhysLen::new(self.read_bytes);
        match &self.no_source {
            None => writeln!(out, "\n{read} would be read."),
            Some(reason) => writeln!(out, "\n{read} would be read, but {reason}"),
        }
    }
}

fn row(range: &MapRange) -> [String; 6] {
    [
        format!("{:#x}", range.start.0),
        format!("{:#x}", range.last.0),
        PhysLen::new(range.size_bytes).to_string(),
        range.kind.to_owned(),
        if range.read { "yes" } else { "-" }.to_owned(),
        match &range.source {
            Some(source) => source.clone(),
            None if range.read => "none".to_owned(),
            None => "-".to_owned(),
        },
    ]
}
