// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames: the unit of the byte stream.
//!
//! ```text
//! 0  4  id, little-endian
//! 4  1  kind
//! 5  3  zero
//! 8  4  length of the payload in bytes, little-endian
//! 12    payload
//! ```

use std::io::{self, Read, Write};

/// No payload is longer than this, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;

const HEADER: usize = 12;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The conversation.
    pub id: u32,
    /// What the payload is.
    pub kind: FrameKind,
    /// At most [`MAX_PAYLOAD`] bytes.
    pub payload: Vec<u8>,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Host to guest: a [`Request`](crate::Request) as JSON.
    Request,
    /// Guest to host: a [`Reply`](crate::Reply) as JSON.
    Reply,
    /// Host to guest: bytes for a program's stdin; an empty frame closes it.
    Stdin,
    /// Guest to host: bytes of a program's stdout.
    Stdout,
    /// Guest to host: bytes of a program's stderr.
    Stderr,
    /// Both directions: a part of a file, made by [`data_payload`]. Bytes that no part
    /// covers are zero. A part without bytes ends a file that is sent to the guest.
    Data,
}

impl FrameKind {
    const ALL: [Self; 6] = [
        Self::Request,
        Self::Reply,
        Self::Stdin,
        Self::Stdout,
        Self::Stderr,
        Self::Data,
    ];

    fn code(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Reply => 2,
            Self::Stdin => 3,
            Self::Stdout => 4,
            Self::Stderr => 5,
            Self::Data => 6,
        }
    }

    fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl Frame {
    /// Writes the frame.
    ///
    /// # Errors
    /// If the stream fails, or the payload is too long.
    pub fn write_to(&self, stream: &mut impl Write) -> io::Result<()> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "frame too long");
        if self.payload.len() > MAX_PAYLOAD {
            return Err(too_long());
        }
        let length = u32::try_from(self.payload.len()).map_err(|_| too_long())?;
        let mut bytes = Vec::with_capacity(HEADER.saturating_add(self.payload.len()));
        bytes.extend(self.id.to_le_bytes());
        bytes.extend([self.kind.code(), 0, 0, 0]);
        bytes.extend(length.to_le_bytes());
        bytes.extend(&self.payload);
        stream.write_all(&bytes)
    }

    /// Reads the next frame; `None` where the stream ends between two frames.
    ///
    /// # Errors
    /// If the stream fails, ends within a frame, or is not a frame.
    pub fn read_from(stream: &mut impl Read) -> io::Result<Option<Self>> {
        let mut id = [0; 4];
        let mut rest = [0; HEADER - 4];
        let first = loop {
            match stream.read(&mut id) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if first == 0 {
            return Ok(None);
        }
        stream.read_exact(id.get_mut(first..).unwrap_or_default())?;
        stream.read_exact(&mut rest)?;
        let [code, _, _, _, length @ ..] = rest;
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let kind = FrameKind::of(code).ok_or_else(|| invalid("frame of an unknown kind"))?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_PAYLOAD {
            return Err(invalid("frame too long"));
        }
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        Ok(Some(Self {
            id: u32::from_le_bytes(id),
            kind,
            payload,
        }))
    }
}

/// The payload of a [`FrameKind::Data`]: the offset in the file, then the bytes.
#[must_use]
pub fn data_payload(offset: u64, bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(bytes.len().saturating_add(8));
    payload.extend(offset.to_le_bytes());
    payload.extend(bytes);
    payload
}

/// The offset and the bytes of a [`FrameKind::Data`].
#[must_use]
pub fn split_data(payload: &[u8]) -> Option<(u64, &[u8])> {
    let (offset, bytes) = payload.split_first_chunk()?;
    Some((u64::from_le_bytes(*offset), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_written_up_to_a_clean_end() {
        let frames: Vec<Frame> = FrameKind::ALL
            .into_iter()
            .map(|kind| Frame {
                id: 7,
                kind,
                payload: data_payload(1 << 40, b"bytes"),
            })
            .collect();
        let mut stream = Vec::new();
        for frame in &frames {
            frame.write_to(&mut stream).unwrap();
        }
        let mut rest = stream.as_slice();
        for frame in &frames {
            let read = Frame::read_from(&mut rest).unwrap().unwrap();
            assert_eq!(&read, frame);
            assert_eq!(split_data(&read.payload), Some((1 << 40, &b"bytes"[..])));
        }
        assert_eq!(Frame::read_from(&mut rest).unwrap(), None);
    }

    #[test]
    fn anything_but_a_frame_is_an_error() {
        let short = [1, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, b'x'];
        let unknown = [1, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0];
        let long = [1, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        for bytes in [&short[..], &unknown[..], &long[..], &short[..2]] {
            let mut stream = bytes;
            assert!(Frame::read_from(&mut stream).is_err());
        }
        assert_eq!(split_data(&[0; 7]), None);
    }
}
