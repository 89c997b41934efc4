// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands, one file each: from arguments to a document.

pub mod acquire;
pub mod compare;
pub mod custody;
mod custody_record;
mod diagnosis;
pub mod doctor;
pub mod extract;
mod file_output;
#[cfg(feature = "stores")]
pub mod index;
pub mod info;
pub mod ls;
#[cfg(feature = "stores")]
pub mod presign;
pub mod ranges;
#[cfg(feature = "remote")]
pub mod receive;
pub mod recover;
mod recovered_name;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "sign")]
pub mod sign;
pub mod symbols;
#[cfg(feature = "timestamp")]
pub mod timestamp;
pub mod verify;
mod verify_encrypted;
mod vouched_manifest;
mod vouching;
