// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an authority is asked.

use super::TimestampError;
use der::asn1::{Int, OctetString};
use der::oid::db::rfc5912::ID_SHA_256;
use der::{Any, Decode, Encode};
use linpmem_manifest::Sha256Sum;
use std::fmt;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_tsp::{MessageImprint, TimeStampReq, TspVersion};

/// Ours has 77; one with extensions may have some more.
pub const MAX_REQUEST_BYTES: u64 = 4 << 10;

/// A number that an answer has to repeat, so that it is not an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(Int);

impl Nonce {
    pub(super) const fn new(number: Int) -> Self {
        Self(number)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

/// A number of any length.
pub(super) fn hexadecimal(number: &Int, f: &mut impl fmt::Write) -> fmt::Result {
    f.write_str("0x")?;
    let bytes = number.as_bytes().iter();
    bytes
        .skip_while(|byte| **byte == 0)
        .try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// A request (RFC 3161, section 2.4.1).
#[derive(Clone, Debug)]
pub struct Request(TimeStampReq);

impl Request {
    /// Asks for a timestamp of `sum`, with the certificates that are needed to check it.
    ///
    /// # Errors
    /// Never in practice: the numbers have a fixed length.
    pub fn new(sum: Sha256Sum, mut random: [u8; 16]) -> Result<Self, TimestampError> {
        // Positive, and always of the same length.
        if let Some(first) = random.first_mut() {
            *first = (*first & 0x7f) | 0x40;
        }
        let make = || -> der::Result<TimeStampReq> {
            Ok(TimeStampReq {
                version: TspVersion::V1,
                message_imprint: MessageImprint {
                    hash_algorithm: AlgorithmIdentifierOwned {
                        oid: ID_SHA_256,
                        parameters: Some(Any::null()),
                    },
                    hashed_message: OctetString::new(sum.as_bytes().as_slice())?,
                },
                req_policy: None,
                nonce: Some(Int::new(&random)?),
                cert_req: true,
                extensions: None,
            })
        };
        make()
            .map(Self)
            .map_err(TimestampError::malformed("a request"))
    }

    /// The request in a `.tsq` file.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, TimestampError> {
        TimeStampReq::from_der(bytes)
            .map(Self)
            .map_err(TimestampError::malformed("a request for a timestamp"))
    }

    /// The bytes that go to the authority.
    ///
    /// # Errors
    /// Never in practice.
    pub fn to_der(&self) -> Result<Vec<u8>, TimestampError> {
        let bytes = self.0.to_der();
        bytes.map_err(TimestampError::malformed("a request"))
    }

    /// What the answer has to repeat.
    #[must_use]
    pub fn nonce(&self) -> Option<Nonce> {
        self.0.nonce.clone().map(Nonce)
    }
}
