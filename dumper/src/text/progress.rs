// SPDX-License-Identifier: MIT OR Apache-2.0
//! The progress of a run, for people and for programs.

use super::figures::{percent, rate};
use super::{seconds, stderr};
use crate::args::ProgressStyle;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};
use linpmem_capture::meter::{Meter, MeterReading};
use linpmem_phys::PhysLen;
use serde::Serialize;
use std::io::IsTerminal;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much of the total the current pass has done.
fn done(reading: MeterReading) -> u64 {
    let again = reading.hashed_bytes.or(reading.compared_bytes);
    again.unwrap_or(reading.image_bytes)
}

/// What a run does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// It reads memory.
    First,
    /// It reads memory again.
    Second,
    /// It reads the image back.
    Hashing,
}

impl Pass {
    const fn of(reading: MeterReading) -> Self {
        match (reading.hashed_bytes, reading.compared_bytes) {
            (Some(_), _) => Self::Hashing,
            (None, Some(_)) => Self::Second,
            (None, None) => Self::First,
        }
    }
}

/// Shows a meter on stderr until it is dropped.
#[derive(Debug)]
pub struct Progress {
    end: Option<(crossbeam_channel::Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Shows `meter` in `style`; a full run passes `total_bytes`. `is_compressed`
    /// adds the ratio.
    #[must_use]
    pub fn show(
        style: ProgressStyle,
        meter: Arc<Meter>,
        total_bytes: u64,
        is_compressed: bool,
    ) -> Self {
        let Some(mut display) = Display::new(style, total_bytes, is_compressed) else {
            return Self { end: None };
        };
        let (end, ended) = crossbeam_channel::bounded(0);
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || {
                let mut begun = Instant::now();
                let mut looked = begun;
                let mut pass = Pass::First;
                while ended.recv_timeout(display.interval())
                    == Err(crossbeam_channel::RecvTimeoutError::Timeout)
                {
                    let reading = meter.reading();
                    if pass != Pass::of(reading) {
                        pass = Pass::of(reading);
                        display.restart(reading.to_hash_bytes);
                        // It began since the last look, and has done something already.
                        begun = looked;
                    }
                    looked = Instant::now();
                    display.update(reading, looked - begun);
                }
                display.end(meter.reading(), begun.elapsed());
            });
        // A run without progress is better than no run.
        Self {
            end: thread.ok().map(|thread| (end, thread)),
        }
    }

    /// Removes the display, so that other output can follow.
    pub fn end(mut self) {
        self.close();
    }

    fn close(&mut self) {
        if let Some((end, thread)) = self.end.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.close();
    }
}

/// `style` with `auto` resolved for this stderr.
#[must_use]
pub fn resolve(style: ProgressStyle) -> ProgressStyle {
    match style {
        ProgressStyle::Auto if std::io::stderr().is_terminal() => ProgressStyle::Bar,
        ProgressStyle::Auto => ProgressStyle::Plain,
        other => other,
    }
}

enum Display {
    Bar { bar: ProgressBar, ratio: bool },
    Plain { total: u64, ratio: bool },
    Json { total: u64 },
}

#[derive(Serialize)]
struct Body {
    #[serde(rename = "seconds", serialize_with = "seconds")]
    elapsed: Duration,
    total_bytes: u64,
    #[serde(flatten)]
    reading: MeterReading,
}

impl Display {
    fn new(style: ProgressStyle, total: u64, ratio: bool) -> Option<Self> {
        match resolve(style) {
            ProgressStyle::Auto | ProgressStyle::None => None,
            ProgressStyle::Plain => Some(Self::Plain { total, ratio }),
            ProgressStyle::Json => Some(Self::Json { total }),
            ProgressStyle::Bar => {
                let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
                let template = "{wide_bar} {binary_bytes}/{binary_total_bytes}  \
                                {binary_bytes_per_sec}  ETA {eta}{msg}";
                if let Ok(style) = BarStyle::with_template(template) {
                    bar.set_style(style.progress_chars("=> "));
                }
                Some(Self::Bar { bar, ratio })
            }
        }
    }

    /// Starts again from 0, for another pass; `total` is for its own bytes.
    fn restart(&mut self, new_total: Option<u64>) {
        match self {
            Self::Bar { bar, .. } => {
                if let Some(total) = new_total {
                    bar.set_length(total);
                }
                bar.set_position(0);
                bar.reset_eta();
            }
            Self::Plain { total, .. } => *total = new_total.unwrap_or(*total),
            // The event has a field of its own for them.
            Self::Json { .. } => {}
        }
    }

    const fn interval(&self) -> Duration {
        match self {
            Self::Bar { .. } => Duration::from_millis(200),
            Self::Plain { .. } => Duration::from_secs(5),
            Self::Json { .. } => Duration::from_secs(1),
        }
    }

    fn update(&mut self, reading: MeterReading, elapsed: Duration) {
        match self {
            Self::Bar { bar, ratio } => {
                bar.set_message(extras(reading, *ratio));
                bar.set_position(done(reading));
            }
            Self::Plain { total, ratio } => stderr(false).line(&format!(
                "{} of {} ({} %), {}, {} left{}",
                PhysLen::new(done(reading)),
                PhysLen::new(*total),
                percent(done(reading), *total),
                rate(done(reading), elapsed),
                remaining(done(reading), *total, elapsed),
                extras(reading, *ratio)
            )),
            Self::Json { total } => json("progress", reading, *total, elapsed),
        }
    }

    fn end(&mut self, reading: MeterReading, elapsed: Duration) {
        match self {
            Self::Bar { bar, .. } => bar.finish_and_clear(),
            // The summary follows.
            Self::Plain { .. } => {}
            Self::Json { total } => json("end", reading, *total, elapsed),
        }
    }
}

fn json(name: &'static str, reading: MeterReading, total_bytes: u64, elapsed: Duration) {
    let body = Body {
        elapsed,
        total_bytes,
        reading,
    };
    stderr(true).event(name, &body);
}

fn remaining(part: u64, total: u64, elapsed: Duration) -> String {
    if part == 0 {
        return "unknown time".to_owned();
    }
    // The total may come from a manifest that is wrong.
    let left = u128::from(total.saturating_sub(part));
    let seconds = elapsed.as_millis() * left / u128::from(part) / 1000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn extras(reading: MeterReading, ratio: bool) -> String {
    let mut text = String::new();
    match Pass::of(reading) {
        Pass::First => {}
        Pass::Second => return "  second pass".to_owned(),
        Pass::Hashing => return "  hashing: the image is read back from the disk".to_owned(),
    }
    if ratio && reading.file_bytes > 0 {
        let hundredths = u128::from(reading.image_bytes) * 100 / u128::from(reading.file_bytes);
        text.push_str(&format!("  {}.{:02}:1", hundredths / 100, hundredths % 100));
    }
    if reading.unreadable_pages > 0 {
        text.push_str(&format!("  {} pages unreadable", reading.unreadable_pages));
    }
    if reading.is_cut_off {
        text.push_str("  no connection, trying again");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_people() {
        assert_eq!(remaining(1, 4, Duration::from_secs(30)), "1:30");
        let reading = MeterReading {
            read_bytes: 0,
            image_bytes: 300,
            file_bytes: 200,
            unreadable_pages: 7,
            compared_bytes: None,
            hashed_bytes: None,
            to_hash_bytes: None,
            is_cut_off: false,
        };
        assert_eq!(extras(reading, true), "  1.50:1  7 pages unreadable");
        assert_eq!(extras(reading, false), "  7 pages unreadable");
        let cut_off = MeterReading {
            is_cut_off: true,
            ..reading
        };
        assert!(extras(cut_off, false).ends_with("  no connection, trying again"));
        let hashing = MeterReading {
            compared_bytes: Some(300),
            hashed_bytes: Some(20),
            to_hash_bytes: Some(200),
            ..reading
        };
        assert_eq!(done(hashing), 20);
        assert!(extras(hashing, true).contains("hashing"));
    }
}
