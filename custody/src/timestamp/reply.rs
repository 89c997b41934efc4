// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an authority answers.

use super::request::hexadecimal;
use super::tst_info::TstInfo;
use super::{Nonce, TimestampError};
use crate::bounded;
use cmpv2::status::PkiStatus;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString};
use der::oid::db::rfc5912::ID_SHA_256;
use der::{Decode, Encode};
use linpmem_manifest::Sha256Sum;
use std::path::Path;
use x509_tsp::TimeStampResp;

/// Authorities answer with some KiB: their certificates are the most of it.
pub const MAX_REPLY_BYTES: u64 = 256 << 10;

/// Signed data (RFC 5652, section 5.1).
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// What is signed is a [`TstInfo`] (RFC 3161, section 2.4.2).
pub(super) const TST_INFO: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

/// An answer with a timestamp, as it is in a `.tsr` file. That it was read says nothing of who
/// made it: [`verify`](Self::verify) does.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) info: TstInfo,
    /// The bytes of `info`, which are signed.
    pub(super) content: Vec<u8>,
    pub(super) signed: SignedData,
    /// The only one there may be.
    pub(super) signer: SignerInfo,
    imprint: Sha256Sum,
}

impl Reply {
    /// Reads the answer at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or has no timestamp.
    pub fn read(path: &Path) -> Result<Self, TimestampError> {
        let bytes = bounded::read_regular(path, MAX_REPLY_BYTES);
        let bytes = bytes.map_err(|source| TimestampError::File {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&bytes)
    }

    /// The answer in `bytes`.
    ///
    /// # Errors
    /// If it has no timestamp of a SHA-256.
    pub fn parse(bytes: &[u8]) -> Result<Self, TimestampError> {
        let malformed = TimestampError::malformed("an answer with a timestamp");
        let response = TimeStampResp::from_der(bytes).map_err(&malformed)?;
        let token = granted(response)?;
        if token.content_type != SIGNED_DATA {
            return Err(TimestampError::Invalid("it is not signed data"));
        }
        let signed: SignedData = token.content.decode_as().map_err(&malformed)?;
        let encapsulated = &signed.encap_content_info;
        if encapsulated.econtent_type != TST_INFO {
            return Err(TimestampError::Invalid("something else is signed"));
        }
        let content = encapsulated.econtent.as_ref();
        let content = content.ok_or(TimestampError::Invalid("nothing is signed"))?;
        let content: OctetString = content.decode_as().map_err(&malformed)?;
        let content = content.into_bytes();
        let info = TstInfo::from_der(&content).map_err(&malformed)?;
        let [signer] = signed.signer_infos.0.as_slice() else {
            return Err(TimestampError::Invalid("it has not one signer"));
        };
        let imprint = imprint(&info)?;
        Ok(Self {
            signer: signer.clone(),
            imprint,
            info,
            content,
            signed,
        })
    }

    /// Checks that `sum` was stamped.
    ///
    /// # Errors
    /// If something else was.
    pub fn check_imprint(&self, sum: Sha256Sum) -> Result<(), TimestampError> {
        match self.imprint == sum {
            true => Ok(()),
            false => Err(TimestampError::OtherManifest {
                found: self.imprint,
                wanted: sum,
            }),
        }
    }

    /// Checks that this is the answer to the request with `nonce`.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_nonce(&self, nonce: &Nonce) -> Result<(), TimestampError> {
        let found = self.info.nonce.clone().map(Nonce::new);
        if found.as_ref() == Some(nonce) {
            return Ok(());
        }
        Err(TimestampError::OtherNonce {
            found: found.map_or_else(|| "none".to_owned(), |found| format!("the nonce {found}")),
            wanted: nonce.clone(),
        })
    }

    /// When it was made, as the authority says: UTC, RFC 3339.
    #[must_use]
    pub fn time(&self) -> String {
        self.info.gen_time.to_string()
    }

    /// How far the time may be off, in microseconds, if the authority says that.
    #[must_use]
    pub fn accuracy_us(&self) -> Option<u64> {
        let accuracy = self.info.accuracy.as_ref()?;
        let part = |part: Option<i16>| u64::try_from(part.unwrap_or_default()).ok();
        accuracy
            .seconds
            .unwrap_or_default()
            .checked_mul(1_000_000)?
            .checked_add(part(accuracy.millis)? * 1000)?
            .checked_add(part(accuracy.micros)?)
    }

    /// The number of the timestamp among those of its authority, hexadecimal.
    #[must_use]
    pub fn serial(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = hexadecimal(&self.info.serial_number, &mut text);
        text
    }

    /// The rules by which it was made: an object identifier of the authority's.
    #[must_use]
    pub fn policy(&self) -> String {
        self.info.policy.to_string()
    }
}

/// The timestamp in `response`, if the authority gave one.
fn granted(response: TimeStampResp<'_>) -> Result<ContentInfo, TimestampError> {
    let TimeStampResp {
        status,
        time_stamp_token,
    } = response;
    match (status.status, time_stamp_token) {
        (PkiStatus::Accepted | PkiStatus::GrantedWithMods, Some(token)) => Ok(token),
        (status_of, _) => Err(TimestampError::Refused {
            status: format!("{status_of:?}"),
            text: status
                .status_string
                .into_iter()
                .flatten()
                .map(|line| format!(": {}", line.as_str()))
                .collect(),
        }),
    }
}

fn imprint(info: &TstInfo) -> Result<Sha256Sum, TimestampError> {
    let imprint = &info.message_imprint;
    let algorithm = &imprint.hash_algorithm.oid;
    if *algorithm != ID_SHA_256 {
        return Err(TimestampError::OtherHash(algorithm.to_string()));
    }
    Sha256Sum::try_from(imprint.hashed_message.as_bytes())
        .map_err(|_| TimestampError::Invalid("its SHA-256 has not 32 bytes"))
}

/// The attributes that are signed, as they are signed: a SET OF, without the tag that they have
/// in the message (RFC 5652, section 5.4).
pub(super) fn signed_bytes(signer: &SignerInfo) -> Result<Vec<u8>, TimestampError> {
    let attributes = signer.signed_attrs.as_ref();
    let attributes = attributes.ok_or(TimestampError::Invalid("it signs no attributes"))?;
    attributes
        .to_der()
        .map_err(TimestampError::malformed("a timestamp"))
}
