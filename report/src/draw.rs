// SPDX-License-Identifier: MIT OR Apache-2.0
//! Drawings, as SVG within the page. Their colours are the page's.

use crate::scale::{COLUMNS, Scale, float_of};
use crate::timeline::Timeline;
use crate::words::seconds;
use linpmem_phys::PhysRange;
use maud::{Markup, html};

/// The width of a drawing in its own units. It is as wide as the page.
const WIDTH: f64 = 960.0;

/// What a column of the map shows; of several, the last of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    /// No memory.
    #[default]
    Nothing,
    /// Memory that is not in the image.
    NotRead,
    Other,
    Ram,
    Unreadable,
}

impl Cell {
    /// All that have a colour, with what it means.
    pub(crate) const LEGEND: [(Self, &str); 4] = [
        (Self::Ram, "System RAM in the image"),
        (Self::Other, "other memory in the image"),
        (Self::NotRead, "memory that is not in the image"),
        (Self::Unreadable, "pages that could not be read"),
    ];

    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::NotRead => "absent",
            Self::Other => "other",
            Self::Ram => "ram",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A row of columns.
#[derive(Clone, Debug)]
pub(crate) struct Row(Vec<Cell>);

impl Default for Row {
    fn default() -> Self {
        Self(vec![Cell::Nothing; COLUMNS])
    }
}

impl Row {
    pub(crate) fn mark(&mut self, scale: &Scale, range: PhysRange, cell: Cell) {
        self.mark_between(scale, range.start().get(), range.last().get(), cell);
    }

    pub(crate) fn mark_between(&mut self, scale: &Scale, first: u64, last: u64, cell: Cell) {
        let Some(columns) = scale.columns(first, last) else {
            return;
        };
        for held in self.0.get_mut(columns).unwrap_or_default() {
            *held = (*held).max(cell);
        }
    }

    /// The drawing of the map.
    pub(crate) fn svg(&self, scale: &Scale) -> Markup {
        let width = WIDTH / float_of(COLUMNS);
        html! {
            svg viewBox="0 0 960 40" preserveAspectRatio="none" role="img"
                aria-label="The machine's memory by address" {
                @for (first, length, cell) in runs(&self.0) {
                    @if cell != Cell::Nothing {
                        rect class=(cell.class()) x=(place(float_of(first) * width)) y="0"
                            width=(place(float_of(length) * width)) height="40" {}
                    }
                }
            }
            (ticks(scale))
        }
    }
}

/// Columns that show the same, together: the first, how many, and what.
fn runs<T: Copy + PartialEq>(columns: &[T]) -> Vec<(usize, usize, T)> {
    let mut runs: Vec<(usize, usize, T)> = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        match runs.last_mut() {
            Some((_, length, held)) if *held == *column => *length += 1,
            _ => runs.push((index, 1, *column)),
        }
    }
    runs
}

/// Addresses below a drawing, each at its place.
fn ticks(scale: &Scale) -> Markup {
    html! {
        div class="ticks" {
            @for (address, share) in scale.ticks() {
                span style=(format!("left:{:.1}%", share * 100.0)) { (format!("{address:#x}")) }
            }
        }
    }
}

/// How warm a column is, in five steps; `None` where nothing was compared.
fn warmth(share: Option<f64>) -> Option<u8> {
    Some(match share? {
        0.0 => 0,
        few if few < 0.01 => 1,
        some if some < 0.05 => 2,
        many if many < 0.25 => 3,
        _ => 4,
    })
}

/// What the colours of [`heat`] mean.
pub(crate) const WARMTH: [(&str, &str); 5] = [
    ("warm0", "unchanged"),
    ("warm1", "below 1 %"),
    ("warm2", "1 to 5 %"),
    ("warm3", "5 to 25 %"),
    ("warm4", "more"),
];

/// The shares of pages that had changed, by address.
pub(crate) fn heat(shares: impl Iterator<Item = Option<f64>>, scale: &Scale) -> Markup {
    let columns: Vec<Option<u8>> = shares.map(warmth).collect();
    let width = WIDTH / float_of(COLUMNS);
    html! {
        svg viewBox="0 0 960 40" preserveAspectRatio="none" role="img"
            aria-label="Pages that changed, by address" {
            @for (first, length, step) in runs(&columns) {
                @if let Some(step) = step {
                    rect class=(format!("warm{step}")) x=(place(float_of(first) * width)) y="0"
                        width=(place(float_of(length) * width)) height="40" {}
                }
            }
        }
        (ticks(scale))
    }
}

/// How fast memory was read, over time, as parts of the fastest.
pub(crate) fn rates(timeline: &Timeline) -> Markup {
    const HEIGHT: f64 = 120.0;
    let bars = timeline.bars();
    let most = timeline.most();
    let width = WIDTH / float_of(bars.len().max(1));
    let height = |bytes: f64| {
        if most > 0.0 {
            bytes / most * HEIGHT
        } else {
            0.0
        }
    };
    html! {
        svg viewBox="0 0 960 120" preserveAspectRatio="none" role="img"
            aria-label="How fast memory was read, over time" {
            @for (index, bytes) in bars.iter().enumerate() {
                @if *bytes > 0.0 {
                    rect class="ram" x=(place(float_of(index) * width))
                        y=(place(HEIGHT - height(*bytes)))
                        width=(place(width)) height=(place(height(*bytes))) {}
                }
            }
        }
        div class="ticks" {
            span style="left:0" { "0 s" }
            span style="right:0" { (seconds(timeline.seconds())) }
        }
    }
}

/// A place in a drawing, in its units.
fn place(units: f64) -> String {
    format!("{units:.1}")
}
