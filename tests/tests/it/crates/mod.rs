// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is published in the Rust registry: that it is accepted, what is in it, and that it builds
//! without the rest of the workspace.

mod content;
mod manifests;
mod outside;
mod published;
