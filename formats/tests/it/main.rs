// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images written and read back, compared with golden files, taken to their
//! limits, damaged, and shown to other programs.

#![forbid(unsafe_code)]

#[cfg(test)]
mod aff4_dialects;
#[cfg(test)]
mod aff4_hostile;
#[cfg(test)]
mod aff4_images;
#[cfg(test)]
mod aff4_interop;
#[cfg(test)]
mod aff4_limits;
#[cfg(test)]
mod aff4_recover;
#[cfg(test)]
mod aff4_reference;
#[cfg(test)]
mod aff4_roundtrip;
#[cfg(test)]
mod aff4_volume;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod interop;
#[cfg(test)]
mod kcore_copies;
#[cfg(test)]
mod kdump;
#[cfg(test)]
mod kdump_pages;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod many_ranges;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod outputs;
#[cfg(test)]
mod records;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod roundtrip;
#[cfg(test)]
mod truncated;
