// SPDX-License-Identifier: GPL-2.0-only
//! The linpmem module for kernels with Rust.
//!
//! This is a thin shell: `linpmem_core` decides what may be read, and how. [`device`]
//! implements the file; [`transfer`] copies to the caller; [`hotplug`] keeps the pages
//! there until they are copied. ../shell/ is shared with the prebuilt module: [`ioctl`]
//! and [`running`] give the core access to the caller and the kernel, [`mapping`] maps
//! pages, and [`arch`] is what differs between processors.

#[cfg_attr(CONFIG_ARM64, path = "../shell/arm64.rs")]
#[cfg_attr(CONFIG_X86_64, path = "../shell/x86.rs")]
mod arch;
mod device;
#[path = "../shell/device_memory.rs"]
mod device_memory;
mod hotplug;
#[path = "../shell/ioctl.rs"]
mod ioctl;
// User space uses the core as an ordinary crate. That is what its `pub` items are
// for, and why some of them are not used here.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../core/src/lib.rs"]
mod linpmem_core;
#[path = "../shell/mapping.rs"]
mod mapping;
mod parameters;
mod resources;
#[path = "../shell/running.rs"]
mod running;
mod shim;
mod transfer;
mod vmcoreinfo;

// What the files of ../shell/ take from here.
use kernel::bindings;

use kernel::{error::to_result, prelude::*};
use linpmem_core::Errno;

module! {
    type: Linpmem,
    name: "linpmem",
    authors: ["The linpmem developers"],
    description: "Reads physical memory: /dev/linpmem",
    license: "GPL",
    params: {
        major: u32 {
            default: 0,
            description: "register this character device number and no /dev/linpmem (default: register /dev/linpmem, and number 42 if it is free)",
        },
        owner_uid: u32 {
            default: 0xffffffff,
            description: "id of a user who may open the device without CAP_SYS_RAWIO (default: none)",
        },
        allow_device: u32 {
            default: 0,
            description: "1: allow requests to read device memory and holes (default: 0)",
        },
        copy: u32 {
            default: 0,
            description: "how memory is copied: 1: the kernel's copy, 2: the module's loop (default: 0, whichever is faster and safe)",
        },
    },
}

#[pin_data(PinnedDrop)]
struct Linpmem {
    #[pin]
    device: device::Device,
    /// Dropped after the device: its readers rely on it.
    watch: hotplug::Watch,
}

impl kernel::InPlaceModule for Linpmem {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _: {
                check_parameters()?;
                // SAFETY: Called once, when the module loads, before the device exists.
                to_result(unsafe { shim::linpmem_choose_copy(parameters::copy()) })?;
            },
            watch: hotplug::Watch::start()?,
            device <- device::Device::register(module, parameters::major()),
            _: {
                pr_info!("loaded\n");
            },
        })
    }
}

/// Refuses what this architecture does not support.
fn check_parameters() -> Result {
    if parameters::device_allowed() && !arch::MAPS_DEVICES {
        pr_err!(
            "allow_device=1 is not supported on this architecture: \
             a load from a device that does not answer stops the machine\n"
        );
        return Err(Errno::EOPNOTSUPP.into());
    }
    Ok(())
}

#[pinned_drop]
impl PinnedDrop for Linpmem {
    fn drop(self: Pin<&mut Self>) {
        pr_info!("unloaded\n");
    }
}
