// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of `presign`.

use super::plan::UsageError;
use super::remote::part_size;
use clap::Args;
use linpmem_capture::{Location, PresignSpec};
use linpmem_phys::PhysLen;
use std::path::PathBuf;
use std::time::Duration;

/// How long a store is waited for.
const GIVE_UP: Duration = Duration::from_secs(60);

/// S3's limit: seven days.
const MOST_EXPIRES_S: u64 = 7 * 24 * 3600;

/// What to sign.
#[derive(Debug, Args)]
pub struct PresignArgs {
    /// The image that may be stored: s3://BUCKET/FOLDER/NAME.core
    ///
    /// A folder is not enough: the names of all objects are signed.
    pub address: String,

    /// A new file for the bundle; - writes to stdout [default: NAME.core.bundle.json]
    ///
    /// Only its owner can read it: whoever has it can store the image.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// How large the image may be: the target's memory, and some more
    ///
    /// A larger one is refused before memory is read. Unused room costs nothing.
    #[arg(long, value_name = "SIZE", default_value = "64GiB")]
    pub size: PhysLen,

    /// Sign parts of SIZE [default: 8 MiB, and as much more as 10,000 parts need]
    ///
    /// The target keeps two to four of them in memory.
    #[arg(long, value_name = "SIZE", value_parser = part_size)]
    pub part_size: Option<PhysLen>,

    /// For how long the bundle is good: 90m, 24h, 7d (which is S3's limit)
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = expires)]
    pub expires: Duration,

    /// Trust the certificates in FILE (PEM), instead of Mozilla's
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// Print one JSON document; errors on stderr are JSON Lines
    #[arg(long)]
    pub json: bool,
}

impl PresignArgs {
    /// Whether stdout is the bundle.
    #[must_use]
    pub fn writes_to_stdout(&self) -> bool {
        self.output
            .as_ref()
            .is_some_and(|path| path.as_os_str() == "-")
    }

    /// What is signed.
    ///
    /// # Errors
    /// If the address is none of an image in S3.
    pub fn spec(&self) -> Result<PresignSpec, UsageError> {
        let location: Location = self.address.parse()?;
        if !location.is_s3() {
            return Err(UsageError::PresignedElsewhere);
        }
        if !location.is_image() {
            return Err(UsageError::PresignedFolder);
        }
        Ok(PresignSpec {
            location,
            ca: self.ca.clone(),
            give_up: GIVE_UP,
            size: self.size,
            part_bytes: self.part_size,
            expires_in: self.expires,
        })
    }
}

/// A number of seconds, minutes, hours or days.
fn expires(text: &str) -> Result<Duration, String> {
    let wrong = || "give a number of seconds, minutes, hours or days: 90m, 24h, 7d".to_owned();
    let (number, unit) = text
        .char_indices()
        .next_back()
        .map(|(at, unit)| (text.get(..at).unwrap_or_default(), unit))
        .ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.saturating_mul(seconds) {
        0 => Err(wrong()),
        found if found > MOST_EXPIRES_S => Err("S3 signs for 7 days at most: 7d".to_owned()),
        found => Ok(Duration::from_secs(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_good_for_a_week_at_most() {
        for (text, seconds) in [
            ("1s", 1),
            ("1m", 60),
            ("24h", 86_400),
            ("7d", 604_800),
            ("168h", 604_800),
        ] {
            assert_eq!(expires(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "0h",
            "8d",
            "169h",
            "24",
            "h",
            "-1h",
            "1.5h",
            "1w",
            "1é",
            "99999999999999999999d",
        ] {
            assert!(expires(text).is_err(), "{text}");
        }
    }
}
