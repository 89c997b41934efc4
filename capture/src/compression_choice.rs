// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--compress auto`: what the processors can take and the disk needs.
//!
//! Memory should be read as fast as it can be, for it changes meanwhile. So the
//! compression is the one with which it arrives soonest, by a measurement of a few
//! megabytes: one of the processors, and one of the disk where that can be written to
//! beforehand. What was measured is told, and stands in the manifest.

use crate::frame::FrameEncoder;
use crate::sink::{FileSink, Sink};
use linpmem_formats::Codec;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes that are compressed to see how long it takes.
const SAMPLE_BYTES: usize = 1 << 20;
/// Of them are written to the disk, to see the same.
const WRITTEN_SAMPLES: u32 = 16;
/// What a pipe is taken to carry: a network of 1 Gbit/s.
const PIPE_MIB_PER_S: f64 = 110.0;
/// A stronger compression may be slower by this.
const AS_GOOD: f64 = 0.95;

/// What is tried, the strongest first.
const CANDIDATES: [Codec; 3] = [Codec::Zstd { level: 1 }, Codec::Lz4, Codec::None];

/// A compression by `workers` threads for an image in `folder`, or in a pipe; and why.
///
/// # Errors
/// If there is no memory for a compression.
pub fn choose(folder: Option<&Path>, workers: NonZeroUsize) -> io::Result<(Codec, String)> {
    let sample = sample()?;
    let workers = f64::from(u32::try_from(workers.get()).unwrap_or(u32::MAX));
    let measured = folder.and_then(|folder| disk(folder, &sample).ok());
    let disk = measured.unwrap_or(PIPE_MIB_PER_S);
    let mut best: Option<(Codec, f64)> = None;
    for codec in CANDIDATES {
        let mut arrives = disk;
        if let Some(mut encoder) = FrameEncoder::new(codec)? {
            let (speed, share) = encoding(&mut encoder, &sample)?;
            arrives = (disk / share).min(speed * workers);
        }
        if best.is_none_or(|(_, other)| arrives * AS_GOOD > other) {
            best = Some((codec, arrives));
        }
    }
    let (codec, arrives) = best.unwrap_or_default();
    let place = match measured {
        Some(_) => format!("the disk takes {disk:.0} MiB/s"),
        None => format!("{disk:.0} MiB/s are assumed, as nothing could be written to measure it"),
    };
    Ok((
        codec,
        format!("--compress auto chose {codec}: {place}; so it takes {arrives:.0} MiB/s of memory"),
    ))
}

/// Something like memory: code, and a third of zeros.
fn sample() -> io::Result<Vec<u8>> {
    let own = std::fs::read("/proc/self/exe")?;
    let mut sample = vec![0; SAMPLE_BYTES];
    let from = own.len() / 4;
    let code = own.iter().skip(from).take(SAMPLE_BYTES / 3 * 2);
    sample
        .iter_mut()
        .zip(code)
        .for_each(|(to, &byte)| *to = byte);
    Ok(sample)
}

/// MiB of memory a second by one thread, and the share that is left of them.
fn encoding(encoder: &mut FrameEncoder, sample: &[u8]) -> io::Result<(f64, f64)> {
    let mut frame = Vec::new();
    // The first time pays for memory that the others find.
    encoder.encode(sample, &mut frame)?;
    let begun = Instant::now();
    encoder.encode(sample, &mut frame)?;
    let speed = mib_per_s(sample.len(), begun.elapsed());
    Ok((speed, mib(frame.len()) / mib(sample.len())))
}

/// MiB a second that a disk takes, by a file without a name.
fn disk(folder: &Path, sample: &[u8]) -> io::Result<f64> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR)?);
    let mut sink = FileSink::new(file)?;
    let begun = Instant::now();
    for _ in 0..WRITTEN_SAMPLES {
        sink.bytes(sample)?;
    }
    sink.finish()?;
    let written = sink.position();
    let len = usize::try_from(written).unwrap_or(usize::MAX);
    Ok(mib_per_s(len, begun.elapsed()))
}

fn mib_per_s(bytes: usize, time: Duration) -> f64 {
    mib(bytes) / time.as_secs_f64().max(1e-6)
}

fn mib(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_chosen_and_says_what_it_was_measured_by() {
        let folder = tempfile::tempdir().unwrap();
        let (codec, said) = choose(Some(folder.path()), NonZeroUsize::MIN).unwrap();
        assert!(said.contains(&codec.to_string()), "{said}");
        assert!(said.contains("the disk takes"), "{said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let (_, said) = choose(None, NonZeroUsize::MIN).unwrap();
        assert!(said.contains("assumed"), "{said}");
    }
}
