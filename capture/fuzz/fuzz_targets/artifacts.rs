// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as the archive of an image's artifacts: compressed, or, after a byte that is
//! odd, as the tar archive in a frame.
#![no_main]

#[path = "../../../formats/fuzz/fuzz_targets/allocations.rs"]
mod allocations;

use libfuzzer_sys::fuzz_target;
use linpmem_capture::artifacts::Artifacts;
use std::fs;

fuzz_target!(|data: &[u8]| {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let bytes = match first % 2 {
        0 => rest.to_vec(),
        _ => stored_frame(rest),
    };
    // Archives are opened by their names.
    let name = format!("fuzz-{}.artifacts.tar.zst", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, bytes).expect("the folder for temporary files takes files");
    if let Ok(Some(artifacts)) = Artifacts::of_image(&path) {
        for entry in artifacts.entries().iter().take(16) {
            let _ = artifacts.bytes(&entry.name, 1 << 20);
        }
        let _ = artifacts.machine();
        let _ = artifacts.each_module(&mut |_, _| {});
    }
    fs::remove_file(&path).expect("the file was written");
});

/// A zstd frame of blocks that are not compressed.
fn stored_frame(content: &[u8]) -> Vec<u8> {
    // One segment whose size has four bytes.
    let mut frame = b"\x28\xb5\x2f\xfd\xa0".to_vec();
    let size = u32::try_from(content.len()).expect("inputs are small");
    frame.extend(size.to_le_bytes());
    let mut blocks = content.chunks(64 << 10).peekable();
    if blocks.peek().is_none() {
        frame.extend([1, 0, 0]);
    }
    while let Some(block) = blocks.next() {
        let size = u32::try_from(block.len()).expect("blocks are small");
        let header = size << 3 | u32::from(blocks.peek().is_none());
        let [a, b, c, _] = header.to_le_bytes();
        frame.extend([a, b, c]);
        frame.extend(block);
    }
    frame
}
