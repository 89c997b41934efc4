// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump recover`: what was saved of an interrupted volume.

use super::figures::count;
use linpmem_cli::{Document, printable};
use linpmem_phys::PhysLen;
use linpmem_phys::num::usize_as_u64;
use serde::Serialize;
use std::io::{self, Write};

/// A volume that was recovered.
#[derive(Debug, Serialize)]
pub struct RecoverDocument {
    /// The unfinished volume, which is unchanged.
    pub image: String,
    /// The new volume.
    pub output: String,
    /// Members of the archive that were complete.
    pub members: usize,
    /// Bytes at the end of the old volume that belong to no complete member.
    pub lost_bytes: u64,
    /// Memory in the new volume's map; none if linpmem-dump did not write the old
    /// volume, or its beginning is lost, so that only the directory is new.
    pub mapped_bytes: Option<u64>,
}

impl Document for RecoverDocument {
    const FORMAT: &'static str = "linpmem-dump recover";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let output = printable(&self.output);
        let members = count(usize_as_u64(self.members), "complete member");
        let lost = PhysLen::new(self.lost_bytes);
        writeln!(out, "{output}: {members}, {lost} lost")?;
        match self.mapped_bytes {
            Some(bytes) => writeln!(out, "{} of memory is mapped", PhysLen::new(bytes)),
            None => writeln!(
                out,
                "only the directory is new: linpmem-dump did not write this volume, or its \
                 beginning is lost"
            ),
        }
    }
}
