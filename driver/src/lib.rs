// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads physical memory through the linpmem module, and loads and unloads it.
//!
//! # Read memory
//!
//! [`Device::read_with`] fills a buffer, [`Device::load`] does one load of an exact
//! width, [`Device::reader`] gives [`std::io::Read`], and the device is
//! [`ReadPhys`](linpmem_phys::ReadPhys). Pages that cannot be read are listed with
//! their reason; their bytes in the buffer are zero.
//!
//! ```no_run
//! use linpmem::{Access, Device};
//! use linpmem_phys::PhysAddr;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::open()?;
//! let mut buf = vec![0; 1 << 20];
//! let unreadable = device.read_with(Access::default(), PhysAddr::new(0x10_0000), &mut buf)?;
//! for bad in unreadable.as_slice() {
//!     println!("{} was not read: {}", bad.range, bad.errno);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Translate a process's address
//!
//! ```no_run
//! use linpmem::{AddressSpace, Device};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::open()?;
//! println!("CR3 (TTBR0 on arm64) of process 1: {}", device.page_tables(1)?.kernel);
//! let walk = device.translate(AddressSpace::Process(1), 0x7fff_0000_0000)?;
//! match walk.mapped() {
//!     Some(page) => println!("at {}, in a page of {}", page.phys, page.page),
//!     None => println!("not mapped after {} entries", walk.entries.len()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Load and unload the module
//!
//! ```no_run
//! use linpmem::{Device, LoadOptions, load, unload};
//! use std::path::Path;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! load(Path::new("linpmem.ko"), &LoadOptions::default())?;
//! println!("{} address bits", Device::open()?.info()?.phys_bits);
//! unload()?;
//! # Ok(())
//! # }
//! ```
//!
//! Every error says what failed, on what, and what to do, and has an `errno()`. The
//! original Linpmem's module works as well ([`Dialect::Original`]); requests that it
//! does not support end in [`RequestError::Unsupported`].

#![deny(unsafe_code)]

mod access;
mod architecture;
mod device;
mod dialect;
mod error;
mod info;
mod machine;
mod module;
mod node;
mod read;
mod reader;
mod sys;
mod translate;

pub use access::{Access, Caching, Width};
pub use architecture::Architecture;
pub use device::Device;
pub use dialect::{Dialect, Features};
pub use error::{InfoError, OpenError, RequestError};
pub use info::{Info, Version};
pub use module::{
    LoadError, LoadOptions, Loaded, UnloadError, is_loaded, load, load_image, unload,
};
pub use node::DEFAULT_PATH;
pub use reader::Reader;
pub use translate::{AddressSpace, Entry, Mapped, Outcome, PageTables, Translation};

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
