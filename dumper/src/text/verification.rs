// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a verification found, for people.

use super::figures::rate;
use linpmem_capture::verify::Report;
use linpmem_phys::PhysLen;
use std::io::{self, Write};
use std::path::Path;

/// Writes what was found in the image at `path`, one line for each damage.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report, path: &Path, out: &mut dyn Write) -> io::Result<()> {
    let path = path.display();
    for damage in &report.damages {
        writeln!(out, "{path}: {damage}")?;
    }
    let result = if report.is_good() { "good" } else { "NOT GOOD" };
    writeln!(
        out,
        "{path}: {result}: compared {} in {} ranges and {} chunks with the manifest ({:.1} s, {})",
        PhysLen::new(report.length),
        report.ranges,
        report.chunks,
        report.elapsed.as_secs_f64(),
        rate(report.length, report.elapsed)
    )?;
    if report.is_good() && !report.whole {
        writeln!(out, "{path}: {}", coverage(report))?;
    }
    Ok(())
}

/// What was compared, if the file's own hash was not.
const fn coverage(report: &Report) -> &'static str {
    if report.covered {
        "every byte is covered by the hash of its chunk or of the bytes outside the chunks; the \
         SHA-256 of the file as a whole was not computed (--full computes it)"
    } else {
        "only memory was compared: the manifest has no SHA-256 of the file, and headers and \
         padding have no hash of their own"
    }
}
