// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump recover`: what was saved of an interrupted run.

use super::figures::count;
use linpmem_cli::{Document, printable};
use linpmem_phys::PhysLen;
use linpmem_phys::num::usize_as_u64;
use serde::Serialize;
use std::io::{self, Write};

/// An image that was recovered.
#[derive(Debug, Serialize)]
pub struct RecoverDocument {
    /// The unfinished image. It is unchanged, or was whole and has a new name.
    pub image: String,
    /// The new image.
    pub output: String,
    /// How it was made.
    pub action: Action,
    /// Memory that the run planned to write and that is not in the new image.
    pub missing_bytes: u64,
    /// Members of an AFF4 archive that were complete.
    pub members: Option<usize>,
    /// Bytes at the end of the old AFF4 volume that belong to no complete member.
    pub lost_bytes: Option<u64>,
    /// Memory in the new volume's map; none if linpmem-dump did not write the old
    /// volume, or its beginning is lost, so that only the directory is new.
    pub mapped_bytes: Option<u64>,
}

/// How an image was recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It was whole, and got its final name.
    Named,
    /// An AFF4 volume was completed.
    Completed,
    /// What was left was written to a new image.
    Rewritten,
}

impl Document for RecoverDocument {
    const FORMAT: &'static str = "linpmem-dump recover";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (image, output) = (printable(&self.image), printable(&self.output));
        let missing = PhysLen::new(self.missing_bytes);
        match self.action {
            Action::Named => {
                return writeln!(
                    out,
                    "{image} is whole: only its name was missing; it is {output} now"
                );
            }
            Action::Rewritten => {
                writeln!(out, "{output}: what is left of {image}")?;
            }
            Action::Completed => {
                let members = count(usize_as_u64(self.members.unwrap_or(0)), "complete member");
                let lost = PhysLen::new(self.lost_bytes.unwrap_or(0));
                writeln!(out, "{output}: {members}, {lost} lost")?;
                match self.mapped_bytes {
                    Some(bytes) => writeln!(out, "{} of memory is mapped", PhysLen::new(bytes))?,
                    None => writeln!(
                        out,
                        "only the directory is new: linpmem-dump did not write this volume, or \
                         its beginning is lost"
                    )?,
                }
            }
        }
        if self.missing_bytes > 0 {
            writeln!(out, "{missing} of memory is missing, and listed as such")?;
        }
        Ok(())
    }
}
