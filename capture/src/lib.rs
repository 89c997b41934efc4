// SPDX-License-Identifier: MIT OR Apache-2.0
//! The acquisition engine: from a source of physical memory to an image, its
//! manifest and its artifacts.

#![forbid(unsafe_code)]

mod acquire;
mod after_memory;
pub mod artifacts;
mod away;
pub mod buffer;
pub mod clock;
pub mod compare;
mod compression_choice;
mod content;
mod driver;
mod embedded_manifest;
mod encryption;
mod error;
mod events;
pub mod finish;
mod frame;
pub mod freeze;
pub mod hash;
mod host;
mod image_format;
mod image_writer;
#[cfg(feature = "stores")]
mod in_store;
mod input_hash;
mod kernel_page;
mod live_memory;
mod manifest_output;
pub mod meter;
mod output_set;
pub mod pages;
mod parts;
pub mod pipeline;
mod plan;
mod prefetch;
#[cfg(feature = "stores")]
mod presign;
mod random;
mod rate;
mod read_target;
pub mod reader;
pub mod readiness;
mod reading;
#[cfg(feature = "remote")]
pub mod receive;
mod remote;
mod second_pass;
mod section;
pub mod selection;
pub mod sidecar;
pub mod sink;
pub mod source;
mod spool;
pub mod stop;
mod stored;
mod timeout;
pub mod verify;
mod warnings;

pub use acquire::{Acquired, acquire, acquire_from};
pub use away::AwayError;
pub use content::is_encrypted;
pub use driver::DriverSpec;
pub use embedded_manifest::EmbeddedManifest;
pub use error::AcquireError;
pub use events::{Events, Silent};
pub use host::this_machine;
pub use image_format::{ImageFormat, Output, Shape, Stream};
#[cfg(feature = "stores")]
pub use in_store::{Arrival, StoredImage, images_in_store};
#[cfg(feature = "stores")]
pub use linpmem_objects::{Expiry, SignedBundle};
#[cfg(feature = "remote")]
pub use linpmem_remote::{Identity, IdentityError, Policy, Receipt, Token};
pub use parts::objects::{Bundle, BundleError, Location, LocationError, StoreError};
pub use parts::remote::{Address, AddressError};
pub use plan::{
    ArtifactsSpec, CaseDetails, Compression, HashSpec, ImageSpec, Impact, OnUnreadable, Plan,
    ReadOrder,
};
#[cfg(feature = "stores")]
pub use presign::{PresignSpec, presign};
pub use reading::{RawInput, Reading};
pub use remote::{Delivered, RemoteError, RemoteSpec};
pub use stored::{StoreSpec, Stored, StoringError};

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
