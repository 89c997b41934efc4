// SPDX-License-Identifier: GPL-2.0-only
//! The linpmem module for kernels with Rust.
//!
//! A thin shell: `linpmem_core` decides what may be read and how. [`device`] is
//! the file and [`ioctl`] its requests, [`running`] the kernel as the core sees
//! it, [`mapping`] and [`transfer`] how bytes are reached and handed over.

mod device;
mod ioctl;
// The core is shared with user space and with another shell: not every name in
// it is used here, and `pub` is for the crate that it is elsewhere.
#[allow(dead_code, unreachable_pub)]
#[path = "../core/src/lib.rs"]
mod linpmem_core;
mod mapping;
mod parameters;
mod running;
mod shim;
mod transfer;

use kernel::{error::to_result, prelude::*};

module! {
    type: Linpmem,
    name: "linpmem",
    authors: ["The linpmem developers"],
    description: "Reads physical memory: /dev/linpmem",
    license: "GPL",
    params: {
        major: u32 {
            default: 0,
            description: "device number of the original Linpmem, without /dev/linpmem (default: /dev/linpmem, and number 42 if it is free)",
        },
        owner_uid: u32 {
            default: 0xffffffff,
            description: "user id that may open the device beside holders of CAP_SYS_RAWIO (default: none)",
        },
        allow_device: u32 {
            default: 0,
            description: "1: openers may ask for device memory and holes (default: 0)",
        },
    },
}

#[pin_data(PinnedDrop)]
struct Linpmem {
    #[pin]
    device: device::Device,
}

impl kernel::InPlaceModule for Linpmem {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _: {
                // SAFETY: Called once, at load, before there is a device.
                to_result(unsafe { shim::linpmem_choose_copy() })?;
            },
            device <- device::Device::register(module, parameters::major()),
            _: {
                pr_info!("loaded\n");
            },
        })
    }
}

#[pinned_drop]
impl PinnedDrop for Linpmem {
    fn drop(self: Pin<&mut Self>) {
        pr_info!("unloaded\n");
    }
}
