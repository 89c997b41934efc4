// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `--compress` takes.

use linpmem_formats::{Codec, CodecError, aff4};
use std::str::FromStr;

/// A compression as typed. Which formats have it is checked with the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompressSpec {
    /// Whatever finishes soonest.
    Auto,
    /// The name of a compression that at least one format has.
    Named(String),
}

impl FromStr for CompressSpec {
    type Err = CodecError;

    fn from_str(text: &str) -> Result<Self, CodecError> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        if text.parse::<aff4::Compression>().is_err() {
            text.parse::<Codec>()?;
        }
        Ok(Self::Named(text.to_owned()))
    }
}
