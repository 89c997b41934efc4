// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's device node.

/// Where the module's device appears.
pub const DEFAULT_PATH: &str = "/dev/linpmem";
