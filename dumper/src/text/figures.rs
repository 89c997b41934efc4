// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures for people.

use std::time::Duration;

/// `part` of `total` in whole per cent, rounded down; 100 if `total` is 0.
#[must_use]
pub fn percent(part: u64, total: u64) -> u128 {
    tenths_of_percent(part, total).map_or(100, |tenths| tenths / 10)
}

/// `part` of `total` in per cent with one decimal, rounded down; 0 only if `part` is 0.
#[must_use]
pub fn share(part: u64, total: u64) -> String {
    let tenths = tenths_of_percent(part, total).unwrap_or(0);
    if tenths == 0 && part > 0 {
        return "less than 0.1 %".to_owned();
    }
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// `None` if `total` is 0.
fn tenths_of_percent(part: u64, total: u64) -> Option<u128> {
    (u128::from(part) * 1000).checked_div(u128::from(total))
}

/// Bytes per second.
#[must_use]
pub fn rate(bytes: u64, elapsed: Duration) -> String {
    let micros = elapsed.as_micros().max(1);
    let mib_tenths = (u128::from(bytes) * 10 * 1_000_000 / micros) >> 20;
    format!("{}.{} MiB/s", mib_tenths / 10, mib_tenths % 10)
}

/// A number and what it counts: `1 page`, `2 pages`.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// So many processes.
#[must_use]
pub fn processes(number: u64) -> String {
    match number {
        1 => "1 process".to_owned(),
        _ => format!("{number} processes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_down() {
        assert_eq!(rate(3 << 20, Duration::from_secs(2)), "1.5 MiB/s");
        assert_eq!(rate(0, Duration::ZERO), "0.0 MiB/s");
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(0, 0), 100);
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(share(0, 0), "0.0 %");
        assert_eq!(share(1, 2048), "less than 0.1 %");
        assert_eq!(share(u64::MAX, u64::MAX), "100.0 %");
        assert_eq!(count(1, "page"), "1 page");
        assert_eq!(count(0, "page"), "0 pages");
        assert_eq!(processes(1), "1 process");
        assert_eq!(processes(2), "2 processes");
    }
}
