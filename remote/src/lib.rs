// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image on its way to another machine.
//!
//! The machine whose memory is read connects out to a [`Receiver`], whose address says which
//! public key it has and carries a secret: both sides know whom they talk to, in TLS 1.3 without
//! certificates. What is sent is numbered; the receiver says up to which number everything is on
//! its disk, and only then does the sender let go of it. A connection that breaks is made again
//! and goes on from there, so no page of memory is read twice. In the end the receiver compares
//! all sums and signs a [`Receipt`].
//!
//! What is written, and where, is up to whoever implements [`Store`]. docs/remote.md describes the
//! protocol.

#![forbid(unsafe_code)]

mod address;
mod admission;
mod broken;
mod claim;
mod dial;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod identity;
mod line;
mod message;
mod probe;
mod queue;
mod receiver;
mod refusal;
mod run_id;
mod secret;
mod sender;
mod serving;
mod store;
mod tls;
mod wake;
mod wire;

pub use address::{Address, AddressError};
pub use admission::Policy;
pub use error::SendError;
pub use identity::{Identity, IdentityError, PublicKey, Signature};
pub use message::{Finish, Hello, Receipt, SignedReceipt, Stream};
pub use probe::{Probed, probe};
pub use queue::MOST_QUEUED_BYTES;
pub use receiver::Receiver;
pub use refusal::Refusal;
pub use run_id::RunId;
pub use secret::Token;
pub use sender::{LineState, Patience, Sender};
pub use store::{Opened, Session, Store};
pub use wake::Wake;

// The example of the README is a test as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
