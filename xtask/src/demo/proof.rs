// SPDX-License-Identifier: MIT OR Apache-2.0
//! The written result of the demonstration.

use anyhow::{Context, Result};
use linpmem_testkit::consumers::drgn::Findings;
use linpmem_testkit::ground_truth::Comparison;
use serde_json::json;
use std::fmt;
use std::fs;
use std::path::Path;

/// All figures of one demonstration.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) kernel: String,
    pub(super) memory_mib: u32,
    pub(super) module_kib: u64,
    pub(super) dumper_kib: u64,
    pub(super) boot_seconds: f64,
    pub(super) filled: String,
    pub(super) planted: String,
    /// Seconds, and MiB read in them.
    pub(super) speed: (f64, f64),
    pub(super) peak_rss_kib: u64,
    pub(super) comparison: Comparison,
    pub(super) least_share: f64,
    pub(super) verified: String,
    pub(super) sha256sum: String,
    pub(super) segments: Vec<String>,
    pub(super) drgn: Findings,
    pub(super) seconds: f64,
}

impl Proof {
    fn mib_per_second(&self) -> f64 {
        let (seconds, mib) = self.speed;
        mib / seconds.max(0.001)
    }

    /// Writes it as JSON.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let pages = &self.comparison;
        let value = json!({
            "kernel": self.kernel,
            "memory_mib": self.memory_mib,
            "linpmem_ko_kib": self.module_kib,
            "linpmem_dump_kib": self.dumper_kib,
            "boot_seconds": self.boot_seconds,
            "filled": self.filled,
            "planted": self.planted,
            "dump": {
                "seconds": self.speed.0,
                "mib": self.speed.1,
                "mib_per_second": self.mib_per_second(),
                "peak_rss_kib": self.peak_rss_kib,
            },
            "pages": {
                "ram": pages.total,
                "equal_before_during_and_after": pages.stable,
                "equal_in_the_image": pages.equal,
                "equal_in_the_image_with_data": pages.equal_with_data,
                "share": pages.share(),
                "share_required": self.least_share,
                "changed_for_a_moment": pages.flickered,
                "wrong": pages.wrong,
                "missing": pages.missing,
                "unreadable": pages.excused,
            },
            "verify": self.verified,
            "sha256sum": self.sha256sum,
            "segments": self.segments,
            "drgn": self.drgn,
            "seconds": self.seconds,
        });
        let text = serde_json::to_string_pretty(&value)?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, mib) = self.speed;
        writeln!(
            f,
            "The image matches the machine's memory: {:.1} % of RAM could be compared, \
             and no page is wrong.",
            self.comparison.share() * 100.0
        )?;
        write!(
            f,
            "Dump: {mib:.0} MiB in {seconds:.1} s, {:.0} MiB/s (emulated), peak memory {} KiB. \
             linpmem-dump: {} KiB, static. linpmem.ko: {} KiB. Total time: {:.0} s.",
            self.mib_per_second(),
            self.peak_rss_kib,
            self.dumper_kib,
            self.module_kib,
            self.seconds
        )
    }
}
