// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far a run is, for people and for programs.

use crate::args::ProgressStyle;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};
use linpmem_phys::PhysLen;
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Counters that the stages of a run keep.
#[derive(Debug, Default)]
pub struct Meter {
    read_bytes: AtomicU64,
    image_bytes: AtomicU64,
    file_bytes: AtomicU64,
    unreadable_pages: AtomicU64,
    compared_bytes: AtomicU64,
    is_second_pass: AtomicBool,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Reading {
    read_bytes: u64,
    image_bytes: u64,
    file_bytes: u64,
    unreadable_pages: u64,
    /// In the second pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    compared_bytes: Option<u64>,
}

impl Meter {
    /// So many bytes were read; so many of their pages could not be.
    pub fn add_read(&self, bytes: u64, unreadable_pages: u64) {
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.unreadable_pages
            .fetch_add(unreadable_pages, Ordering::Relaxed);
    }

    /// So many bytes were written, and the file ends at `file_bytes` now.
    pub fn add_written(&self, bytes: u64, file_bytes: u64) {
        self.image_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.file_bytes.store(file_bytes, Ordering::Relaxed);
    }

    /// All has been written; what follows is the second pass.
    pub fn begin_second_pass(&self) {
        self.is_second_pass.store(true, Ordering::Relaxed);
    }

    /// So many bytes were read for the second time.
    pub fn add_compared(&self, bytes: u64) {
        self.compared_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Another number whenever something has moved.
    #[must_use]
    pub fn activity(&self) -> u64 {
        [
            &self.read_bytes,
            &self.image_bytes,
            &self.file_bytes,
            &self.compared_bytes,
        ]
        .iter()
        .fold(0, |sum, counter| {
            sum.wrapping_add(counter.load(Ordering::Relaxed))
        })
    }

    fn reading(&self) -> Reading {
        Reading {
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            image_bytes: self.image_bytes.load(Ordering::Relaxed),
            file_bytes: self.file_bytes.load(Ordering::Relaxed),
            unreadable_pages: self.unreadable_pages.load(Ordering::Relaxed),
            compared_bytes: self
                .is_second_pass
                .load(Ordering::Relaxed)
                .then(|| self.compared_bytes.load(Ordering::Relaxed)),
        }
    }
}

impl Reading {
    /// How much of the total is done of what is being done.
    fn done(self) -> u64 {
        self.compared_bytes.unwrap_or(self.image_bytes)
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
                let mut second = None;
                while ended.recv_timeout(display.interval())
                    == Err(crossbeam_channel::RecvTimeoutError::Timeout)
                {
                    let reading = meter.reading();
                    if second != reading.compared_bytes.map(|_| ()) {
                        second = Some(());
                        display.restart();
                        begun = Instant::now();
                    }
                    display.update(reading, begun.elapsed());
                }
                display.end(meter.reading(), begun.elapsed());
            });
        // A run without progress is better than none.
        Self {
            end: thread.ok().map(|thread| (end, thread)),
        }
    }

    /// Takes the display away, so that other words can follow.
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

/// Which style is meant on this stderr: `auto` resolved.
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
struct Line {
    event: &'static str,
    seconds: f64,
    total_bytes: u64,
    #[serde(flatten)]
    reading: Reading,
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

    /// Counts anew from here.
    fn restart(&mut self) {
        if let Self::Bar { bar, .. } = self {
            bar.set_position(0);
            bar.reset_eta();
        }
    }

    const fn interval(&self) -> Duration {
        match self {
            Self::Bar { .. } => Duration::from_millis(200),
            Self::Plain { .. } => Duration::from_secs(5),
            Self::Json { .. } => Duration::from_secs(1),
        }
    }

    fn update(&mut self, reading: Reading, elapsed: Duration) {
        match self {
            Self::Bar { bar, ratio } => {
                bar.set_message(extras(reading, *ratio));
                bar.set_position(reading.done());
            }
            Self::Plain { total, ratio } => say(&format!(
                "{} of {} ({} %), {}, {} left{}",
                PhysLen::new(reading.done()),
                PhysLen::new(*total),
                percent(reading.done(), *total),
                rate(reading.done(), elapsed),
                remaining(reading.done(), *total, elapsed),
                extras(reading, *ratio)
            )),
            Self::Json { total } => json("progress", reading, *total, elapsed),
        }
    }

    fn end(&mut self, reading: Reading, elapsed: Duration) {
        match self {
            Self::Bar { bar, .. } => bar.finish_and_clear(),
            // The summary follows.
            Self::Plain { .. } => {}
            Self::Json { total } => json("end", reading, *total, elapsed),
        }
    }
}

fn json(event: &'static str, reading: Reading, total_bytes: u64, elapsed: Duration) {
    let line = Line {
        event,
        seconds: elapsed.as_secs_f64(),
        total_bytes,
        reading,
    };
    if let Ok(line) = serde_json::to_string(&line) {
        say(&line);
    }
}

/// A stderr that is gone ends no acquisition.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn percent(part: u64, total: u64) -> u64 {
    if total == 0 {
        return 100;
    }
    u64::try_from(u128::from(part) * 100 / u128::from(total)).unwrap_or(100)
}

/// Bytes a second, as people read them.
#[must_use]
pub fn rate(bytes: u64, elapsed: Duration) -> String {
    let micros = elapsed.as_micros().max(1);
    let mib_tenths = (u128::from(bytes) * 10 * 1_000_000 / micros) >> 20;
    format!("{}.{} MiB/s", mib_tenths / 10, mib_tenths % 10)
}

fn remaining(part: u64, total: u64, elapsed: Duration) -> String {
    if part == 0 {
        return "unknown time".to_owned();
    }
    let left = u128::from(total.saturating_sub(part));
    let seconds = elapsed.as_millis() * left / u128::from(part) / 1000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn extras(reading: Reading, ratio: bool) -> String {
    let mut text = String::new();
    if reading.compared_bytes.is_some() {
        return "  second pass".to_owned();
    }
    if ratio && reading.file_bytes > 0 {
        let hundredths = u128::from(reading.image_bytes) * 100 / u128::from(reading.file_bytes);
        text.push_str(&format!("  {}.{:02}:1", hundredths / 100, hundredths % 100));
    }
    if reading.unreadable_pages > 0 {
        text.push_str(&format!("  {} pages unreadable", reading.unreadable_pages));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_for_people() {
        assert_eq!(rate(3 << 20, Duration::from_secs(2)), "1.5 MiB/s");
        assert_eq!(rate(0, Duration::ZERO), "0.0 MiB/s");
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(0, 0), 100);
        assert_eq!(remaining(1, 4, Duration::from_secs(30)), "1:30");
        let reading = Reading {
            read_bytes: 0,
            image_bytes: 300,
            file_bytes: 200,
            unreadable_pages: 7,
            compared_bytes: None,
        };
        assert_eq!(extras(reading, true), "  1.50:1  7 pages unreadable");
        assert_eq!(extras(reading, false), "  7 pages unreadable");
    }
}
