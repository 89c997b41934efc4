// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fuzzing begins with what is good.

use linpmem_custody::chain::Chain;
use linpmem_custody::signature::{PublicKey, Signature};
use linpmem_custody::timestamp::{Authorities, Reply, Request, TimestampError};
use linpmem_manifest::Sha256Sum;
use std::fs;
use std::path::{Path, PathBuf};

fn seed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(name)
}

#[test]
fn fuzzing_begins_with_what_is_good() {
    let trusted = Authorities::read(&seed("root.pem")).unwrap();
    let reply = Reply::read(&seed("seeds/timestamp/answer")).unwrap();
    let authority = reply.verify(&trusted).unwrap();
    assert_eq!(authority.subject, "CN=Test \u{202e}TSA");
    let request = fs::read(seed("seeds/timestamp/request")).unwrap();
    let nonce = Request::parse(&request).unwrap().nonce().unwrap();
    reply.check_nonce(&nonce).unwrap();
    let refusal = Reply::read(&seed("seeds/timestamp/refusal"));
    assert!(matches!(refusal, Err(TimestampError::Refused { .. })));

    let key = "RWS3B5Zd+nb3vGaTbRNaqNGG6/OLZe1VwqWl3EsKqqJVxnFQCBp8wsOw";
    let signature = Signature::read(&seed("seeds/signature/ours")).unwrap();
    assert_eq!(signature.key_id(), PublicKey::of(key).unwrap().id());
    let events = Chain::read(&seed("seeds/custody/two"), Sha256Sum::new([9; 32]));
    let (chain, broken) = events.unwrap().unwrap();
    assert!(broken.is_none());
    assert_eq!(chain.entries.len(), 2);
}
