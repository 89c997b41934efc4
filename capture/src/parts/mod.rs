// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crates that a build can do without, or twins of theirs: the same types, of which there are
//! no values, because every attempt to have one says that this build has no such part.

#[cfg(feature = "stores")]
pub use linpmem_objects as objects;
#[cfg(feature = "remote")]
pub use linpmem_remote as remote;

#[cfg(not(feature = "stores"))]
pub mod objects;
#[cfg(not(feature = "remote"))]
pub mod remote;
