// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as a block of LZO.
#![no_main]

#[path = "../../src/kdump/lzo.rs"]
mod lzo;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut page = [0xee; 4096];
    let len = lzo::decompress(data, &mut page);
    // More room makes no difference to what fits without it.
    let mut large = vec![0xaa; 1 << 17];
    let found = lzo::decompress(data, &mut large);
    if let Some(len) = len {
        assert_eq!(found, Some(len));
        assert!(page[..len] == large[..len]);
        assert!(page[len..].iter().all(|&byte| byte == 0xee));
    }
});
