// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual machines: a kernel of the cache in QEMU, with our own init, which
//! runs programs and moves files for us. QEMU's monitor stands beside it: it
//! knows the machine's memory better than the machine itself.

mod agent;
mod builder;
mod command;
mod console;
mod cpio;
pub mod guest;
mod initramfs;
mod iomem;
mod machine;
mod process;
mod qemu;
mod qmp;
mod snapshot;
mod sparse;
mod transfer;

pub use builder::VmBuilder;
pub use command::{Args, run};
pub use console::Console;
pub use iomem::system_ram;
pub use machine::Vm;
pub use process::{GuestCommand, Output, Process};
pub use qmp::Qmp;
pub use snapshot::Snapshot;
