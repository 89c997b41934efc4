// SPDX-License-Identifier: MIT OR Apache-2.0
//! A source with the layers that a run asks for.

use crate::plan::{OnUnreadable, Plan};
use crate::reader::ReadPages;
use crate::source::{Source, SourceSpec};
use crate::timeout::TimeoutReader;
use linpmem_phys::{PageBuffer, PhysAddr, PhysRange, ReadPhys, SourceError, Unreadables};
use std::sync::Arc;

/// The memory of a source, read as a plan says: with a time limit, and with a failed run
/// if the plan does not allow unreadable pages.
pub(crate) struct LiveMemory {
    way: Way,
    on_unreadable: OnUnreadable,
}

enum Way {
    Direct(Arc<dyn ReadPhys>),
    Timeout(TimeoutReader),
}

impl LiveMemory {
    /// The layers of `plan` around `source`.
    pub(crate) fn new(source: &Source, plan: &Plan) -> Self {
        let reader = Arc::clone(&source.reader);
        Self {
            way: match (&plan.source, plan.page_timeout) {
                // Images do not hang.
                (SourceSpec::Image(_), _) | (_, None) => Way::Direct(reader),
                (_, Some(timeout)) => Way::Timeout(TimeoutReader::new(reader, timeout)),
            },
            on_unreadable: plan.on_unreadable,
        }
    }
}

impl ReadPages for LiveMemory {
    fn read_pages(
        &self,
        start: PhysAddr,
        buffer: &mut PageBuffer,
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        match &self.way {
            Way::Direct(reader) => reader.read_phys(start, buffer, unreadable)?,
            Way::Timeout(reader) => reader.read_pages(start, buffer, unreadable)?,
        }
        match (self.on_unreadable, unreadable.as_slice().first()) {
            (OnUnreadable::List, _) | (_, None) => Ok(()),
            (OnUnreadable::Fail, Some(first)) => Err(SourceError::new(
                first.range.start(),
                format!(
                    "{} cannot be read ({}), and --on-error fail stops the run there",
                    first.range, first.errno
                ),
            )),
        }
    }

    fn is_known_zero(&self, range: PhysRange) -> bool {
        match &self.way {
            Way::Direct(reader) => reader.is_known_zero(range),
            Way::Timeout(_) => false,
        }
    }
}
