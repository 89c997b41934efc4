// SPDX-License-Identifier: MIT OR Apache-2.0
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::as_conversions))]

mod address_space;
mod all_tasks;
mod boot_id;
mod bounded;
mod cpus;
mod error;
mod facts;
mod file_names;
mod found;
mod kernel_code;
mod list;
mod log;
mod machine;
mod maple_tree;
mod mapping_names;
mod maps;
mod memory;
mod modules;
mod mounts;
mod open_files;
mod paging;
mod paths;
mod pids;
mod socket_tables;
mod sockets;
mod tasks;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;
mod trouble;
mod troubles;
mod types;
mod user_pages;
mod xarray;

pub use address_space::AddressSpace;
pub use all_tasks::{AllTasks, FoundBy, FoundTask};
pub use cpus::Cpu;
pub use error::{Error, MemoryError, Reason};
pub use facts::{Facts, Symbols};
pub use found::Found;
pub use kernel_code::KernelCode;
pub use log::LogRecord;
pub use machine::{Machine, ReadSwap, Struct, SwapArea, Value};
pub use maps::Mapping;
pub use modules::Module;
pub use mounts::Mount;
pub use open_files::{Access, Descriptor, Device, FileRole, OpenFile};
pub use pids::PidEntry;
pub use socket_tables::TableSockets;
pub use sockets::{Endpoint, HeldSocket, Socket};

pub use tasks::{Arguments, Task, TaskTexts};
pub use trouble::Trouble;
pub use troubles::Troubles;
pub use types::{Field, Types};
pub use user_pages::UserPages;
