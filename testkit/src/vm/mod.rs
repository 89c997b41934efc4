// SPDX-License-Identifier: MIT OR Apache-2.0
//! Virtual machines: a kernel of the cache in QEMU, with an init of our own that runs
//! programs and transfers files. QEMU's monitor gives an independent view: it knows the
//! machine's memory better than the machine itself.

mod agent;
mod builder;
mod console;
mod cpio;
mod crash_kernel;
mod device_tree;
pub mod guest;
mod initramfs;
pub mod iomem;
mod machine;
mod network;
mod process;
mod qemu;
mod qmp;
mod snapshot;
mod sparse;
mod transfer;

pub use builder::VmBuilder;
pub use console::Console;
pub use device_tree::ReservedMemory;
pub use machine::Vm;
pub use network::from_guest;
pub use process::{GuestCommand, Output, Process};
pub use qmp::Qmp;
pub use snapshot::Snapshot;
