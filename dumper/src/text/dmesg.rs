// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump dmesg`: the kernel's log in an image.

use super::{seconds, troubles};
use linpmem_cli::{Document, printable};
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// The log in an image.
#[derive(Debug, Serialize)]
pub struct DmesgDocument {
    /// The image.
    pub image: String,
    /// The records, from the oldest that is left.
    pub records: Vec<RecordRow>,
    /// What contradicts itself in memory, a sentence each.
    pub troubles: Vec<String>,
    /// How many more there are.
    pub more_troubles: u64,
}

/// A record.
#[derive(Debug, Serialize)]
pub struct RecordRow {
    /// Its number since the boot.
    pub sequence: u64,
    /// From the boot.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub time: Duration,
    /// From 0, an emergency, to 7, for debugging.
    pub level: u8,
    /// Who wrote it: 0 is the kernel.
    pub facility: u8,
    /// The text.
    pub text: String,
}

impl Document for DmesgDocument {
    const FORMAT: &'static str = "linpmem-dump dmesg";

    /// As dmesg(1) prints it.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for record in &self.records {
            let (seconds, micros) = (record.time.as_secs(), record.time.subsec_micros());
            for line in record.text.split('\n') {
                writeln!(out, "[{seconds:>5}.{micros:06}] {}", printable(line))?;
            }
        }
        troubles::write(&self.troubles, self.more_troubles, out)
    }
}
