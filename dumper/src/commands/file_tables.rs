// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose open files are listed: those of each process, and of each thread that has a table of its
//! own.

use linpmem_inspect::FoundTask;
use linpmem_inspect::{Error, Machine, Troubles};
use std::collections::HashSet;

/// The tables of each process that were listed.
#[derive(Default)]
pub(super) struct FileTables {
    seen: HashSet<(i32, u64)>,
}

impl FileTables {
    /// Whether the open files of `found` are not those of its process, which come first.
    ///
    /// # Errors
    /// If this kernel keeps them in another way.
    pub(super) fn is_new(
        &mut self,
        machine: &Machine<'_>,
        found: &FoundTask,
        troubles: &mut Troubles,
    ) -> Result<bool, Error> {
        let table = machine.files_table(&found.task, troubles)?;
        let is_new = table.is_some_and(|table| self.seen.insert((found.task.tgid, table)));
        // A process without a table may still have a folder and a program.
        Ok(is_new || found.is_process())
    }
}
