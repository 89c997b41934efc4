// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes as an answer of an authority, and as a request: nothing is accepted but what the
//! authority of the seeds made.
#![no_main]

#[path = "../../../formats/fuzz/fuzz_targets/allocations.rs"]
mod allocations;

use libfuzzer_sys::fuzz_target;
use linpmem_custody::timestamp::{Authorities, Reply, Request};
use std::path::Path;
use std::sync::LazyLock;

/// Its certificate has expired by the time of no seed.
static TRUSTED: LazyLock<Authorities> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/root.pem");
    Authorities::read(Path::new(path)).expect("the root of the seeds")
});

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = Request::parse(data) {
        let again = request.to_der().expect("what was read is written");
        let again = Request::parse(&again).expect("what was written is read");
        assert_eq!(again.nonce(), request.nonce());
    }
    let Ok(reply) = Reply::parse(data) else {
        return;
    };
    let said = (reply.time(), reply.serial(), reply.policy(), reply.accuracy_us());
    if let Ok(authority) = reply.verify(&TRUSTED) {
        assert_eq!(authority.subject, "CN=Test \u{202e}TSA");
        assert_eq!(said.2, "1.2.3.4.1");
    }
});
