// SPDX-License-Identifier: GPL-2.0-only
//! The linpmem module for kernels with Rust: /dev/linpmem.
//!
//! A thin shell. `linpmem_core` decides what may be read and how; [`kernel`]
//! and [`transfer`] do it; [`device`] is the file.

mod device;
// The core is shared with user space and with another shell: not every name in
// it is used here, and `pub` is for the crate that it is elsewhere.
#[allow(dead_code, unreachable_pub)]
#[path = "../core/src/lib.rs"]
mod linpmem_core;
mod running;
mod transfer;

use kernel::prelude::*;

module! {
    type: Linpmem,
    name: "linpmem",
    authors: ["The linpmem developers"],
    description: "Reads physical memory: /dev/linpmem",
    license: "GPL",
}

#[pin_data]
struct Linpmem {
    #[pin]
    _device: device::Device,
}

impl kernel::InPlaceModule for Linpmem {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _device <- device::Device::register(module),
        })
    }
}
