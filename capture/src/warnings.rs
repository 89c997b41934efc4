// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user should know, now and in the manifest.

use crate::events::Events;

/// Reports each warning when it comes up, and keeps it for the manifest.
pub(crate) struct Warnings<'a> {
    events: &'a mut dyn Events,
    all: Vec<String>,
}

impl<'a> Warnings<'a> {
    pub(crate) fn new(events: &'a mut dyn Events) -> Self {
        Self {
            events,
            all: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, warning: String) {
        self.events.warning(&warning);
        self.all.push(warning);
    }

    pub(crate) fn extend(&mut self, warnings: impl IntoIterator<Item = String>) {
        warnings.into_iter().for_each(|warning| self.add(warning));
    }

    /// All warnings so far, in order.
    pub(crate) fn all(&self) -> &[String] {
        &self.all
    }

    pub(crate) fn events(&mut self) -> &mut dyn Events {
        self.events
    }
}
