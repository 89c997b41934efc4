// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both sides, over loopback, with whatever may happen to a connection in between.

#![forbid(unsafe_code)]

#[cfg(test)]
mod kept;
#[cfg(test)]
mod probing;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod sending;
#[cfg(test)]
mod strangers;
