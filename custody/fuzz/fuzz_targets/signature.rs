// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any text as a signature, and as a public key: none of it is by the key of the seeds for a
//! manifest that nobody signed.
#![no_main]

#[path = "../../../formats/fuzz/fuzz_targets/allocations.rs"]
mod allocations;

use libfuzzer_sys::fuzz_target;
use linpmem_custody::signature::{PublicKey, Signature};

const KEY: &str = "RWS3B5Zd+nb3vGaTbRNaqNGG6/OLZe1VwqWl3EsKqqJVxnFQCBp8wsOw";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let key = PublicKey::of(KEY).expect("a key");
    if let Ok(signature) = Signature::parse(text) {
        let _ = signature.key_id().to_string();
        assert!(signature.check(&key, &b"what nobody signed"[..]).is_err());
    }
});
