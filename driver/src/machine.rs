// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine that the program runs on.

/// Whether it is arm64.
pub(crate) fn is_arm64() -> bool {
    rustix::system::uname().machine().to_bytes() == b"aarch64"
}
