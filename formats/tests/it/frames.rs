// SPDX-License-Identifier: MIT OR Apache-2.0
//! LZ4 and Snappy around an image: random access, other programs, and damage.

use linpmem_formats::{ReadAt, frames};
use proptest::collection::vec;
use proptest::prelude::*;
use std::process::{Command, Stdio};

type Compress = fn(&[u8], &mut Vec<u8>) -> std::io::Result<()>;

const CODECS: [(&str, Compress); 2] = [
    ("lz4", frames::encode_lz4),
    ("snappy", frames::encode_snappy),
];

/// Zeros, text and noise, alternating.
fn content(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    (0..len)
        .map(|index| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            match index / 50_000 % 3 {
                0 => 0,
                1 => b"some words of text "[index % 19],
                _ => state.to_le_bytes()[0],
            }
        })
        .collect()
}

fn compressed(content: &[u8], step: usize, compress: Compress) -> Vec<u8> {
    let mut file = Vec::new();
    for piece in content.chunks(step) {
        let mut frame = Vec::new();
        compress(piece, &mut frame).unwrap();
        file.extend_from_slice(&frame);
    }
    file
}

fn all<S: ReadAt>(reader: &frames::Reader<S>) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(reader.len()).unwrap()];
    reader.read_exact_at(0, &mut bytes).map(|()| bytes)
}

#[test]
fn frames_are_read_at_any_offset_and_stay_within_their_bounds() {
    let content = content(3_000_000);
    for (name, compress) in CODECS {
        for step in [1 << 20, 70_001, 4096] {
            let file = compressed(&content, step, compress);
            let reader = frames::Reader::new(file).unwrap();
            assert_eq!(reader.len(), 3_000_000, "{name}");
            assert!(all(&reader).unwrap() == content, "{name} {step}");
            for (offset, len) in [(0, 1), (1 << 20, 1), ((1 << 20) - 1, 2), (2_999_999, 1)] {
                let mut buf = vec![0; len];
                reader
                    .read_exact_at(u64::try_from(offset).unwrap(), &mut buf)
                    .unwrap();
                assert_eq!(buf, content[offset..offset + len], "{name} {step}");
            }
            assert!(reader.read_exact_at(2_999_999, &mut [0; 2]).is_err());
        }
    }
    let noise = &content[100_000..150_000];
    let mut frame = Vec::new();
    frames::encode_lz4(noise, &mut frame).unwrap();
    assert!(frame.len() <= linpmem_formats::frames::lz4_bound(noise.len()));
    frames::encode_snappy(noise, &mut frame).unwrap();
    assert!(frame.len() <= linpmem_formats::frames::snappy_bound(noise.len()));
}

#[test]
fn linpmem_and_the_program_lz4_read_each_others_files() {
    let content = content(9_000_000);
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours.lz4");
    std::fs::write(&ours, compressed(&content, 1 << 20, frames::encode_lz4)).unwrap();
    let lz4 = |args: &[&str]| {
        let mut command = Command::new("lz4");
        command.current_dir(folder.path()).args(args);
        command.stderr(Stdio::null()).output()
    };
    let Ok(output) = lz4(&["-dc", "ours.lz4"]) else {
        println!("SKIPPED: there is no lz4 program");
        return;
    };
    assert!(output.stdout == content, "lz4 gives other bytes");
    std::fs::write(folder.path().join("plain"), &content).unwrap();
    for options in [
        &["-B4"][..],
        &["-B7", "-BX"],
        &["--content-size"],
        &["-9", "-B5"],
    ] {
        let output = lz4(&[options, &["-c", "plain"]].concat()).unwrap();
        assert!(output.status.success());
        let reader = frames::Reader::new(output.stdout).unwrap();
        assert!(all(&reader).unwrap() == content, "{options:?}");
    }
    let linked = lz4(&["-BD", "-c", "plain"]).unwrap().stdout;
    let error = frames::Reader::new(linked).unwrap_err().to_string();
    assert!(error.contains("lz4 -d"), "{error}");
}

#[test]
fn a_truncated_file_is_an_error_or_keeps_the_frames_before_the_cut() {
    let content = content(400_000);
    for (name, compress) in CODECS {
        let file = compressed(&content, 90_000, compress);
        for cut in (0..file.len()).step_by(97) {
            let Ok(reader) = frames::Reader::new(&file[..cut]) else {
                continue;
            };
            let found = all(&reader).unwrap();
            assert!(found.len() < content.len(), "{name} {cut}");
            assert!(found == content[..found.len()], "{name} {cut}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Both formats have checksums, so reading gives the original bytes or an error.
    #[test]
    fn damage_is_never_mistaken_for_content(
        damage in vec((any::<proptest::sample::Index>(), 1..=255_u8), 1..4),
        second in any::<bool>(),
    ) {
        let (_, compress) = CODECS[usize::from(second)];
        let content = content(200_000);
        let mut file = compressed(&content, 60_000, compress);
        for (at, change) in damage {
            let at = at.index(file.len());
            file[at] ^= change;
        }
        if let Ok(reader) = frames::Reader::new(file) {
            prop_assume!(reader.len() < 1 << 26);
            if let Ok(found) = all(&reader) {
                prop_assert!(found == content || found.len() != content.len());
            }
        }
    }

    #[test]
    fn noise_after_a_magic_number_is_an_error(
        noise in vec(any::<u8>(), 0..4000),
        second in any::<bool>(),
    ) {
        let magic: &[u8] = match second {
            true => b"\xff\x06\x00\x00sNaPpY",
            false => b"\x04\x22\x4d\x18\x60\x40",
        };
        if let Ok(reader) = frames::Reader::new([magic, &noise].concat()) {
            let _ = all(&reader);
        }
    }
}
