// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a call failed.

use linpmem_phys::Errno;

/// A failure: an errno and a message.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) errno: Errno,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(errno: Errno, message: impl Into<String>) -> Self {
        Self {
            errno,
            message: message.into(),
        }
    }

    /// An invalid argument.
    pub(crate) fn argument(message: &str) -> Self {
        Self::new(Errno::EINVAL, message)
    }
}

macro_rules! failures {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.errno(), error.to_string())
            }
        }
    )+};
}
failures!(
    ::linpmem::OpenError,
    ::linpmem::InfoError,
    ::linpmem::RequestError,
    ::linpmem::LoadError,
    ::linpmem::UnloadError,
);
