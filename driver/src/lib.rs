// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads physical memory through the linpmem module.
//!
//! ```no_run
//! use linpmem::Device;
//! use linpmem_phys::{PhysAddr, ReadPhys, Unreadables};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::open()?;
//! println!("{} address bits", device.info()?.phys_bits);
//!
//! let mut page = [0; 4096];
//! let mut unreadable = Unreadables::new();
//! device.read_phys(PhysAddr::new(0x10_0000), &mut page, &mut unreadable)?;
//! if unreadable.is_empty() {
//!     println!("the first byte above 1 MiB is {:#04x}", page[0]);
//! }
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]

mod access;
mod device;
mod error;
mod info;
mod read;
mod sys;
mod translate;

pub use access::{Access, Caching, Width};
pub use device::{DEFAULT_PATH, Device};
pub use error::{InfoError, OpenError, RequestError};
pub use info::{Info, Version};
pub use translate::{AddressSpace, Entry, Mapped, Outcome, PageTables, Translation};
