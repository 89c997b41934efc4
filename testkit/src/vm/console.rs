// SPDX-License-Identifier: MIT OR Apache-2.0
//! The log of a kernel's serial console.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The log of a machine's console.
#[derive(Clone, Debug)]
pub struct Console {
    path: PathBuf,
    /// Where the log of the kernel that runs now begins, in bytes: after a crash that was
    /// wanted, it is that of the crash kernel.
    begin: Arc<AtomicUsize>,
}

/// What a kernel in trouble prints. `panic_on_warn` ends the machine for most of these,
/// but stalls and hung tasks are only printed.
const COMPLAINTS: &[&str] = &[
    "Kernel panic",
    "BUG:",
    "BUG at",
    "Oops:",
    "WARNING:",
    "general protection fault",
    "Unable to handle",
    "detected stall",
    "detected stalls",
    "soft lockup",
    "hard LOCKUP",
    "blocked for more than",
    "UBSAN:",
    "KASAN:",
    "linpmem-guest: failed:",
];

/// The first line of every kernel.
const BANNER: &[u8] = b"Linux version ";

impl Console {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            begin: Arc::default(),
        }
    }

    /// The file, which exists as long as the machine.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it so far, of the kernel that runs now.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = fs::read(&self.path).unwrap_or_default();
        let own = bytes.get(self.begin.load(Ordering::Relaxed)..);
        String::from_utf8_lossy(own.unwrap_or_default()).replace('\r', "")
    }

    /// Another kernel runs now: what the last one printed no longer counts.
    pub(super) fn begin_anew(&self) {
        let bytes = fs::read(&self.path).unwrap_or_default();
        let banner = bytes
            .windows(BANNER.len())
            .rposition(|window| window == BANNER);
        self.begin
            .store(banner.unwrap_or(bytes.len()), Ordering::Relaxed);
    }

    /// The first line in which the kernel reports a problem.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        first_complaint(&self.text()).map(str::to_owned)
    }

    /// Its last lines, for an error message.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        let from = all.len().saturating_sub(lines);
        all.get(from..).unwrap_or_default().join("\n")
    }
}

fn first_complaint(text: &str) -> Option<&str> {
    text.lines()
        .find(|line| COMPLAINTS.iter().any(|sign| line.contains(sign)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_found_and_a_clean_log_has_none() {
        let log = "[0.1] Linux version 7\n[0.2] WARNING: CPU: 0 PID: 1 at x.c:1\n[0.3] Oops: 0\n";
        assert_eq!(
            first_complaint(log),
            Some("[0.2] WARNING: CPU: 0 PID: 1 at x.c:1")
        );
        assert_eq!(
            first_complaint("[0.1] Command line: panic_on_warn=1 oops=panic\n"),
            None
        );
    }
}
