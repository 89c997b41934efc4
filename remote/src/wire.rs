// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames: a kind, a length, and that many bytes.

use std::io;

/// Bytes of a frame's payload, at most: what each side keeps of one frame in memory.
pub(crate) const MAX_PAYLOAD: usize = PIECE_BYTES + 64;

/// Bytes of the image in one frame, at most. A receiver keeps a frame of every sender.
pub(crate) const PIECE_BYTES: usize = 64 << 10;

pub(crate) const HEADER_BYTES: usize = 5;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From the sender, first: which run it is, as JSON.
    Hello,
    /// A number, a stream and its next bytes.
    Data,
    /// A number, a stream and how many zero bytes are next in it.
    Zeros,
    /// A number, and what there was in all, as JSON.
    Finish,
    /// From either side: nothing, so that silence means a broken connection.
    Alive,
    /// From a sender that has no image, first: that it wants to measure the line, as JSON.
    Probe,
    /// The end of what it sends.
    ProbeEnd,
    /// From the receiver, first: the image's name and the next number, as JSON.
    Welcome,
    /// All numbers below this one are on the disk; of a probe, how many bytes have arrived.
    Durable,
    /// The end: a signed receipt, as JSON.
    Receipt,
    /// The end: why not, as JSON.
    Refused,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Hello,
        Self::Data,
        Self::Zeros,
        Self::Finish,
        Self::Alive,
        Self::Probe,
        Self::ProbeEnd,
        Self::Welcome,
        Self::Durable,
        Self::Receipt,
        Self::Refused,
    ];

    const fn code(self) -> u8 {
        match self {
            Self::Hello => 1,
            Self::Data => 2,
            Self::Zeros => 3,
            Self::Finish => 4,
            Self::Alive => 5,
            Self::Probe => 6,
            Self::ProbeEnd => 7,
            Self::Welcome => 129,
            Self::Durable => 130,
            Self::Receipt => 131,
            Self::Refused => 132,
        }
    }
}

/// The header of a frame with `len` bytes of payload.
pub(crate) fn header(kind: Kind, len: usize) -> io::Result<[u8; HEADER_BYTES]> {
    let too_long = |_| io::Error::other("a frame is too long; this is a bug");
    let len = u32::try_from(len).map_err(too_long)?;
    let [a, b, c, d] = len.to_le_bytes();
    Ok([kind.code(), a, b, c, d])
}

/// The kind and the length of the payload that `header` announces.
///
/// # Errors
/// If there is no such kind, or the payload is longer than any.
pub(crate) fn parse(header: [u8; HEADER_BYTES]) -> io::Result<(Kind, usize)> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let [code, a, b, c, d] = header;
    let kind = Kind::ALL.into_iter().find(|kind| kind.code() == code);
    let kind = kind.ok_or_else(|| invalid(format!("a frame of unknown kind {code}")))?;
    let len = u32::from_le_bytes([a, b, c, d]);
    match usize::try_from(len) {
        Ok(len) if len <= MAX_PAYLOAD => Ok((kind, len)),
        _ => Err(invalid(format!("a frame of {len} bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_is_written_and_limits_what_follows() {
        for kind in Kind::ALL {
            let header = header(kind, MAX_PAYLOAD).unwrap();
            assert_eq!(parse(header).unwrap(), (kind, MAX_PAYLOAD));
        }
        let long = header(Kind::Data, MAX_PAYLOAD + 1).unwrap();
        assert!(parse(long).is_err());
        assert!(parse([0, 0, 0, 0, 0]).is_err());
        assert!(parse([255; 5]).is_err());
    }
}
