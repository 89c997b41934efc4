// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the engine reports while it works.

use crate::meter::Meter;
use linpmem_phys::PhysLen;
use std::sync::Arc;

/// Hears of what happens during a run. The engine itself prints nothing.
pub trait Events {
    /// Something the user should know now. It is in the manifest as well, where
    /// there is one.
    fn warning(&mut self, warning: &str);

    /// Reading begins. `meter` counts what is done until [`finished`](Self::finished).
    fn started(&mut self, meter: &Arc<Meter>, total: PhysLen, is_compressed: bool) {
        let _ = (meter, total, is_compressed);
    }

    /// Nothing more is read or written to the image.
    fn finished(&mut self) {}
}

/// Hears of everything and does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Events for Silent {
    fn warning(&mut self, _: &str) {}
}
