// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast the line to a receiver is, before there is an image. What is sent is not kept.

use crate::address::Address;
use crate::broken::Broken;
use crate::dial::{Failure, connect};
use crate::error::SendError;
use crate::line::{HANDSHAKE, Line, SILENCE};
use crate::message::{
    FromReceiver, FromSender, PROTOCOL, ProbeGreeting, Stream, invalid, numbered,
};
use crate::refusal::Refusal;
use crate::secret::fill_random;
use crate::tls;
use crate::wire::{Kind, PIECE_BYTES};
use std::time::{Duration, Instant};

/// For how long a receiver serves a probe, at most: it is no way to keep it busy.
const LONGEST: Duration = Duration::from_secs(15);

/// Bytes that a receiver takes of one probe, at most.
const MOST_BYTES: u64 = 4 << 30;

/// What a probe has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Bytes that arrived.
    pub bytes: u64,
    /// From the first byte until the receiver had said that the last one is there.
    pub elapsed: Duration,
}

/// Sends random bytes to the receiver at `address` for about as long as `during`, and has it
/// count them. It keeps none of them, and the address stays valid even if it is for one image.
///
/// # Errors
/// If it cannot be reached, is another one, or does not let this machine send.
pub fn probe(address: &Address, during: Duration) -> Result<Probed, SendError> {
    let machine = |action, reason| SendError::Machine { action, reason };
    let config = tls::client_config(address.key())
        .map_err(|error| machine("preparing the encryption", error.to_string()))?;
    let mut piece = vec![0; PIECE_BYTES];
    fill_random(&mut piece)
        .map_err(|error| machine("reading random numbers", error.to_string()))?;
    connect(address, &config)
        .and_then(|mut line| {
            let probed = measured(&mut line, address, &piece, during)?;
            line.close();
            Ok(probed)
        })
        .map_err(|failure| failure.into_error(address))
}

fn measured(
    line: &mut Line,
    address: &Address,
    piece: &[u8],
    during: Duration,
) -> Result<Probed, Failure> {
    let greeting = ProbeGreeting {
        protocol: PROTOCOL,
        token: address.token().clone(),
    };
    line.send_json(Kind::Probe, &greeting)?;
    counted(line, HANDSHAKE)?;
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < during.min(LONGEST / 2) {
        line.send(Kind::Data, &[&numbered(number, Stream::Image), piece])?;
        number += 1;
    }
    line.send(Kind::ProbeEnd, &[])?;
    let bytes = counted(line, SILENCE)?;
    Ok(Probed {
        bytes,
        elapsed: begun.elapsed(),
    })
}

/// The number of bytes that the receiver says it has got.
fn counted(line: &mut Line, wait: Duration) -> Result<u64, Failure> {
    let Some((kind, payload)) = line.receive(wait)? else {
        return Err(Failure::Again("the receiver does not answer".to_owned()));
    };
    match FromReceiver::parse(kind, payload)? {
        FromReceiver::Durable(bytes) => Ok(bytes),
        FromReceiver::Refused(refusal) => Err(refusal.into()),
        _ => Err(invalid("an answer that is none").into()),
    }
}

/// The receiver's side, after the greeting: counts, and forgets.
///
/// # Errors
/// If the line breaks, or the sender does not end.
pub(crate) fn count(line: &mut Line) -> Result<u64, Broken> {
    let begun = Instant::now();
    let mut total = 0u64;
    line.send(Kind::Durable, &[&total.to_le_bytes()])?;
    loop {
        let left = LONGEST.saturating_sub(begun.elapsed());
        let frame = match left.is_zero() || total >= MOST_BYTES {
            true => None,
            false => line.receive(left)?,
        };
        let Some((kind, payload)) = frame else {
            return Err(Refusal::new("a probe may take some seconds, and no longer").into());
        };
        if kind == Kind::ProbeEnd {
            line.send(Kind::Durable, &[&total.to_le_bytes()])?;
            return Ok(total);
        }
        match FromSender::parse(kind, payload)? {
            FromSender::Data { bytes, .. } => {
                total = total.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
            }
            FromSender::Alive => {}
            _ => return Err(invalid("a probe has nothing but bytes").into()),
        }
    }
}
