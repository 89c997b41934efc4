// SPDX-License-Identifier: MIT OR Apache-2.0
//! The dumper as a whole, on made-up memory and on the command line.

#![forbid(unsafe_code)]

#[cfg(test)]
#[cfg(not(all(
    feature = "encrypt",
    feature = "remote",
    feature = "report",
    feature = "sign",
    feature = "stores",
    feature = "timestamp",
)))]
mod absent;
#[cfg(test)]
mod aff4;
#[cfg(test)]
#[cfg(feature = "encrypt")]
mod age_itself;
#[cfg(test)]
mod arm64;
#[cfg(test)]
mod artifacts;
#[cfg(test)]
mod bounded;
#[cfg(test)]
#[cfg(feature = "report")]
mod browser;
#[cfg(test)]
#[cfg(feature = "inspect")]
mod checked;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod convert;
#[cfg(test)]
mod cut_off;
#[cfg(test)]
mod damage;
#[cfg(test)]
#[cfg(all(feature = "remote", feature = "stores"))]
mod doctor;
#[cfg(test)]
#[cfg(all(feature = "encrypt", feature = "remote", feature = "stores"))]
mod encrypted_elsewhere;
#[cfg(test)]
#[cfg(feature = "encrypt")]
mod encryption;
#[cfg(test)]
#[cfg(feature = "encrypt")]
mod encryption_ended;
#[cfg(test)]
mod ending;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hostile_files;
#[cfg(test)]
mod identity;
#[cfg(test)]
#[cfg(feature = "inspect")]
mod inspect;
#[cfg(test)]
#[cfg(feature = "inspect")]
mod inspect_files;
#[cfg(test)]
#[cfg(feature = "inspect")]
mod inspect_mounts;
#[cfg(test)]
mod json;
#[cfg(test)]
#[cfg(all(feature = "encrypt", feature = "mount"))]
mod mount;
#[cfg(test)]
#[cfg(all(feature = "encrypt", feature = "mount"))]
mod mount_ends;
#[cfg(test)]
#[cfg(feature = "mount")]
mod mount_kernel;
#[cfg(test)]
#[cfg(feature = "mount")]
mod mounted;
#[cfg(test)]
mod pasted;
#[cfg(test)]
#[cfg(feature = "stores")]
mod presigned;
#[cfg(test)]
mod raw_input;
#[cfg(test)]
mod read_back;
#[cfg(test)]
#[cfg(feature = "remote")]
mod remote;
#[cfg(test)]
#[cfg(feature = "report")]
mod report;
#[cfg(test)]
mod resident;
#[cfg(test)]
mod scale;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod second_pass;
#[cfg(test)]
#[cfg(feature = "stores")]
mod stores;
#[cfg(test)]
mod streams;
#[cfg(test)]
#[cfg(feature = "encrypt")]
mod swap_areas;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod unreadable;
#[cfg(test)]
#[cfg(all(feature = "sign", feature = "timestamp"))]
mod vouching;
