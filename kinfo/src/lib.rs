// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod btf;
pub mod iomem;
pub mod kallsyms;
pub mod layout;
pub mod notes;
pub mod vmcoreinfo;
