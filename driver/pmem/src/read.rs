// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem read`.

use crate::args::{AddressOrRange, Format, ReadArgs};
use crate::hexdump;
use anyhow::{Context, Result, bail, ensure};
use linpmem::{Access, Caching, Device, Width};
use linpmem_cli::{ExitStatus, Stderr, write_json};
use linpmem_phys::num::u64_as_usize;
use linpmem_phys::{PhysAddr, PhysLen, PhysRange, Unreadable, Unreadables, hex};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// How much memory is read before it is written out.
const STEP: PhysLen = PhysLen::new(1 << 20);

/// The most memory in a JSON document.
const JSON_MAX: PhysLen = PhysLen::new(16 << 20);

/// `format` in JSON.
const FORMAT: &str = "pmem read";

/// Memory as JSON.
#[derive(Debug, Serialize)]
struct ReadDocument {
    start: String,
    size_bytes: u64,
    /// What one load returned.
    value: Option<String>,
    unreadable: Vec<Gap>,
    /// The bytes, in hexadecimal: zero where they are unreadable; none if all are.
    data: Option<String>,
}

/// Addresses that could not be read.
#[derive(Debug, Serialize)]
struct Gap {
    start: String,
    last: String,
    errno: i32,
    name: Option<&'static str>,
}

impl From<&Unreadable> for Gap {
    fn from(bad: &Unreadable) -> Self {
        Self {
            start: bad.range.start().to_string(),
            last: bad.range.last().to_string(),
            errno: bad.errno.get(),
            name: bad.errno.name(),
        }
    }
}

/// Reads memory and writes it out.
pub fn run(args: &ReadArgs, stderr: Stderr, out: &mut dyn Write) -> Result<ExitStatus> {
    if let Some(width) = args.mode.width() {
        return load(args, width, out);
    }
    let range = args.target.range()?;
    let device = Device::open_path(&args.device.device)?;
    if args.output.json {
        return document(&device, args, range, out);
    }
    let format = args.format.unwrap_or(if io::stdout().is_terminal() {
        Format::Hex
    } else {
        Format::Raw
    });
    let mut all = Unreadables::new();
    for part in range.pieces(STEP) {
        let (bytes, unreadable) = read(&device, args, part)?;
        all.append(&unreadable);
        match format {
            // Zeros stand for unreadable pages only if there is something between them.
            Format::Raw if unreadable.total() == part.len() && part == range => {}
            Format::Raw => out.write_all(&bytes)?,
            format => show(format, part, &bytes, &unreadable, out)?,
        }
    }
    out.flush()?;
    finish(range, &all, stderr)
}

fn access(args: &ReadArgs) -> Access {
    Access {
        device: args.mmio,
        caching: if args.uncached {
            Caching::Uncached
        } else if args.cached {
            Caching::Cached
        } else {
            Caching::Natural
        },
        unmapped: args.unmapped,
    }
}

fn read(device: &Device, args: &ReadArgs, range: PhysRange) -> Result<(Vec<u8>, Unreadables)> {
    let mut bytes = vec![0; u64_as_usize(range.len().get())];
    let unreadable = device.read_with(access(args), range.start(), &mut bytes)?;
    Ok((bytes, unreadable))
}

/// One exact load.
fn load(args: &ReadArgs, width: Width, out: &mut dyn Write) -> Result<ExitStatus> {
    let start = args.target.start();
    if let AddressOrRange::Range(range) = args.target {
        ensure!(
            range.len().get() == width.bytes(),
            "a load of {} bytes cannot read {}: omit the length or --mode",
            width.bytes(),
            range.len()
        );
    }
    let device = Device::open_path(&args.device.device)?;
    let value = device.load_with(access(args), start, width)?;
    let len = u64_as_usize(width.bytes());
    let mut bytes = value.to_le_bytes().to_vec();
    bytes.truncate(len);
    let bytes = &*bytes;
    if args.output.json {
        let document = ReadDocument {
            start: start.to_string(),
            size_bytes: width.bytes(),
            value: Some(format!("{value:#x}")),
            unreadable: Vec::new(),
            data: Some(hex::encode(bytes)),
        };
        write_json(FORMAT, &document, out)?;
        return Ok(ExitStatus::Complete);
    }
    match args.format {
        Some(Format::Hex) => hexdump::write(out, start.get(), bytes)?,
        Some(Format::Raw) => out.write_all(bytes)?,
        Some(format) => hexdump::write_values(out, start.get(), bytes, size(format))?,
        None if io::stdout().is_terminal() => {
            hexdump::write_values(out, start.get(), bytes, len)?;
        }
        None => out.write_all(bytes)?,
    }
    Ok(ExitStatus::Complete)
}

/// Shows the `bytes` of `range`, with a line in place of each unreadable part.
fn show(
    format: Format,
    range: PhysRange,
    bytes: &[u8],
    unreadable: &Unreadables,
    out: &mut dyn Write,
) -> Result<()> {
    let print = |from: PhysAddr, to: PhysAddr, out: &mut dyn Write| -> Result<()> {
        let part = part(range, bytes, from, to)
            .with_context(|| format!("the device listed pages that are not in {range}"))?;
        match format {
            Format::Hex => hexdump::write(out, from.get(), part)?,
            format => hexdump::write_values(out, from.get(), part, size(format))?,
        }
        Ok(())
    };
    let mut at = range.start();
    for bad in unreadable.as_slice() {
        print(at, bad.range.start(), out)?;
        writeln!(out, "{}", sentence(bad))?;
        at = bad.range.end();
    }
    print(at, range.end(), out)
}

/// The bytes from `from` to `to` among the `bytes` of `range`.
fn part(range: PhysRange, bytes: &[u8], from: PhysAddr, to: PhysAddr) -> Option<&[u8]> {
    let offset = |addr: PhysAddr| {
        let len = addr.checked_sub(range.start())?;
        Some(u64_as_usize(len.get()))
    };
    bytes.get(offset(from)?..offset(to)?)
}

/// Lists on stderr what could not be read, and returns the outcome.
fn finish(range: PhysRange, unreadable: &Unreadables, stderr: Stderr) -> Result<ExitStatus> {
    if unreadable.is_empty() {
        return Ok(ExitStatus::Complete);
    }
    let nothing = unreadable.total() == range.len();
    if let ([only], true) = (unreadable.as_slice(), nothing) {
        bail!("{}", sentence(only));
    }
    for bad in unreadable.as_slice() {
        stderr.note(&sentence(bad));
    }
    Ok(status(range, unreadable))
}

/// The exit code of reading `range` without `unreadable`.
fn status(range: PhysRange, unreadable: &Unreadables) -> ExitStatus {
    if unreadable.is_empty() {
        ExitStatus::Complete
    } else if unreadable.total() == range.len() {
        ExitStatus::Failed
    } else {
        ExitStatus::Unreadable
    }
}

fn sentence(bad: &Unreadable) -> String {
    let meaning = bad
        .errno
        .meaning()
        .map_or_else(String::new, |meaning| format!(" ({meaning})"));
    format!("{} was not read: {}{meaning}", bad.range, bad.errno)
}

fn size(format: Format) -> usize {
    match format {
        Format::U16 => 2,
        Format::U32 => 4,
        Format::U64 => 8,
        Format::Hex | Format::Raw | Format::U8 => 1,
    }
}

fn document(
    device: &Device,
    args: &ReadArgs,
    range: PhysRange,
    out: &mut dyn Write,
) -> Result<ExitStatus> {
    ensure!(
        range.len() <= JSON_MAX,
        "--json is limited to {JSON_MAX}: use raw output for more"
    );
    let (bytes, unreadable) = read(device, args, range)?;
    let status = status(range, &unreadable);
    let document = ReadDocument {
        start: range.start().to_string(),
        size_bytes: range.len().get(),
        value: None,
        unreadable: unreadable.as_slice().iter().map(Gap::from).collect(),
        data: (status != ExitStatus::Failed).then(|| hex::encode(&bytes)),
    };
    write_json(FORMAT, &document, out)?;
    Ok(status)
}
