// SPDX-License-Identifier: MIT OR Apache-2.0
//! `pmem read`.

use crate::args::{Format, ReadArgs};
use crate::{Outcome, hexdump, warn, write_json};
use anyhow::{Result, anyhow, bail, ensure};
use linpmem::{Access, Caching, Device, Width};
use linpmem_phys::{PhysLen, PhysRange, Unreadable, Unreadables};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};

/// Memory that is read before it is written out.
const STEP: PhysLen = PhysLen::new(1 << 20);

/// The largest JSON document's memory.
const JSON_MAX: u64 = 16 << 20;

/// Reads and shows memory.
pub fn run(args: &ReadArgs, out: &mut dyn Write) -> Result<Outcome> {
    let device = Device::open_path(&args.device.device)?;
    if let Some(width) = args.mode.width() {
        return load(&device, args, width, out);
    }
    let range = args.place.range().map_err(|error| anyhow!(error))?;
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
            // Zeros stand for what was not read only where something was.
            Format::Raw if unreadable.total() == part.len() && part == range => {}
            Format::Raw => out.write_all(&bytes)?,
            format => show(format, part, &bytes, &unreadable, out)?,
        }
    }
    out.flush()?;
    finish(range, &all)
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
    let mut bytes = vec![0; usize::try_from(range.len().get())?];
    let unreadable = device.read_with(access(args), range.start(), &mut bytes)?;
    Ok((bytes, unreadable))
}

/// One exact load.
fn load(device: &Device, args: &ReadArgs, width: Width, out: &mut dyn Write) -> Result<Outcome> {
    let start = args.place.start;
    if let Some(len) = args.place.len {
        ensure!(
            len.get() == width.bytes(),
            "one load of {} bytes cannot read {len}: leave the length out, or the mode",
            width.bytes()
        );
    }
    let value = device.load_with(access(args), start, width)?;
    let bytes = value.to_le_bytes();
    let len = usize::try_from(width.bytes())?;
    let bytes = bytes.get(..len).unwrap_or_default();
    if args.output.json {
        let document = json!({
            "start": format!("{:#x}", start.get()),
            "length": len,
            "value": format!("{value:#x}"),
        });
        write_json(out, &document)?;
        return Ok(Outcome::Done);
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
    Ok(Outcome::Done)
}

/// Shows `bytes`, and in its place what could not be read.
fn show(
    format: Format,
    range: PhysRange,
    bytes: &[u8],
    unreadable: &Unreadables,
    out: &mut dyn Write,
) -> Result<()> {
    let mut rest = bytes;
    let mut at = range.start();
    let print = |len: u64, rest: &mut &[u8], at: u64, out: &mut dyn Write| -> Result<()> {
        let (part, tail) = rest.split_at(usize::try_from(len)?.min(rest.len()));
        *rest = tail;
        match format {
            Format::Hex => hexdump::write(out, at, part)?,
            format => hexdump::write_values(out, at, part, size(format))?,
        }
        Ok(())
    };
    for bad in unreadable.as_slice() {
        let good = bad.range.start().get().saturating_sub(at.get());
        print(good, &mut rest, at.get(), out)?;
        writeln!(out, "{}", sentence(bad))?;
        let skipped = usize::try_from(bad.range.len().get())?;
        rest = rest.get(skipped..).unwrap_or_default();
        at = bad.range.end();
    }
    let left = u64::try_from(rest.len())?;
    print(left, &mut rest, at.get(), out)
}

/// What the exit code says, said on stderr as well.
fn finish(range: PhysRange, unreadable: &Unreadables) -> Result<Outcome> {
    if unreadable.is_empty() {
        return Ok(Outcome::Done);
    }
    let nothing = unreadable.total() == range.len();
    if let ([only], true) = (unreadable.as_slice(), nothing) {
        bail!("{}", sentence(only));
    }
    for bad in unreadable.as_slice() {
        warn(&sentence(bad));
    }
    Ok(if nothing {
        Outcome::Negative
    } else {
        Outcome::Partial
    })
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
) -> Result<Outcome> {
    ensure!(
        range.len().get() <= JSON_MAX,
        "--json holds at most {}: use raw output for more",
        PhysLen::new(JSON_MAX)
    );
    let (bytes, unreadable) = read(device, args, range)?;
    let mut data = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in &bytes {
        data.push_str(&format!("{byte:02x}"));
    }
    let list: Vec<Value> = unreadable
        .as_slice()
        .iter()
        .map(|bad| {
            json!({
                "start": format!("{:#x}", bad.range.start().get()),
                "last": format!("{:#x}", bad.range.last().get()),
                "errno": bad.errno.get(),
                "name": bad.errno.name(),
            })
        })
        .collect();
    let document = json!({
        "start": format!("{:#x}", range.start().get()),
        "length": range.len().get(),
        "unreadable": list,
        "data": data,
    });
    write_json(out, &document)?;
    if unreadable.is_empty() {
        Ok(Outcome::Done)
    } else if unreadable.total() == range.len() {
        Ok(Outcome::Negative)
    } else {
        Ok(Outcome::Partial)
    }
}
