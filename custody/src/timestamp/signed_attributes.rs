// SPDX-License-Identifier: MIT OR Apache-2.0
//! The attributes that the authority signs, and what they tie together: the content, and the
//! certificate that is to check it.

use super::TimestampError;
use super::reply::{Reply, TST_INFO};
use der::asn1::{ObjectIdentifier, OctetString};
use der::oid::db::rfc5912::{ID_SHA_256, ID_SHA_384, ID_SHA_512};
use der::{Any, Choice, DecodeValue, Sequence};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// RFC 5652, section 11.1.
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
/// RFC 5652, section 11.2.
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// RFC 2634, section 5.4.
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
/// RFC 5035, section 3.
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

/// `SigningCertificate` of RFC 2634.
#[derive(Sequence)]
struct SigningCertificate {
    certs: Vec<EssCertId>,
    #[asn1(optional = "true")]
    policies: Option<Any>,
}

/// The SHA-1 of a certificate.
#[derive(Sequence)]
struct EssCertId {
    cert_hash: OctetString,
    #[asn1(optional = "true")]
    issuer_serial: Option<Any>,
}

/// `SigningCertificateV2` of RFC 5035.
#[derive(Sequence)]
struct SigningCertificateV2 {
    certs: Vec<EssCertIdV2>,
    #[asn1(optional = "true")]
    policies: Option<Any>,
}

/// The hash of a certificate: a SHA-256, unless another is named.
#[derive(Sequence)]
struct EssCertIdV2 {
    #[asn1(optional = "true")]
    hash_algorithm: Option<AlgorithmIdentifierOwned>,
    cert_hash: OctetString,
    #[asn1(optional = "true")]
    issuer_serial: Option<Any>,
}

impl Reply {
    /// Checks that the signed attributes are about the content, and about `certificate`, the
    /// DER of the signer's.
    pub(super) fn check_attributes(&self, certificate: &[u8]) -> Result<(), TimestampError> {
        let invalid = TimestampError::Invalid;
        let kind: ObjectIdentifier = self
            .attribute(CONTENT_TYPE)?
            .ok_or(invalid("it does not sign what kind of content it has"))?;
        if kind != TST_INFO {
            return Err(invalid("another kind of content was signed"));
        }
        let digest: OctetString = self
            .attribute(MESSAGE_DIGEST)?
            .ok_or(invalid("it does not sign the hash of its content"))?;
        let algorithm = &self.signer.digest_alg.oid;
        let expected = hash(algorithm, &self.content)
            .ok_or_else(|| TimestampError::UnknownAlgorithm(algorithm.to_string()))?;
        if digest.as_bytes() != expected {
            return Err(TimestampError::WrongSignature(
                "other content was signed".to_owned(),
            ));
        }
        match self.names(certificate)? {
            Some(true) => Ok(()),
            Some(false) => Err(invalid("it was signed for another certificate")),
            None => Err(invalid("it does not sign which certificate checks it")),
        }
    }

    /// Whether the signer meant `certificate`, the first that it names; `None` if it names none.
    fn names(&self, certificate: &[u8]) -> Result<Option<bool>, TimestampError> {
        if let Some(named) = self.attribute::<SigningCertificateV2>(SIGNING_CERTIFICATE_V2)? {
            let Some(first) = named.certs.first() else {
                return Ok(None);
            };
            let algorithm = first.hash_algorithm.as_ref();
            let algorithm = algorithm.map_or(ID_SHA_256, |algorithm| algorithm.oid);
            let found = hash(&algorithm, certificate);
            return Ok(Some(
                found.is_some_and(|found| found == first.cert_hash.as_bytes()),
            ));
        }
        let named = self.attribute::<SigningCertificate>(SIGNING_CERTIFICATE)?;
        let first = named.as_ref().and_then(|named| named.certs.first());
        let is_meant =
            |first: &EssCertId| *Sha1::digest(certificate) == *first.cert_hash.as_bytes();
        Ok(first.map(is_meant))
    }

    /// The value of the signed attribute `kind`, of which there may be one.
    fn attribute<T>(&self, kind: ObjectIdentifier) -> Result<Option<T>, TimestampError>
    where
        T: for<'a> Choice<'a> + for<'a> DecodeValue<'a>,
    {
        let attributes = self.signer.signed_attrs.iter().flat_map(|all| all.iter());
        let mut found = attributes.filter(|attribute| attribute.oid == kind);
        let Some(attribute) = found.next() else {
            return Ok(None);
        };
        let value = match (attribute.values.as_slice(), found.next()) {
            ([value], None) => value.decode_as(),
            _ => return Err(TimestampError::Invalid("a signed attribute is there twice")),
        };
        value
            .map(Some)
            .map_err(TimestampError::malformed("a timestamp"))
    }
}

/// The hash of `bytes` by the algorithm with this identifier, if it is good enough to sign.
fn hash(algorithm: &ObjectIdentifier, bytes: &[u8]) -> Option<Vec<u8>> {
    match *algorithm {
        ID_SHA_256 => Some(Sha256::digest(bytes).to_vec()),
        ID_SHA_384 => Some(Sha384::digest(bytes).to_vec()),
        ID_SHA_512 => Some(Sha512::digest(bytes).to_vec()),
        _ => None,
    }
}
