// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast the line is can be asked by whoever may send, and it leaves nothing.

use crate::kept::{Disk, Running, address, hello, loopback, many, patience};
use linpmem_remote::{Policy, SendError, Sender, Token, probe};
use std::time::Duration;

const DURING: Duration = Duration::from_millis(200);

#[test]
fn a_probe_counts_what_arrived_and_keeps_nothing() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let to = address(&disk, running.address, &token);
    let probed = probe(&to, DURING).unwrap();
    assert!(probed.bytes >= 64 << 10, "{probed:?}");
    assert!(probed.elapsed >= DURING, "{probed:?}");
    drop(running);
    assert!(disk.runs.lock().unwrap().is_empty());
    let log = disk.log();
    assert_eq!(log, format!("probed with {} bytes", probed.bytes));
}

#[test]
fn a_probe_does_not_use_up_the_address_of_a_single_image() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let once = Policy {
        token: token.clone(),
        is_once: true,
    };
    let running = Running::start(&disk, loopback(), once);
    let to = address(&disk, running.address, &token);
    for _ in 0..2 {
        probe(&to, DURING).unwrap();
    }
    Sender::connect(to, hello("a"), patience()).unwrap();
}

#[test]
fn who_does_not_know_the_token_may_not_probe() {
    let (disk, token) = (Disk::new(), Token::generate().unwrap());
    let running = Running::start(&disk, loopback(), many(&token));
    let to = address(&disk, running.address, &Token::generate().unwrap());
    let error = probe(&to, DURING).unwrap_err();
    assert!(matches!(error, SendError::Refused(_)), "{error}");
    drop(running);
    assert!(disk.log().contains("token is wrong"), "{}", disk.log());
    // And nobody is there any more.
    let gone = probe(&to, DURING).unwrap_err();
    assert!(matches!(gone, SendError::Connect { .. }), "{gone}");
}
