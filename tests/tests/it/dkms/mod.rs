// SPDX-License-Identifier: MIT OR Apache-2.0
//! The DKMS package in a Debian system with the stable kernel, and what else `packaging/` has for
//! the device. What a test changes in the system is in a folder of its own.

mod compiled;
mod installed;
mod maintainer_scripts;
mod permissions;
mod refused;
mod signature;
mod system;
