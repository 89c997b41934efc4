// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where memory changed while it was read.

use crate::scale::{COLUMNS, Scale, float, float_of};

/// Pages of a column that were compared, and those that had changed.
#[derive(Clone, Debug)]
pub(crate) struct Heat {
    changed: Vec<f64>,
    compared: Vec<f64>,
}

impl Default for Heat {
    fn default() -> Self {
        Self {
            changed: vec![0.0; COLUMNS],
            compared: vec![0.0; COLUMNS],
        }
    }
}

impl Heat {
    pub(crate) fn changed(&mut self, scale: &Scale, first: u64, last: u64, pages: u64) {
        spread(&mut self.changed, scale, (first, last), pages);
    }

    pub(crate) fn compared(&mut self, scale: &Scale, first: u64, last: u64, pages: u64) {
        spread(&mut self.compared, scale, (first, last), pages);
    }

    /// The share of each column that had changed; `None` where nothing was compared.
    pub(crate) fn shares(&self) -> impl Iterator<Item = Option<f64>> {
        let pairs = self.changed.iter().zip(&self.compared);
        pairs.map(|(changed, compared)| {
            (*compared > 0.0).then(|| (changed / compared).clamp(0.0, 1.0))
        })
    }
}

fn spread(into: &mut [f64], scale: &Scale, (first, last): (u64, u64), pages: u64) {
    let Some(columns) = scale.columns(first, last) else {
        return;
    };
    let share = float(pages) / float_of(columns.end() - columns.start() + 1);
    for column in columns {
        if let Some(held) = into.get_mut(column) {
            *held += share;
        }
    }
}
