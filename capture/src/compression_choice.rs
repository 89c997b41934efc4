// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--compress auto`: as much as the processors can do and the disk needs.
//!
//! Memory changes while it is read, so it should be read as fast as possible. The choice
//! is the compression that finishes first, by a measurement of a few megabytes: of the
//! processors, and of the disk if that can be written to beforehand. A warning, which is
//! also in the manifest, says what was measured.

use crate::frame::FrameEncoder;
use crate::pipeline::default_threads;
use crate::rate;
use linpmem_formats::Codec;
use linpmem_phys::num::{u64_as_usize, usize_as_u64};
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes that are compressed to measure the processors.
const SAMPLE_BYTES: usize = 1 << 20;
/// How many times that much is written to measure the disk.
const WRITTEN_SAMPLES: u64 = 16;
/// The assumed speed of a pipe: a network of 1 Gbit/s.
const PIPE_MIB_PER_S: f64 = 110.0;
/// A stronger compression is preferred if it is at least this fast, relatively.
const AS_GOOD: f64 = 0.95;

/// The choices, the strongest first.
const CANDIDATES: [Codec; 3] = [Codec::Zstd { level: 1 }, Codec::Lz4, Codec::None];

/// The compression by `threads`, or by as many as the machine suggests for each, for an
/// image in `folder`, or in a pipe, and the reason in words.
///
/// # Errors
/// If nothing could be compressed for a measurement.
pub fn choose(folder: Option<&Path>, threads: Option<NonZeroUsize>) -> io::Result<(Codec, String)> {
    let sample = sample()?;
    let measured = folder.and_then(|folder| disk(folder, &sample).ok());
    let disk = measured.unwrap_or(PIPE_MIB_PER_S);
    let mut best: Option<(Codec, f64)> = None;
    for codec in CANDIDATES {
        let mut arrives = disk;
        if let Some(mut encoder) = FrameEncoder::new(codec)? {
            let (speed, share) = encoding(&mut encoder, &sample)?;
            let threads = threads.unwrap_or_else(|| default_threads(codec));
            arrives = (disk / share).min(speed * float(threads.get())?);
        }
        if best.is_none_or(|(_, other)| arrives * AS_GOOD > other) {
            best = Some((codec, arrives));
        }
    }
    let (codec, arrives) =
        best.ok_or_else(|| io::Error::other("there is no compression to choose from"))?;
    let place = match measured {
        Some(_) => format!("the disk writes {disk:.0} MiB/s"),
        None => format!("{disk:.0} MiB/s are assumed for the output, which was not measured"),
    };
    Ok((
        codec,
        format!(
            "--compress auto chose {codec}: {place}, so {arrives:.0} MiB of memory are expected \
             per second"
        ),
    ))
}

/// Similar to memory: code, and a third of zeros.
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

/// MiB per second that one thread compresses, and the compressed share of them.
fn encoding(encoder: &mut FrameEncoder, sample: &[u8]) -> io::Result<(f64, f64)> {
    let mut frame = Vec::new();
    // The first time allocates memory that later ones reuse.
    encoder.encode(sample, &mut frame)?;
    let begun = Instant::now();
    encoder.encode(sample, &mut frame)?;
    let speed = mib_per_s(sample.len(), begun.elapsed())?;
    Ok((speed, float(frame.len())? / float(sample.len())?))
}

/// MiB per second that a disk writes.
fn disk(folder: &Path, sample: &[u8]) -> io::Result<f64> {
    let most = WRITTEN_SAMPLES * usize_as_u64(sample.len());
    let rate = rate::of_disk(folder, sample, most, Duration::MAX)?;
    mib_per_s(u64_as_usize(rate.bytes), rate.elapsed)
}

fn mib_per_s(bytes: usize, time: Duration) -> io::Result<f64> {
    const MIB: f64 = 1_048_576.0;
    Ok(float(bytes)? / MIB / time.as_secs_f64().max(1e-6))
}

/// The number, exactly.
fn float(number: usize) -> io::Result<f64> {
    let number = u32::try_from(number).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{number} is too large for the measurement; choose a compression by name"),
        )
    })?;
    Ok(f64::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_made_and_says_what_was_measured() {
        let folder = tempfile::tempdir().unwrap();
        let (codec, said) = choose(Some(folder.path()), Some(NonZeroUsize::MIN)).unwrap();
        assert!(said.contains(&codec.to_string()), "{said}");
        assert!(said.contains("the disk writes"), "{said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let (_, said) = choose(None, None).unwrap();
        assert!(said.contains("assumed"), "{said}");
    }
}
