// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of an image, with the unreadable pages that its manifest lists: most formats
//! store zeros there and cannot tell them apart from memory.

use linpmem_formats::ImageReader;
use linpmem_manifest::Manifest;
use linpmem_phys::num::{len_bytes, u64_as_usize};
use linpmem_phys::{
    PAGE_SIZE, PhysAddr, PhysLen, PhysRange, ReadPhys, SourceError, Unreadable, Unreadables,
    is_zero,
};

/// The memory of an image.
pub(super) struct ImageWithManifest {
    image: Box<dyn ImageReader>,
    /// The unreadable pages, by address.
    unreadable: Vec<Unreadable>,
}

impl ImageWithManifest {
    /// The memory of `image`, which `manifest` describes, if there is one.
    pub(super) fn new(image: Box<dyn ImageReader>, manifest: Option<&Manifest>) -> Self {
        let records = manifest.iter().flat_map(|manifest| &manifest.ranges);
        Self {
            image,
            unreadable: records
                .flat_map(|range| &range.unreadable)
                .copied()
                .collect(),
        }
    }
}

/// The parts of `page`, whose bytes are `bytes`, that `known` lists as unreadable. Bytes
/// that the image has were read, whatever a manifest says.
pub(super) fn unread_parts(known: &[Unreadable], page: PhysRange, bytes: &[u8]) -> Vec<Unreadable> {
    let first = known.partition_point(|item| item.range.end() <= page.start());
    let parts = known.iter().skip(first).map_while(|item| {
        Some(Unreadable {
            range: item.range.intersect(page)?,
            errno: item.errno,
        })
    });
    let is_unread = |part: &Unreadable| {
        let start = part.range.start().checked_sub(page.start());
        let start = start.map_or(0, |start| u64_as_usize(start.get()));
        let end = start.checked_add(u64_as_usize(part.range.len().get()));
        end.and_then(|end| bytes.get(start..end))
            .is_some_and(is_zero)
    };
    parts.filter(is_unread).collect()
}

impl ReadPhys for ImageWithManifest {
    fn read_phys(
        &self,
        start: PhysAddr,
        buf: &mut [u8],
        unreadable: &mut Unreadables,
    ) -> Result<(), SourceError> {
        let mut told = Unreadables::new();
        self.image.read_phys(start, buf, &mut told)?;
        let len = PhysLen::new(len_bytes(buf));
        let is_remembered = PhysRange::from_len(start, len).is_ok_and(|all| {
            let known = self
                .unreadable
                .partition_point(|known| known.range.end() <= all.start());
            let next = self.unreadable.get(known);
            next.is_some_and(|known| known.range.intersect(all).is_some())
        });
        if !is_remembered {
            for item in told.as_slice() {
                unreadable.push(item.range, item.errno);
            }
            return Ok(());
        }
        let mut at = start;
        for part in buf.chunks(u64_as_usize(PAGE_SIZE.get())) {
            let len = PhysLen::new(len_bytes(part));
            let Ok(range) = PhysRange::from_len(at, len) else {
                break;
            };
            let parts = unread_parts(&self.unreadable, range, part);
            for item in &parts {
                unreadable.push(item.range, item.errno);
            }
            if parts.is_empty() {
                copy(told.as_slice(), range, unreadable);
            }
            at = range.end();
        }
        Ok(())
    }

    fn is_known_zero(&self, range: PhysRange) -> bool {
        let known = self
            .unreadable
            .partition_point(|known| known.range.end() <= range.start());
        let next = self.unreadable.get(known);
        let is_unread = next.is_some_and(|known| known.range.intersect(range).is_some());
        !is_unread && self.image.is_known_zero(range)
    }
}

/// The part of `told` that is within `range`.
fn copy(told: &[Unreadable], range: PhysRange, unreadable: &mut Unreadables) {
    let first = told.partition_point(|item| item.range.end() <= range.start());
    for item in told.iter().skip(first) {
        match item.range.intersect(range) {
            Some(part) => unreadable.push(part, item.errno),
            None => break,
        }
    }
}
