// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fits linpmem's prebuilt kernel module to a kernel.

#![forbid(unsafe_code)]
