// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump dmesg`: the kernel's log in an image.

use super::machine_in_image::{InspectError, Opened, exit_status, in_words};
use crate::args::InspectArgs;
use crate::text::dmesg::{DmesgDocument, RecordRow};
use linpmem_cli::{ExitStatus, Stderr};
use linpmem_inspect::{Found, LogRecord};
use std::time::Duration;

/// Shows the log in the image of `args`.
///
/// # Errors
/// If the image does not open, or its kernel is not found.
pub fn dmesg(
    args: &InspectArgs,
    stderr: Stderr,
) -> Result<(DmesgDocument, ExitStatus), InspectError> {
    let opened = Opened::open(args, stderr)?;
    let found = opened.machine()?.log()?;
    let document = document(args.image.to_string_lossy().into_owned(), found);
    let status = exit_status(opened.is_cut_off(), document.troubles.is_empty());
    Ok((document, status))
}

/// The log that was found in `image`.
pub(super) fn document(image: String, found: Found<LogRecord>) -> DmesgDocument {
    DmesgDocument {
        image,
        records: found
            .items
            .into_iter()
            .map(|record| RecordRow {
                sequence: record.sequence,
                time: Duration::from_nanos(record.time_ns),
                level: record.level,
                facility: record.facility,
                text: record.text,
            })
            .collect(),
        troubles: in_words(&found.troubles),
        more_troubles: found.troubles.more(),
    }
}
