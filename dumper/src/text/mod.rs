// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program prints, for people and for programs.
//!
//! A command makes a [`Document`](linpmem_cli::Document); text and JSON are two renderings of it. The files
//! that bear the name of a command hold its document. docs/json.md describes the JSON.

pub mod check;
pub mod compare;
pub mod custody;
#[cfg(feature = "inspect")]
pub mod dmesg;
pub mod doctor;
pub mod extract;
pub mod figures;
#[cfg(feature = "inspect")]
pub mod files;
#[cfg(feature = "stores")]
pub mod index;
pub mod info;
pub mod ls;
#[cfg(feature = "inspect")]
pub mod maps;
mod memory_map;
#[cfg(feature = "inspect")]
pub mod modules;
#[cfg(feature = "mount")]
pub mod mount;
#[cfg(feature = "inspect")]
pub mod mounts;
#[cfg(feature = "stores")]
pub mod presign;
pub mod progress;
#[cfg(feature = "inspect")]
pub mod ps;
pub mod ranges;
#[cfg(feature = "remote")]
pub mod receive;
pub mod recover;
#[cfg(feature = "report")]
pub mod report;
pub mod shell;
pub mod sign;
#[cfg(feature = "inspect")]
pub mod sockets;
pub mod summary;
pub mod symbols;
pub mod timestamp;
mod troubles;
pub mod verify;
pub mod volatility;
pub mod vouching;

use linpmem_cli::{Program, Stderr};
use serde::Serializer;
use std::time::Duration;

/// How the program names itself.
const PROGRAM: Program = Program {
    name: "linpmem-dump",
    error_format: "linpmem-dump error",
    error_prefix: "linpmem-dump: ",
};

/// The program's stderr, in words or as JSON Lines.
#[must_use]
pub const fn stderr(is_json: bool) -> Stderr {
    Stderr {
        program: PROGRAM,
        is_json,
    }
}

/// A time in JSON: seconds.
fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// As [`seconds`]; null where the time is not known.
#[cfg(feature = "inspect")]
#[expect(clippy::ref_option, reason = "what serde calls")]
fn known_seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}
