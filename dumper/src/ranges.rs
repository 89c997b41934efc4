// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump ranges`: what would be read, and what not.

use crate::args::{RangesArgs, SelectionArgs};
use crate::manifest::Address;
use crate::notation::SourceSpec;
use crate::selection::{NothingSelected, Selected, Selection};
use crate::source::{Iomem, IomemError, Source, SourceError};
use crate::table::{self, Align};
use linpmem_phys::{MemoryMap, PhysLen, PhysRange, RegionKind};
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
    let map = map_of(&args.selection)?;
    let selected = Selection::from(&args.selection).apply(&map)?;
    let parts = Parts::of(&selected);
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &parts.to_json()).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        parts.write_table(out)?;
    }
    Ok(())
}

/// The map alone needs no source.
fn map_of(args: &SelectionArgs) -> Result<MemoryMap, RangesError> {
    Ok(match args.source {
        SourceSpec::Image(_) => Source::open(&args.source)?.map,
        _ => Iomem::read()?.map,
    })
}

/// All parts of the map, by address, each with whether it is read.
struct Parts(Vec<(PhysRange, RegionKind, bool)>);

#[derive(Serialize)]
struct Document {
    read_bytes: u64,
    ranges: Vec<Part>,
    totals: BTreeMap<&'static str, Total>,
}

#[derive(Serialize)]
struct Part {
    start: Address,
    last: Address,
    length: u64,
    kind: &'static str,
    read: bool,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Total {
    read_bytes: u64,
    left_out_bytes: u64,
}

impl Parts {
    fn of(selected: &Selected) -> Self {
        let read = selected
            .read
            .iter()
            .map(|planned| (planned.range, planned.kind, true));
        let left_out = selected
            .left_out
            .iter()
            .map(|region| (region.range, region.kind, false));
        let mut parts: Vec<_> = read.chain(left_out).collect();
        parts.sort_unstable_by_key(|&(range, ..)| range);
        Self(parts)
    }

    fn totals(&self) -> BTreeMap<&'static str, Total> {
        let mut totals: BTreeMap<&'static str, Total> = BTreeMap::new();
        for &(range, kind, read) in &self.0 {
            let total = totals.entry(kind.name()).or_default();
            let sum = if read {
                &mut total.read_bytes
            } else {
                &mut total.left_out_bytes
            };
            *sum = sum.saturating_add(range.len().get());
        }
        totals
    }

    fn read_bytes(&self) -> u64 {
        self.0
            .iter()
            .filter(|(.., read)| *read)
            .fold(0, |sum, (range, ..)| sum.saturating_add(range.len().get()))
    }

    fn to_json(&self) -> Document {
        let parts = self.0.iter().map(|&(range, kind, read)| Part {
            start: range.start().into(),
            last: range.last().into(),
            length: range.len().get(),
            kind: kind.name(),
            read,
        });
        Document {
            read_bytes: self.read_bytes(),
            ranges: parts.collect(),
            totals: self.totals(),
        }
    }

    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|(range, kind, read)| {
                [
                    range.start().to_string(),
                    range.last().to_string(),
                    range.len().to_string(),
                    kind.to_string(),
                    if *read { "yes" } else { "-" }.to_owned(),
                ]
            })
            .collect();
        let columns = [
            ("START", Align::Right),
            ("LAST", Align::Right),
            ("SIZE", Align::Right),
            ("KIND", Align::Left),
            ("READ", Align::Left),
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
        writeln!(out, "\n{read} would be read.")
    }
}
