// SPDX-License-Identifier: MIT OR Apache-2.0
//! Acquires the physical memory of a running Linux machine.
//!
//! A library only so that its parts can be tested from outside; the program is
//! `linpmem-dump`. [`pipeline`] shows how the parts go together.

#![forbid(unsafe_code)]

pub mod acquire;
pub mod aff4;
pub mod args;
pub mod checksum;
pub mod clock;
pub mod compare;
mod compression_choice;
mod crash_command;
pub mod digest;
pub mod driver;
pub mod evidence;
pub mod extract;
mod files;
mod frame;
pub mod freeze;
pub mod hashes;
mod host;
pub mod info;
pub mod manifest;
mod measure;
mod memory_map;
pub mod merkle;
pub mod naming;
pub mod notation;
mod outside;
mod pages;
pub mod pipeline;
pub mod progress;
pub mod ranges;
mod second_pass;
pub mod selection;
pub mod sink;
pub mod source;
mod source_sum;
pub mod stop;
mod stream;
pub mod summary;
pub mod symbols;
mod table;
pub mod verify;
mod writers;
