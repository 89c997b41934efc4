// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that go somewhere else than to a file of this machine.

use crate::remote::{Remote, RemoteError, RemoteSpec};
use crate::stored::{StoreSpec, Storing, StoringError};

/// An image that cannot begin to go there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AwayError {
    /// To another machine.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// To a store.
    #[error(transparent)]
    Store(#[from] StoringError),
}

/// Begins such images.
pub(crate) trait Away {
    /// To another machine.
    fn receiver(&self, spec: &RemoteSpec) -> Result<Remote, RemoteError>;

    /// To a store.
    fn store(&self, spec: &StoreSpec) -> Result<Storing, StoringError>;
}
