// SPDX-License-Identifier: MIT OR Apache-2.0
//! What comes over a line, for the fuzzer: frames of either side, after decryption.

use crate::message::{FromReceiver, FromSender, Greeting, ProbeGreeting, Welcome, from_json};
use crate::wire::{HEADER_BYTES, Kind, parse};

/// Reads `bytes` as frames, until one is invalid.
pub fn read_frames(mut bytes: &[u8]) {
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() {
        let Ok((kind, len)) = parse(*header) else {
            return;
        };
        let Some((payload, rest)) = rest.split_at_checked(len) else {
            return;
        };
        bytes = rest;
        let is_taken = match kind {
            Kind::Hello => from_json::<Greeting>(payload).is_ok(),
            Kind::Probe => from_json::<ProbeGreeting>(payload).is_ok(),
            Kind::Welcome => from_json::<Welcome>(payload).is_ok(),
            kind => {
                let claims = match FromReceiver::parse(kind, payload) {
                    Ok(FromReceiver::Receipt(receipt)) => receipt.claims().is_some(),
                    parsed => parsed.is_ok(),
                };
                claims || FromSender::parse(kind, payload).is_ok()
            }
        };
        if !is_taken {
            return;
        }
    }
}
