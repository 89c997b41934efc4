// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the engine reports during a run.

use crate::meter::Meter;
use linpmem_phys::PhysLen;
use std::sync::Arc;

/// Receives what happens during a run. The engine itself prints nothing.
pub trait Events {
    /// Something that the user should know now. The manifest, if there is one, has it too.
    fn warning(&mut self, warning: &str);

    /// Reading begins. `meter` counts the progress until [`finished`](Self::finished).
    fn started(&mut self, _meter: &Arc<Meter>, _total: PhysLen, _is_compressed: bool) {}

    /// The image and the comparison with it, if any, are done.
    fn finished(&mut self) {}
}

/// Ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Events for Silent {
    fn warning(&mut self, _: &str) {}
}
