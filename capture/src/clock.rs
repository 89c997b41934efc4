// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wall-clock and monotonic time, and how they are written.

use linpmem_manifest::Stamp;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

const NS_PER_S: u64 = 1_000_000_000;
const S_PER_DAY: u64 = 86_400;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds since 1970-01-01T00:00:00Z, by the system's clock.
    pub wall_ns: u64,
    /// Nanoseconds of CLOCK_MONOTONIC, which setting the clock does not change.
    pub monotonic_ns: u64,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self {
            wall_ns: nanoseconds(clock_gettime(ClockId::Realtime)),
            monotonic_ns: monotonic_ns(),
        }
    }

    /// Microseconds of monotonic time from this moment to `later_ns`; 0 if that is
    /// earlier.
    #[must_use]
    pub const fn micros_until(self, later_ns: u64) -> u64 {
        later_ns.saturating_sub(self.monotonic_ns) / 1000
    }

    /// Monotonic time since this moment; 0 before it.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(monotonic_ns().saturating_sub(self.monotonic_ns))
    }

    /// Monotonic time from this moment to `later`; 0 if that is earlier.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_nanos(later.monotonic_ns.saturating_sub(self.monotonic_ns))
    }

    /// The moment as the manifest records it.
    #[must_use]
    pub fn stamp(self) -> Stamp {
        let (date, time) = civil(self.wall_ns / NS_PER_S);
        let micros = (self.wall_ns % NS_PER_S) / 1000;
        Stamp {
            utc: format!("{date}T{time}.{micros:06}Z"),
            monotonic_ns: self.monotonic_ns,
        }
    }

    /// UTC in a form that suits file names: `20260131T235959Z`.
    #[must_use]
    pub fn compact(self) -> String {
        let (date, time) = civil(self.wall_ns / NS_PER_S);
        format!("{date}T{time}Z").replace(['-', ':'], "")
    }
}

/// CLOCK_MONOTONIC now, in nanoseconds.
#[must_use]
pub fn monotonic_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Real, monotonic and boot time at one moment, in nanoseconds.
#[must_use]
pub fn all_ns() -> [u64; 3] {
    [ClockId::Realtime, ClockId::Monotonic, ClockId::Boottime]
        .map(|id| nanoseconds(clock_gettime(id)))
}

fn nanoseconds(time: Timespec) -> u64 {
    // The kernel keeps every clock at or after its zero, and 64 bits of nanoseconds last
    // until 2554.
    time.tv_sec.unsigned_abs() * NS_PER_S + time.tv_nsec.unsigned_abs()
}

/// `YYYY-MM-DD` and `HH:MM:SS` of a Unix time. Counted in eras of 400 years
/// that begin on 1 March, so that the leap day is a year's last.
fn civil(unix_s: u64) -> (String, String) {
    let days = unix_s / S_PER_DAY + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let second = unix_s % S_PER_DAY;
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!(
            "{:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_s: u64) -> Moment {
        Moment {
            wall_ns: unix_s * NS_PER_S + 123_456_789,
            monotonic_ns: 5_000,
        }
    }

    #[test]
    fn dates_around_leap_days_and_ends_of_years() {
        for (unix_s, utc) in [
            (0, "1970-01-01T00:00:00.123456Z"),
            (951_782_399, "2000-02-28T23:59:59.123456Z"),
            (951_782_400, "2000-02-29T00:00:00.123456Z"),
            (1_709_251_199, "2024-02-29T23:59:59.123456Z"),
            (1_798_761_599, "2026-12-31T23:59:59.123456Z"),
            (4_107_542_400, "2100-03-01T00:00:00.123456Z"),
        ] {
            assert_eq!(at(unix_s).stamp().utc, utc);
        }
        assert_eq!(at(951_782_400).compact(), "20000229T000000Z");
    }

    #[test]
    fn microseconds_count_from_the_moment() {
        assert_eq!(at(0).micros_until(9_000), 4);
        assert_eq!(at(0).micros_until(0), 0);
    }
}
