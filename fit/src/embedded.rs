// SPDX-License-Identifier: MIT OR Apache-2.0
//! The prebuilt module inside this program.

use crate::error::FitError;

/// What the build was given.
const OBJECT: Option<&[u8]> = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The prebuilt module that this build carries, if it carries one.
#[must_use]
pub const fn embedded_object() -> Option<&'static [u8]> {
    OBJECT
}

/// As [`embedded_object`].
///
/// # Errors
/// If this build carries none.
pub fn need_object() -> Result<&'static [u8], FitError> {
    OBJECT.ok_or(FitError::NoObject)
}
