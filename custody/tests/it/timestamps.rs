// SPDX-License-Identifier: MIT OR Apache-2.0
//! OpenSSL stamps what we ask it to, accepts what we keep, and cannot be imitated.

use cmpv2::status::{PkiStatus, PkiStatusInfo};
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::asn1::OctetString;
use der::{Decode, Encode};
use linpmem_custody::digest::sha256_of;
use linpmem_custody::timestamp::{Authorities, Reply, Request, TimestampError};
use linpmem_manifest::Sha256Sum;
use linpmem_testkit::timestamp_authority::{TimestampAuthority, Traits};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use x509_tsp::TimeStampResp;

const CONTENT: &[u8] = b"{\"header\":{}}\n";

struct Fixture {
    folder: TempDir,
    authority: TimestampAuthority,
}

impl Fixture {
    fn new(traits: &Traits<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = TimestampAuthority::create(folder.path(), traits).unwrap();
        Self { folder, authority }
    }

    fn trusted(&self) -> Authorities {
        Authorities::read(&self.authority.root()).unwrap()
    }

    /// The answer to a request for a timestamp of `CONTENT`.
    fn answer(&self) -> Vec<u8> {
        self.authority.answer(&request().to_der().unwrap()).unwrap()
    }

    fn verify(&self) -> Result<(), TimestampError> {
        let reply = Reply::parse(&self.answer())?;
        reply.verify(&self.trusted()).map(drop)
    }
}

fn sum() -> Sha256Sum {
    sha256_of(CONTENT).unwrap()
}

fn request() -> Request {
    Request::new(sum(), [7; 16]).unwrap()
}

fn accepted_by_both(traits: &Traits<'_>) {
    let fixture = Fixture::new(traits);
    let path = |name: &str| fixture.folder.path().join(name);
    let answer = fixture.answer();
    fs::write(path("tsr"), &answer).unwrap();
    fs::write(path("data"), CONTENT).unwrap();
    fixture
        .authority
        .accepts(&path("tsr"), &path("data"))
        .unwrap();

    let reply = Reply::read(&path("tsr")).unwrap();
    reply.check_imprint(sum()).unwrap();
    reply.check_nonce(&request().nonce().unwrap()).unwrap();
    let authority = reply.verify(&fixture.trusted()).unwrap();
    assert_eq!(authority.subject, "CN=Test \u{202e}TSA");
    assert!(!authority.has_expired);
    assert_eq!(reply.policy(), "1.2.3.4.1");
    assert_eq!(reply.serial(), "0x02");
    assert_eq!(reply.accuracy_us(), Some(1_500_000));
    assert!(reply.time().starts_with("20"), "{}", reply.time());
}

#[test]
fn what_openssl_stamps_is_accepted_with_every_kind_of_key() {
    accepted_by_both(&Traits::default());
    accepted_by_both(&Traits {
        key: &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        certificate_hash: "sha1",
        digits: 3,
        ..Traits::default()
    });
    accepted_by_both(&Traits {
        key: &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        certificate_hash: "sha512",
        ..Traits::default()
    });
}

#[test]
fn a_request_is_read_back_as_openssl_reads_it() {
    let der = request().to_der().unwrap();
    assert_eq!(der.len(), 77);
    let read = Request::parse(&der).unwrap();
    assert_eq!(read.nonce(), request().nonce());
    assert_eq!(
        read.nonce().unwrap().to_string(),
        "0x47070707070707070707070707070707"
    );
    assert!(Request::parse(&der[..76]).is_err());
    // High and low bytes of the nonce stay one positive number.
    for random in [[0xff; 16], [0; 16]] {
        let der = Request::new(sum(), random).unwrap().to_der().unwrap();
        assert_eq!(der.len(), 77);
        let fixture = Fixture::new(&Traits::default());
        let reply = Reply::parse(&fixture.authority.answer(&der).unwrap()).unwrap();
        reply
            .check_nonce(&Request::parse(&der).unwrap().nonce().unwrap())
            .unwrap();
    }
}

#[test]
fn a_timestamp_is_of_one_manifest_and_one_request() {
    let fixture = Fixture::new(&Traits::default());
    let reply = Reply::parse(&fixture.answer()).unwrap();
    let other = reply.check_imprint(Sha256Sum::new([1; 32]));
    assert!(matches!(other, Err(TimestampError::OtherManifest { .. })));
    let nonce = Request::new(sum(), [8; 16]).unwrap().nonce().unwrap();
    let other = reply.check_nonce(&nonce);
    assert!(matches!(other, Err(TimestampError::OtherNonce { .. })));
}

#[test]
fn a_stranger_is_not_trusted() {
    let [fixture, stranger] = [Traits::default(); 2].map(|traits| Fixture::new(&traits));
    let reply = Reply::parse(&fixture.answer()).unwrap();
    let error = reply.verify(&stranger.trusted()).unwrap_err();
    assert!(matches!(error, TimestampError::Untrusted { .. }), "{error}");
}

#[test]
fn certificates_have_to_be_valid_and_for_timestamps() {
    let old = ["20200101000000Z", "20210101000000Z"];
    let coming = ["20980101000000Z", "20990101000000Z"];
    for traits in [
        Traits {
            valid: old,
            ..Traits::default()
        },
        Traits {
            valid: coming,
            ..Traits::default()
        },
        Traits {
            authority_valid: old,
            ..Traits::default()
        },
        Traits {
            authority_valid: coming,
            ..Traits::default()
        },
    ] {
        let error = Fixture::new(&traits).verify().unwrap_err();
        assert!(matches!(error, TimestampError::Untrusted { .. }), "{error}");
    }
}

/// What is stated in `answer`: the content that is signed.
fn statement(answer: &[u8]) -> Vec<u8> {
    let response = TimeStampResp::from_der(answer).unwrap();
    let token = response.time_stamp_token.unwrap();
    let signed: SignedData = token.content.decode_as().unwrap();
    let content = signed.encap_content_info.econtent.unwrap();
    let content: OctetString = content.decode_as().unwrap();
    content.into_bytes()
}

/// An answer with `token`.
fn answer_with(token: &[u8]) -> Vec<u8> {
    let response = TimeStampResp {
        status: PkiStatusInfo {
            status: PkiStatus::Accepted,
            status_string: None,
            fail_info: None,
        },
        time_stamp_token: Some(ContentInfo::from_der(token).unwrap()),
    };
    response.to_der().unwrap()
}

#[test]
fn the_certificate_is_for_timestamps_and_nothing_else() {
    let statement = statement(&Fixture::new(&Traits::default()).answer());
    for (usage, is_good) in [
        ("critical,timeStamping", true),
        ("timeStamping", false),
        ("critical,serverAuth", false),
        ("critical,timeStamping,serverAuth", false),
    ] {
        let fixture = Fixture::new(&Traits {
            usage,
            ..Traits::default()
        });
        let token = fixture.authority.sign(&statement).unwrap();
        let reply = Reply::parse(&answer_with(&token)).unwrap();
        match reply.verify(&fixture.trusted()) {
            Ok(_) => assert!(is_good, "{usage}"),
            Err(error) => {
                assert!(!is_good, "{usage}: {error}");
                assert!(error.to_string().contains("timestamps alone"), "{error}");
            }
        }
    }
}

#[test]
fn the_certificate_is_the_one_that_was_meant() {
    let fixture = Fixture::new(&Traits::default());
    let answer = fixture.answer();
    let reply = Reply::parse(&answer).unwrap();
    reply.verify(&fixture.trusted()).unwrap();
    // The hash of the certificate is signed: without the attribute, any would do.
    let statement = statement(&answer);
    let without = fixture.authority.sign_plainly(&statement).unwrap();
    let reply = Reply::parse(&answer_with(&without)).unwrap();
    let error = reply.verify(&fixture.trusted()).unwrap_err().to_string();
    assert!(error.contains("which certificate"), "{error}");
}

#[test]
fn every_byte_of_a_timestamp_counts() {
    let fixture = Fixture::new(&Traits::default());
    let answer = fixture.answer();
    let trusted = fixture.trusted();
    let whole = Reply::parse(&answer).unwrap();
    whole.verify(&trusted).unwrap();
    for at in 0..answer.len() {
        assert!(Reply::parse(&answer[..at]).is_err(), "{at}");
        let mut changed = answer.clone();
        changed[at] ^= 1;
        let Ok(reply) = Reply::parse(&changed) else {
            continue;
        };
        let verified = reply
            .check_imprint(sum())
            .and_then(|()| reply.verify(&trusted));
        let Ok(authority) = verified else {
            continue;
        };
        // The signature is the last that there is.
        let is_signature = at + 64 > answer.len();
        assert!(!is_signature, "{at}: another signature is accepted");
        // Outside the signature there are the status, versions and algorithms that are not used,
        // and certificates that are not needed. What it says is the same.
        assert_eq!(authority.subject, "CN=Test \u{202e}TSA", "{at}");
        assert_eq!(
            (reply.time(), reply.serial(), reply.policy()),
            (whole.time(), whole.serial(), whole.policy()),
            "{at}"
        );
    }
    let longer = [answer, vec![0]].concat();
    assert!(Reply::parse(&longer).is_err());
}

#[test]
fn a_refusal_says_why() {
    let fixture = Fixture::new(&Traits::default());
    // A hash that the authority does not take, for one that it does not know.
    let mut der = request().to_der().unwrap();
    let sha256 = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
    let at = der.windows(9).position(|window| window == sha256).unwrap();
    der[at + 8] = 4;
    let answer = fixture.authority.answer(&der).unwrap();
    let error = Reply::parse(&answer).unwrap_err();
    assert!(matches!(error, TimestampError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("Rejection: "), "{error}");
}

#[test]
fn trusted_certificates_are_in_pem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let refused = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        Authorities::read(&path).unwrap_err().to_string()
    };
    assert!(refused(b"").contains("no certificates"));
    assert!(refused(b"\x30\x82\x00").contains("no certificates"));
    let half = b"-----BEGIN CERTIFICATE-----\nMIIB\n";
    assert!(refused(half).contains("no certificates"));
    assert!(Authorities::read(Path::new("/nonexistent")).is_err());
}

#[test]
fn nobody_signs_in_the_name_of_an_authority() {
    // Everything that an authority signed, another time, and the hash of that: all but the
    // signature fits together.
    let fixture = Fixture::new(&Traits::default());
    let answer = fixture.answer();
    let trusted = fixture.trusted();
    let stated = statement(&answer);
    let mut forged = stated.clone();
    let at = forged
        .windows(2)
        .position(|pair| pair == [0x18, 15])
        .unwrap();
    forged[at + 2..at + 6].copy_from_slice(b"2021");
    let mut changed = answer;
    for (from, to) in [
        (stated.clone(), forged.clone()),
        (hash_of(&stated), hash_of(&forged)),
    ] {
        let mut windows = changed.windows(from.len());
        let at = windows.position(|window| window == from).unwrap();
        changed[at..at + to.len()].copy_from_slice(&to);
    }
    let reply = Reply::parse(&changed).unwrap();
    assert!(reply.time().starts_with("2021-"), "{}", reply.time());
    reply.check_imprint(sum()).unwrap();
    let error = reply.verify(&trusted).unwrap_err();
    assert!(
        matches!(error, TimestampError::WrongSignature(_)),
        "{error}"
    );
}

fn hash_of(bytes: &[u8]) -> Vec<u8> {
    sha256_of(bytes).unwrap().as_bytes().to_vec()
}
