// SPDX-License-Identifier: GPL-2.0-only OR MIT OR Apache-2.0
//! What is known about a page, and how it is read.

/// What the kernel's page descriptor says about a page of System RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageState {
    /// In use or free, and readable.
    Online,
    /// Unplugged, or in a memory block that is offline.
    NotOnline,
    /// Marked offline within an online block: ballooned, or returned to the hypervisor.
    Offline,
    /// Not yet accepted from the hypervisor (TDX, SEV-SNP).
    Unaccepted,
    /// Poisoned: the hardware reported an uncorrectable error.
    Poisoned,
}

/// What the resource tree says about a page without System RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Touches a range that the firmware reserves (Reserved, ACPI Tables, or ACPI
    /// Non-volatile Storage), and no device.
    Firmware,
    /// Touches a ROM, which need not be cached, and no device.
    Rom,
    /// Device memory, or a hole.
    Other,
}

/// How a page is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Through the kernel's direct map.
    DirectMap,
    /// RAM of the kernel's image that is not in the direct map, through the mapping of the
    /// image (arm64).
    Image,
    /// RAM that is not in the direct map, through a mapping of the page.
    Alias,
    /// Firmware memory, through a mapping of the page that the processor caches. Where
    /// the kernel gives another one, these are registers, whatever the firmware calls
    /// them.
    Firmware,
    /// A ROM, through a mapping of the page.
    Rom,
    /// Device memory, by aligned loads through a mapping of the page.
    Device {
        /// Whether the mapping is cached.
        cached: bool,
    },
}
