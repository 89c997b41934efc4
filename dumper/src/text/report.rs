// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump report`: where the page is.

use linpmem_cli::{Document, ExitStatus, printable};
use serde::Serialize;
use std::io::{self, Write};

/// A page that was written. stdout may be the page, and this goes to stderr then.
#[derive(Debug, Serialize)]
pub struct ReportDocument {
    /// The image that it is about.
    pub image: String,
    /// Its file; `-` for stdout.
    pub page: String,
    /// What was found when the image was compared with its manifest, if that was asked for and could
    /// be done.
    pub verified: Option<Comparison>,
}

/// How an image compares with its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Every byte is what the manifest describes.
    Good,
    /// Something differs.
    Bad,
}

impl ReportDocument {
    /// A page about an image that is not what its manifest describes is no success.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        match self.verified {
            Some(Comparison::Bad) => ExitStatus::Failed,
            Some(Comparison::Good) | None => ExitStatus::Complete,
        }
    }
}

impl Document for ReportDocument {
    const FORMAT: &'static str = "linpmem-dump report";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.page != "-" {
            let page = printable(&self.page);
            writeln!(out, "{page}: open it in a browser, or print it")?;
        }
        match self.verified {
            Some(Comparison::Bad) => writeln!(out, "the image is NOT what its manifest describes"),
            Some(Comparison::Good) | None => Ok(()),
        }
    }
}
