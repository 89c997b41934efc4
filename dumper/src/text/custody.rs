// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump custody`: who acquired an image, and what happened since.

use linpmem_cli::{Document, printable};
use linpmem_custody::chain::Entry;
use linpmem_manifest::{CustodyRecord, Header, Operator, OperatorFrom, Sha256Sum, Tool};
use serde::Serialize;
use std::io::{self, Write};

/// Who acquired an image, and every event since.
#[derive(Debug, Serialize)]
pub struct CustodyDocument {
    /// The manifest.
    pub manifest: String,
    /// Its SHA-256, which the first event follows.
    pub manifest_sha256: Sha256Sum,
    /// What the manifest says; none if it is encrypted.
    pub acquired: Option<Acquisition>,
    /// The file of the events; none if there is none.
    pub file: Option<String>,
    /// Whether the events follow each other from the manifest on.
    pub good: bool,
    /// The events, as far as they do.
    pub events: Vec<EventLine>,
    /// The SHA-256 of the last event's line, which the next one will follow.
    pub head_sha256: Sha256Sum,
    /// What is wrong.
    pub reason: Option<String>,
}

/// What the manifest says about the acquisition.
#[derive(Debug, Serialize)]
pub struct Acquisition {
    /// When it began: UTC.
    pub time: String,
    /// The machine.
    pub host: String,
    /// The program.
    pub tool: Tool,
    /// Whether an image was read, and not a machine.
    pub from_image: bool,
    /// Who ran it and by which clocks; manifests of older versions do not say.
    pub custody: Option<CustodyRecord>,
}

/// An event.
#[derive(Debug, Serialize)]
pub struct EventLine {
    /// When it was recorded: UTC.
    pub time: String,
    /// What happened.
    pub event: String,
    /// Who recorded it.
    pub operator: Operator,
    /// On which machine.
    pub host: String,
    /// By which program.
    pub tool: Tool,
}

impl Acquisition {
    /// What `header` says.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        Self {
            time: header.started.utc.clone(),
            host: header.host.hostname.clone(),
            tool: header.tool.clone(),
            from_image: header.source.kind == "file",
            custody: header.custody.clone(),
        }
    }
}

impl Acquisition {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            time,
            host,
            tool,
            custody,
            from_image,
        } = self;
        let what = match from_image {
            true => "converted",
            false => "acquired",
        };
        let by = match custody {
            Some(custody) => described(&custody.operator),
            None => "somebody whom the manifest does not name".to_owned(),
        };
        let line = format!(
            "{time}  {what} by {by}, on {host}, with {} {}",
            tool.name, tool.version
        );
        writeln!(out, "{}", printable(&line))?;
        match custody {
            Some(custody) => write_record(custody, out),
            None => Ok(()),
        }
    }
}

impl EventLine {
    /// What `entry` says.
    #[must_use]
    pub fn of(entry: Entry) -> Self {
        Self {
            time: entry.time,
            event: entry.event,
            operator: entry.operator,
            host: entry.host,
            tool: entry.tool,
        }
    }
}

impl Document for CustodyDocument {
    const FORMAT: &'static str = "linpmem-dump custody";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        match &self.acquired {
            Some(acquisition) => acquisition.write_text(out)?,
            None => writeln!(
                out,
                "the manifest is encrypted: who acquired the image, `info --identity` says"
            )?,
        }
        for event in &self.events {
            let by = described(&event.operator);
            let line = format!("{}  {} ({by}, on {})", event.time, event.event, event.host);
            writeln!(out, "{}", printable(&line))?;
        }
        if let Some(reason) = &self.reason {
            writeln!(out, "NOT GOOD: {}", printable(reason))?;
        }
        let what = match self.events.len() {
            0 => "manifest",
            _ => "last event",
        };
        writeln!(out, "the {what} has the SHA-256 {}", self.head_sha256)
    }
}

fn write_record(custody: &CustodyRecord, out: &mut dyn Write) -> io::Result<()> {
    let mut detail = |name: &str, text: &str| {
        let text = printable(text);
        writeln!(out, "    {:<8} {text}", format!("{name}:"))
    };
    if let Some(case) = &custody.case {
        detail("case", case)?;
    }
    if let Some(note) = &custody.note {
        detail("note", note)?;
    }
    let clock = &custody.clock;
    let zone = clock.timezone.as_deref().unwrap_or("no timezone");
    let state = match (clock.synchronised, clock.max_error_us) {
        (Some(true), Some(error)) => format!("synchronised, at most {error} µs off"),
        (Some(true), None) => "synchronised".to_owned(),
        (Some(false), _) => "not synchronised".to_owned(),
        (None, _) => "unknown whether it was synchronised".to_owned(),
    };
    detail("clock", &format!("{state}; {zone}"))?;
    match &custody.source_manifest {
        Some(source) => detail("from", &format!("{} {}", source.name, source.sha256)),
        None => Ok(()),
    }
}

/// A name, and how far it can be relied on.
fn described(operator: &Operator) -> String {
    let Operator { name, from } = operator;
    match from {
        OperatorFrom::Option => name.clone(),
        OperatorFrom::Login => format!("{name} (who logged in)"),
        OperatorFrom::Environment => format!("{name} (as the environment says)"),
        OperatorFrom::Process => format!("{name} (whose process it was)"),
    }
}
