// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands, one file each: from arguments to a document.

pub mod acquire;
#[cfg(feature = "inspect")]
pub mod check;
pub mod compare;
pub mod custody;
mod custody_record;
mod diagnosis;
#[cfg(feature = "inspect")]
pub mod dmesg;
pub mod doctor;
pub mod extract;
mod file_output;
#[cfg(feature = "inspect")]
mod file_tables;
#[cfg(feature = "inspect")]
pub mod files;
#[cfg(feature = "stores")]
pub mod index;
pub mod info;
#[cfg(feature = "inspect")]
mod kept_swap;
#[cfg(feature = "inspect")]
mod kernel_symbols;
pub mod ls;
#[cfg(feature = "inspect")]
pub mod machine_in_image;
#[cfg(feature = "inspect")]
pub mod maps;
#[cfg(feature = "inspect")]
pub mod modules;
#[cfg(feature = "mount")]
pub mod mount;
#[cfg(feature = "inspect")]
pub mod mounts;
#[cfg(feature = "stores")]
pub mod presign;
#[cfg(feature = "inspect")]
pub mod ps;
pub mod ranges;
#[cfg(feature = "remote")]
pub mod receive;
pub mod recover;
mod recovered_name;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "sign")]
pub mod sign;
#[cfg(feature = "inspect")]
pub mod sockets;
pub mod symbols;
#[cfg(feature = "timestamp")]
pub mod timestamp;
pub mod verify;
mod verify_encrypted;
mod vouched_manifest;
mod vouching;
