// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a release, which `cargo xtask release` has made: what is in them, and what
//! becomes of them on other systems.

mod acquired;
mod files;
mod fresh;
mod installed;
mod judged;
mod packed;
mod rebuilt;
mod wheel;
