// SPDX-License-Identifier: MIT OR Apache-2.0
//! Figures as people read them.

use linpmem_phys::PhysLen;

/// A size, with its bytes.
pub(crate) fn size(bytes: u64) -> String {
    let short = PhysLen::new(bytes).to_string();
    match bytes < 1024 {
        true => short,
        false => format!("{short} ({} bytes)", grouped(bytes)),
    }
}

/// A size, in a table.
pub(crate) fn short(bytes: u64) -> String {
    PhysLen::new(bytes).to_string()
}

/// A time of a manifest, to the second.
pub(crate) fn moment(utc: &str) -> String {
    match (utc.get(..10), utc.get(10..11), utc.get(11..19)) {
        (Some(day), Some("T"), Some(time)) => format!("{day} {time} UTC"),
        _ => utc.to_owned(),
    }
}

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things, such as "1 page" and "1,000 pages".
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

/// Seconds, with as many digits as matter.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        short if short < 1.0 => format!("{:.0} ms", short * 1e3),
        some if some < 120.0 => format!("{some:.1} s"),
        long => format!("{:.0} min {:02.0} s", (long / 60.0).floor(), long % 60.0),
    }
}

/// Bytes in a second.
pub(crate) fn rate(bytes: f64, seconds: f64) -> String {
    match seconds > 0.0 {
        true => format!("{:.0} MiB/s", bytes / seconds / f64::from(1 << 20)),
        false => "–".to_owned(),
    }
}

/// A share in per cent.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".to_owned(),
        tiny if tiny < 0.01 => "less than 0.01 %".to_owned(),
        small if small < 1.0 => format!("{small:.2} %"),
        large => format!("{large:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(count(1, "page"), "1 page");
        assert_eq!(count(2000, "page"), "2,000 pages");
        assert_eq!(seconds(0.0421), "42 ms");
        assert_eq!(seconds(61.04), "61.0 s");
        assert_eq!(seconds(754.0), "12 min 34 s");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.000_001), "less than 0.01 %");
        assert_eq!(percent(0.5), "50.0 %");
        assert_eq!(
            moment("2026-11-27T21:57:13.496231Z"),
            "2026-11-27 21:57:13 UTC"
        );
        assert_eq!(moment("at noon"), "at noon");
        assert_eq!(rate(1.0, 0.0), "–");
    }
}
