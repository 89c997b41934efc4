// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ranges`: what would be read, and what not.

use crate::args::{RangesArgs, SelectionArgs};
use crate::text::table::{self, Align};
use linpmem_capture::selection::{NothingSelected, Part, Selected};
use linpmem_capture::source::{Iomem, IomemError, Source, SourceError, SourceSpec};
use linpmem_manifest::{Address, SourceRecord};
use linpmem_phys::{MemoryMap, PhysLen};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// The map cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RangesError {
    /// No map.
    #[error(transparent)]
    Iomem(#[from] IomemError),
    /// No source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Nothing was selected.
    #[error(transparent)]
    Nothing(#[from] NothingSelected),
    /// stdout failed.
    #[error("writing to stdout: {0}")]
    Output(#[from] io::Error),
}

/// Shows what `args` would read.
///
/// # Errors
/// If there is no map, or nothing in it that was asked for.
pub fn ranges(args: &RangesArgs, out: &mut dyn Write) -> Result<(), RangesError> {
    let memory = Memory::of(&args.selection)?;
    let selected = args.selection.selection().apply(&memory.map)?;
    let shown = Shown::of(&selected, memory.source);
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &shown.to_json()).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        shown.write_table(out)?;
    }
    Ok(())
}

/// What there is, and where it would come from.
struct Memory {
    map: MemoryMap,
    source: Result<SourceRecord, SourceError>,
}

impl Memory {
    /// The map of the running machine needs no source.
    fn of(args: &SelectionArgs) -> Result<Self, RangesError> {
        match Source::open(&args.source) {
            Ok(source) => Ok(Self {
                map: source.map,
                source: Ok(source.record),
            }),
            Err(error) if matches!(args.source, SourceSpec::Image(_)) => Err(error.into()),
            Err(error) => Ok(Self {
                map: Iomem::read()?.map,
                source: Err(error),
            }),
        }
    }
}

/// All of the map, by address.
struct Shown {
    rows: Vec<Row>,
    /// Why no source serves any of them.
    no_source: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    read_bytes: u64,
    ranges: &'a [Row],
    totals: BTreeMap<&'static str, Total>,
    /// Why no source serves any of them.
    no_source: Option<&'a str>,
}

#[derive(Serialize)]
struct Row {
    start: Address,
    last: Address,
    length: u64,
    kind: &'static str,
    read: bool,
    /// What it would be read from, or could be.
    source: Option<String>,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Total {
    read_bytes: u64,
    left_out_bytes: u64,
}

impl Shown {
    fn of(selected: &Selected, source: Result<SourceRecord, SourceError>) -> Self {
        let serving = |part: &Part| {
            let served = source.as_ref().ok()?.serving(part.kind.name())?;
            // What is never read has no source.
            part.is_read.then(|| served.to_owned())
        };
        let rows = selected.parts().into_iter().map(|part| Row {
            start: part.range.start().into(),
            last: part.range.last().into(),
            length: part.range.len().get(),
            kind: part.kind.name(),
            read: part.is_read,
            source: serving(&part),
        });
        Self {
            rows: rows.collect(),
            no_source: source.err().map(|error| error.to_string()),
        }
    }

    fn totals(&self) -> BTreeMap<&'static str, Total> {
        let mut totals: BTreeMap<&'static str, Total> = BTreeMap::new();
        for row in &self.rows {
            let total = totals.entry(row.kind).or_default();
            let sum = if row.read {
                &mut total.read_bytes
            } else {
                &mut total.left_out_bytes
            };
            *sum = sum.saturating_add(row.length);
        }
        totals
    }

    fn read_bytes(&self) -> u64 {
        let read = self.rows.iter().filter(|row| row.read);
        read.fold(0, |sum, row| sum.saturating_add(row.length))
    }

    fn to_json(&self) -> Document<'_> {
        Document {
            read_bytes: self.read_bytes(),
            ranges: &self.rows,
            totals: self.totals(),
            no_source: self.no_source.as_deref(),
        }
    }

    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                [
                    format!("{:#x}", row.start.0),
                    format!("{:#x}", row.last.0),
                    PhysLen::new(row.length).to_string(),
                    row.kind.to_owned(),
                    if row.read { "yes" } else { "-" }.to_owned(),
                    match &row.source {
                        Some(source) => source.clone(),
                        // It will be listed as unreadable.
                        None if row.read => "none".to_owned(),
                        None => "-".to_owned(),
                    },
                ]
            })
            .collect();
        let columns = [
            ("START", Align::Right),
            ("LAST", Align::Right),
            ("SIZE", Align::Right),
            ("KIND", Align::Left),
            ("READ", Align::Left),
            ("SOURCE", Align::Left),
        ];
        table::write(out, columns, &rows)?;
        writeln!(out)?;
        let rows: Vec<_> = self
            .totals()
            .into_iter()
            .map(|(kind, total)| {
                let figure = |bytes| match bytes {
                    0 => "-".to_owned(),
                    bytes => PhysLen::new(bytes).to_string(),
                };
                [
                    kind.to_owned(),
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
        table::write(out, columns, &rows)?;
        let read = PhysLen::new(self.read_bytes());
        match &self.no_source {
            None => writeln!(out, "\n{read} would be read."),
            Some(reason) => writeln!(out, "\n{read} would be read, but {reason}"),
        }
    }
}
