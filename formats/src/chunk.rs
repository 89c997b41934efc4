// SPDX-License-Identifier: MIT OR Apache-2.0
//! A piece of memory on its way into an image.

use bytes::Bytes;
use linpmem_phys::{PhysAddr, Unreadable, ZeroBlocks};

/// A piece of memory on its way into an image. It is within one planned range.
///
/// Its bytes are shared: a clone refers to the same bytes, which stay where they were
/// read until the last holder drops them.
#[derive(Clone, Debug)]
pub struct Chunk<'a> {
    /// The address of the first byte.
    pub start: PhysAddr,
    /// The bytes; zero where they could not be read.
    pub data: Bytes,
    /// Which blocks of `data` are zero, for whatever reason.
    pub zeros: ZeroBlocks,
    /// The result of the writer's encoder, if it has one. Otherwise `data` as a
    /// compressed frame, if the output compresses the image as a whole.
    pub frame: Option<Bytes>,
    /// The parts of `data` that could not be read, by address.
    pub unreadable: &'a [Unreadable],
}

impl<'a> Chunk<'a> {
    /// A chunk of `data`, which this examines for zeros.
    #[must_use]
    pub fn new(start: PhysAddr, data: Bytes, unreadable: &'a [Unreadable]) -> Self {
        Self {
            start,
            zeros: ZeroBlocks::of(&data),
            data,
            frame: None,
            unreadable,
        }
    }

    /// The same chunk with an encoded or compressed form of its data.
    #[must_use]
    pub fn with_frame(self, frame: Option<Bytes>) -> Self {
        Self { frame, ..self }
    }

    /// Whether every byte is zero.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.zeros.all()
    }
}
