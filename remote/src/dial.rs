// SPDX-License-Identifier: MIT OR Apache-2.0
//! One attempt to connect to a receiver.

use crate::address::Address;
use crate::error::SendError;
use crate::line::{HANDSHAKE, Line};
use crate::refusal::Refusal;
use crate::tls;
use rustls::{CertificateError, ClientConfig};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;

/// An attempt that failed.
pub(crate) enum Failure {
    /// There was no connection.
    Unreachable(String),
    /// It may work in a moment.
    Again(String),
    /// The receiver has no room for another one just now.
    Busy(String),
    /// It will not.
    Never(SendError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Again(error.to_string())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal.is_temporary {
            true => Self::Busy(format!("the receiver says: {refusal}")),
            false => Self::Never(SendError::Refused(refusal.reason)),
        }
    }
}

impl Failure {
    /// The failure to reach `address`, if it is not tried again.
    pub(crate) fn into_error(self, address: &Address) -> SendError {
        match self {
            Self::Never(error) => error,
            Self::Unreachable(reason) | Self::Again(reason) | Self::Busy(reason) => {
                SendError::Connect {
                    address: address.to_string(),
                    reason,
                }
            }
        }
    }
}

/// A connection to the receiver at `address`, which has shown its key.
///
/// # Errors
/// If it cannot be reached, or is another one.
pub(crate) fn connect(address: &Address, config: &Arc<ClientConfig>) -> Result<Line, Failure> {
    let (host, port) = address.endpoint();
    let mut failure = Failure::Unreachable(format!("{host} has no address"));
    let found = (host, port).to_socket_addrs();
    for found in found.map_err(|error| Failure::Unreachable(error.to_string()))? {
        match TcpStream::connect_timeout(&found, HANDSHAKE) {
            Ok(socket) => return greeted(socket, address, config),
            Err(error) => failure = Failure::Unreachable(format!("{found}: {error}")),
        }
    }
    Err(failure)
}

fn greeted(
    socket: TcpStream,
    address: &Address,
    config: &Arc<ClientConfig>,
) -> Result<Line, Failure> {
    let tls = tls::client(config).map_err(|error| Failure::Again(error.to_string()))?;
    match Line::new(socket, tls.into()) {
        Err(error) if is_wrong_key(&error) => Err(Failure::Never(SendError::WrongKey {
            address: address.to_string(),
        })),
        line => Ok(line?),
    }
}

fn is_wrong_key(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(
        inner,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure
        ))
    )
}
