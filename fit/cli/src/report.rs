// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fitted module rests on, in words and as JSON.

use linpmem_cli::table::value;
use linpmem_cli::{Document, printable};
use linpmem_core::layout::{ABSENT, Layout};
use linpmem_fit::{Explanation, Fitted};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// `linpmem-fit --json`.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    release: &'a str,
    output: Option<String>,
    module_bytes: usize,
    /// Why the running system would refuse it; null if it would not, or is not asked.
    refusal: Option<String>,
    facts: Vec<Fact<'a>>,
    checks: &'a [String],
    imports: Vec<Import<'a>>,
    /// Null for what this kernel does not have, or does not need.
    layout: BTreeMap<&'static str, Option<u32>>,
    #[serde(skip)]
    is_explained: bool,
}

#[derive(Debug, Serialize)]
struct Fact<'a> {
    name: &'a str,
    value: &'a str,
    source: &'a str,
}

#[derive(Debug, Serialize)]
struct Import<'a> {
    name: &'a str,
    /// Null if the module's own substitute takes its place.
    symbol: Option<&'a str>,
    checksum: Option<String>,
    source: Option<&'a str>,
}

impl<'a> Report<'a> {
    /// The report about a module that was written to `output`, if it was.
    pub fn of(
        fitted: &'a Fitted,
        output: Option<&Path>,
        refusal: Option<String>,
        is_explained: bool,
    ) -> Self {
        let Explanation {
            release,
            facts,
            checks,
            imports,
            layout,
            ..
        } = &fitted.explanation;
        let values = layout.values();
        let fields = Layout::FIELDS.iter().copied().zip(values);
        Self {
            release,
            output: output.map(|path| path.display().to_string()),
            module_bytes: fitted.module.len(),
            refusal,
            facts: facts
                .iter()
                .map(|fact| Fact {
                    name: fact.name,
                    value: &fact.value,
                    source: &fact.source,
                })
                .collect(),
            checks,
            imports: imports
                .iter()
                .map(|import| Import {
                    name: &import.name,
                    symbol: import.symbol.as_deref(),
                    checksum: import.checksum.map(|crc| format!("{crc:#010x}")),
                    source: import.source.as_deref(),
                })
                .collect(),
            layout: fields
                .map(|(name, value)| (name, (value != ABSENT).then_some(value)))
                .collect(),
            is_explained,
        }
    }
}

impl Document for Report<'_> {
    const FORMAT: &'static str = "linpmem-fit";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        value(out, "kernel", self.release)?;
        match &self.output {
            Some(path) => value(
                out,
                "module",
                format!("{path}, {} bytes", self.module_bytes),
            )?,
            None => value(
                out,
                "module",
                format!("{} bytes, not written", self.module_bytes),
            )?,
        }
        if let (None, Some(refusal)) = (&self.output, &self.refusal) {
            value(out, "cannot be loaded", refusal)?;
        }
        if !self.is_explained {
            return Ok(());
        }
        for Fact {
            name,
            value: text,
            source,
        } in &self.facts
        {
            value(out, name, format!("{} ({source})", text.trim_end()))?;
        }
        for check in self.checks {
            value(out, "check", check)?;
        }
        writeln!(out, "imports:")?;
        for import in &self.imports {
            let bound = match import.symbol {
                Some(symbol) if symbol == import.name => String::new(),
                Some(symbol) => format!(" is {symbol}"),
                None => " is not exported: the module's own substitute".to_owned(),
            };
            let checksum = match (&import.checksum, import.source) {
                (Some(crc), Some(source)) => format!(", checksum {crc} ({source})"),
                _ => String::new(),
            };
            let line = format!("{}{bound}{checksum}", import.name);
            writeln!(out, "  {}", printable(&line))?;
        }
        writeln!(out, "layout:")?;
        for (name, value) in &self.layout {
            match value {
                Some(value) if *value > 0xffff => writeln!(out, "  {name:<24} {value:#x}")?,
                Some(value) => writeln!(out, "  {name:<24} {value}")?,
                None => writeln!(out, "  {name:<24} none")?,
            }
        }
        Ok(())
    }
}
