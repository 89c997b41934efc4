// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an authority that the user trusts made a timestamp.

use super::reply::{Reply, signed_bytes};
use super::{Authorities, TimestampError};
use cms::cert::CertificateChoices;
use cms::signed_data::SignerIdentifier;
use der::asn1::ObjectIdentifier;
use der::oid::db::rfc5280::ID_KP_TIME_STAMPING;
use der::oid::db::rfc5912::{ID_SHA_256, ID_SHA_384, ID_SHA_512};
use der::{Decode, Encode};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use std::time::{Duration, SystemTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectKeyIdentifier};

/// id-kp-timeStamping, 1.3.6.1.5.5.7.3.8, as DER has it.
const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];

/// Who made a timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Whom its certificate names.
    pub subject: String,
    /// Whether its certificate was valid when the timestamp was made, and is not any more.
    pub has_expired: bool,
}

impl Reply {
    /// Checks the signature, and that the signer's certificate was made for timestamps and leads
    /// to one of `authorities`, all of them valid when the timestamp was made. Whether one was
    /// revoked since is not asked.
    ///
    /// # Errors
    /// If the timestamp is not by such an authority.
    pub fn verify(&self, authorities: &Authorities) -> Result<Authority, TimestampError> {
        let certificate = self.certificate()?;
        let subject = certificate.tbs_certificate.subject.to_string();
        let untrusted = |reason: String| TimestampError::Untrusted {
            subject: subject.clone(),
            reason,
        };
        let malformed = TimestampError::malformed("a timestamp");
        let der = certificate.to_der().map_err(&malformed)?;
        self.check_attributes(&der)?;
        check_usage(certificate).map_err(|reason| untrusted(reason.to_owned()))?;

        let der = CertificateDer::from(der);
        let signer = EndEntityCert::try_from(&der).map_err(|error| untrusted(in_words(error)))?;
        self.check_signature(&signer)?;
        let others: Result<Vec<_>, _> = self
            .certificates()
            .map(|other| other.to_der().map(CertificateDer::from))
            .collect();
        let others = others.map_err(&malformed)?;
        let at = self.info.gen_time.since_epoch();
        leads_to(authorities, &signer, &others, at).map_err(untrusted)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let is_over = |now| at <= now && leads_to(authorities, &signer, &others, now).is_err();
        Ok(Authority {
            has_expired: now.is_ok_and(is_over),
            subject,
        })
    }

    fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        let all = self.signed.certificates.iter().flat_map(|set| set.0.iter());
        all.filter_map(|choice| match choice {
            CertificateChoices::Certificate(certificate) => Some(certificate),
            CertificateChoices::Other(_) => None,
        })
    }

    /// The signer's certificate.
    fn certificate(&self) -> Result<&Certificate, TimestampError> {
        let is_signers = |certificate: &&Certificate| {
            let fields = &certificate.tbs_certificate;
            match &self.signer.sid {
                SignerIdentifier::IssuerAndSerialNumber(wanted) => {
                    fields.issuer == wanted.issuer && fields.serial_number == wanted.serial_number
                }
                SignerIdentifier::SubjectKeyIdentifier(wanted) => fields
                    .get::<SubjectKeyIdentifier>()
                    .is_ok_and(|found| found.is_some_and(|(_, found)| found == *wanted)),
            }
        };
        let mut certificates = self.certificates();
        certificates.find(is_signers).ok_or(TimestampError::Invalid(
            "the certificate of its signer is not in it: ask for it with the timestamp",
        ))
    }

    fn check_signature(&self, signer: &EndEntityCert<'_>) -> Result<(), TimestampError> {
        let message = signed_bytes(&self.signer)?;
        let candidates = algorithms(
            &self.signer.signature_algorithm.oid,
            &self.signer.digest_alg.oid,
        );
        let mut reason = None;
        for algorithm in candidates {
            let signature = self.signer.signature.as_bytes();
            match signer.verify_signature(*algorithm, &message, signature) {
                Ok(()) => return Ok(()),
                // Another curve's turn.
                Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
                Err(error) => reason = Some(error.to_string()),
            }
        }
        Err(match reason {
            Some(reason) => TimestampError::WrongSignature(reason),
            None => {
                let algorithm = &self.signer.signature_algorithm.oid;
                TimestampError::UnknownAlgorithm(algorithm.to_string())
            }
        })
    }
}

/// RFC 3161, section 2.3: the certificate is for timestamps, for nothing else, and says so to
/// whoever checks it.
fn check_usage(certificate: &Certificate) -> Result<(), &'static str> {
    let usage = certificate.tbs_certificate.get::<ExtendedKeyUsage>();
    match usage {
        Ok(Some((true, usage))) if usage.0 == [ID_KP_TIME_STAMPING] => Ok(()),
        _ => Err("it is not one for timestamps alone (extended key usage timeStamping, critical)"),
    }
}

/// Checks that `signer` leads to one of `authorities` over some of `others`, and that all of
/// these are valid `at` this time, since 1970.
fn leads_to(
    authorities: &Authorities,
    signer: &EndEntityCert<'_>,
    others: &[CertificateDer<'_>],
    at: Duration,
) -> Result<(), String> {
    // webpki takes those that are trusted for valid at all times.
    let valid = authorities.der().iter().filter(|der| is_valid(der, at));
    let anchors: Result<Vec<_>, _> = valid.map(anchor_from_trusted_cert).collect();
    let anchors = anchors.map_err(|error| format!("a certificate that is trusted: {error}"))?;
    if anchors.is_empty() {
        return Err("no certificate that is trusted was valid at the time".to_owned());
    }
    let path = signer.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        others,
        UnixTime::since_unix_epoch(at),
        // The signer has it, or else was refused already; authorities above it need not.
        KeyUsage::required_if_present(TIME_STAMPING),
        None,
        None,
    );
    path.map(drop).map_err(in_words)
}

/// What webpki has names for, in words.
fn in_words(error: webpki::Error) -> String {
    let words = match error {
        webpki::Error::UnknownIssuer => "no certificate that is trusted vouches for it",
        webpki::Error::CertExpired { .. } => "a certificate had expired at the time",
        webpki::Error::CertNotValidYet { .. } => "a certificate was not valid yet at the time",
        webpki::Error::CaUsedAsEndEntity => "it is that of a certificate authority",
        webpki::Error::UnsupportedCertVersion => "it has an old version without extensions",
        other => return other.to_string(),
    };
    words.to_owned()
}

/// Whether the certificate `der` is valid `at` this time.
fn is_valid(der: &[u8], at: Duration) -> bool {
    Certificate::from_der(der).is_ok_and(|certificate| {
        let validity = certificate.tbs_certificate.validity;
        let [from, to] = [validity.not_before, validity.not_after].map(|it| it.to_unix_duration());
        from <= at && at <= to
    })
}

/// What a signature of this kind can be checked by.
fn algorithms(
    signature: &ObjectIdentifier,
    digest: &ObjectIdentifier,
) -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    const RSA_256: &[&dyn SignatureVerificationAlgorithm] = &[ring::RSA_PKCS1_2048_8192_SHA256];
    const RSA_384: &[&dyn SignatureVerificationAlgorithm] = &[ring::RSA_PKCS1_2048_8192_SHA384];
    const RSA_512: &[&dyn SignatureVerificationAlgorithm] = &[ring::RSA_PKCS1_2048_8192_SHA512];
    const ECDSA_256: &[&dyn SignatureVerificationAlgorithm] =
        &[ring::ECDSA_P256_SHA256, ring::ECDSA_P384_SHA256];
    const ECDSA_384: &[&dyn SignatureVerificationAlgorithm] =
        &[ring::ECDSA_P256_SHA384, ring::ECDSA_P384_SHA384];
    const ED25519: &[&dyn SignatureVerificationAlgorithm] = &[ring::ED25519];
    // RFC 8017 and RFC 5758, and the bare key's of RFC 3370, which leaves the hash to the other
    // field.
    match (signature.to_string().as_str(), *digest) {
        ("1.2.840.113549.1.1.11", _) | ("1.2.840.113549.1.1.1", ID_SHA_256) => RSA_256,
        ("1.2.840.113549.1.1.12", _) | ("1.2.840.113549.1.1.1", ID_SHA_384) => RSA_384,
        ("1.2.840.113549.1.1.13", _) | ("1.2.840.113549.1.1.1", ID_SHA_512) => RSA_512,
        ("1.2.840.10045.4.3.2", _) => ECDSA_256,
        ("1.2.840.10045.4.3.3", _) => ECDSA_384,
        ("1.3.101.112", _) => ED25519,
        _ => &[],
    }
}
