// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every store can do.

use crate::error::StoreError;
use crate::sums::{Sums, sha256_of_parts};
use std::io::Read;
use url::Url;

/// The most objects that are listed.
pub(crate) const MOST_LISTED: usize = 1 << 20;

/// A store.
pub(crate) trait Backend: Send + Sync {
    /// The root of its addresses.
    fn base(&self) -> Url;

    /// What it takes.
    fn limits(&self) -> Limits;

    /// Begins an object that comes in parts.
    fn begin(&self, key: &str) -> Result<Box<dyn Parts>, StoreError>;

    /// Stores a whole object, where there is none yet.
    fn put(&self, key: &str, bytes: &[u8], sums: &Sums) -> Result<(), StoreError>;

    /// What the store says of an object; `None` if it has none.
    fn head(&self, key: &str) -> Result<Option<Stored>, StoreError>;

    /// Reads an object from its byte `from` on.
    fn get(&self, key: &str, from: u64) -> Result<Box<dyn Read + Send>, StoreError>;

    /// The keys that begin with `prefix`, in their order, each with its length.
    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, StoreError>;
}

/// What a store takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most parts of one object that are planned. The store takes some more.
    pub(crate) most_parts: u32,
    /// All parts but the last have a multiple of so many bytes.
    pub(crate) granule: u64,
    /// Whether each part must follow the one before it.
    pub(crate) is_sequential: bool,
    /// Whether each part is an object of its own.
    pub(crate) are_parts_objects: bool,
    /// The size of all parts but the last, if it cannot be chosen. Then an image is one object, with
    /// no more parts than planned, and any other object comes whole.
    pub(crate) fixed_part_bytes: Option<u64>,
}

impl Limits {
    /// The most parts of one object.
    pub(crate) const fn parts_at_last(&self) -> u32 {
        match self.fixed_part_bytes {
            Some(_) => self.most_parts,
            None => self.most_parts.saturating_mul(10) / 9,
        }
    }

    /// The largest image, if there is room for no larger one.
    pub(crate) fn most_image_bytes(&self) -> Option<u64> {
        let part_bytes = self.fixed_part_bytes?;
        Some(part_bytes.saturating_mul(self.most_parts.into()))
    }
}

/// An object that comes in parts. Numbers count from 0.
pub(crate) trait Parts: Send + Sync {
    /// Stores a part, and returns when the store has it.
    fn part(&self, part: &Part<'_>) -> Result<Kept, StoreError>;

    /// Joins them to the object, which exists from here on.
    fn complete(&self, parts: &[Kept]) -> Result<(), StoreError>;

    /// Removes them.
    fn abort(&self) -> Result<(), StoreError>;

    /// How somebody removes what was left of an upload, if it costs.
    fn leftover(&self) -> Option<String>;
}

/// A part to be stored.
pub(crate) struct Part<'a> {
    pub(crate) number: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: &'a [u8],
    pub(crate) is_last: bool,
    pub(crate) sums: &'a Sums,
}

/// A part that the store has.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) length: u64,
    pub(crate) sha256: [u8; 32],
    /// The store's name for it.
    pub(crate) tag: String,
}

/// What a store says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub length: u64,
    /// The sum of the sums of its parts, if the store keeps one.
    pub(crate) sha256_of_parts: Option<[u8; 32]>,
}

impl Stored {
    /// Whether its parts have these sums, as the store sees it; `None` if it keeps none.
    #[must_use]
    pub fn has_parts(&self, sums: &[[u8; 32]]) -> Option<bool> {
        let theirs = self.sha256_of_parts?;
        Some(theirs == sha256_of_parts(sums.iter()))
    }
}
