// SPDX-License-Identifier: MIT OR Apache-2.0
//! TLS 1.3 with the receiver's bare key in place of a certificate (RFC 7250): no authority, no
//! names, no dates, so a target whose clock is wrong connects as well.

use crate::identity::{Identity, PublicKey};
use ring::aead::{
    AES_128_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig,
    ServerConnection, SignatureScheme, SupportedCipherSuite,
};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is encrypted to see how long it takes: a record.
const TRIED_BYTES: usize = 16 << 10;

/// The fastest counts.
const TRIES: u32 = 3;

/// What the receiver shows.
pub(crate) fn server_config(identity: &Identity) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.pkcs8().to_vec()));
    let key = provider.key_provider.load_private_key(key)?;
    let shown = CertificateDer::from(identity.public_key().spki());
    let certified = Arc::new(CertifiedKey::new(vec![shown], key));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified)));
    // A ticket that the sender never reads would turn its closing into a reset, which
    // destroys what is still on the way.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// What the sender accepts.
pub(crate) fn client_config(key: PublicKey) -> Result<Arc<ClientConfig>, Error> {
    let provider = provider(fastest_first());
    let verifier = Pinned {
        spki: key.spki(),
        provider: Arc::clone(&provider),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.enable_sni = false;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

pub(crate) fn server(config: &Arc<ServerConfig>) -> Result<ServerConnection, Error> {
    ServerConnection::new(Arc::clone(config))
}

pub(crate) fn client(config: &Arc<ClientConfig>) -> Result<ClientConnection, Error> {
    // Not sent, and not compared with anything: the key is.
    let name = ServerName::from(IpAddr::from(Ipv4Addr::UNSPECIFIED));
    ClientConnection::new(Arc::clone(config), name)
}

fn provider(cipher_suites: Vec<SupportedCipherSuite>) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites,
        ..default_provider()
    })
}

/// Whatever this processor does faster comes first, since the sender's order decides: what encrypts
/// memory is not to hold up whoever reads it. AES with keys of 128 bits is as strong as what both
/// sides agree on them with.
fn fastest_first() -> Vec<SupportedCipherSuite> {
    in_order(time_of(&AES_128_GCM), time_of(&CHACHA20_POLY1305))
}

/// The suites, where AES and ChaCha20 take as long as this.
fn in_order(aes: Duration, chacha: Duration) -> Vec<SupportedCipherSuite> {
    let mut suites = vec![
        TLS13_AES_128_GCM_SHA256,
        TLS13_CHACHA20_POLY1305_SHA256,
        TLS13_AES_256_GCM_SHA384,
    ];
    if chacha < aes {
        suites.swap(0, 1);
    }
    suites
}

/// How long it takes to encrypt a few records; a millisecond altogether, also without instructions
/// for it.
fn time_of(algorithm: &'static Algorithm) -> Duration {
    let mut record = vec![0; TRIED_BYTES];
    let Ok(key) = UnboundKey::new(algorithm, &vec![0; algorithm.key_len()]) else {
        return Duration::MAX;
    };
    let key = LessSafeKey::new(key);
    let mut seal = || {
        let begun = Instant::now();
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        // Only the time matters.
        let _ = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut record);
        begun.elapsed()
    };
    (0..TRIES).map(|_| seal()).min().unwrap_or(Duration::MAX)
}

/// Accepts one key.
#[derive(Debug)]
struct Pinned {
    spki: Vec<u8>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match end_entity.as_ref() == self.spki.as_slice() {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(cert.as_ref()),
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_suite_comes_first_and_all_are_offered() {
        let [aes, chacha, last] = [
            TLS13_AES_128_GCM_SHA256,
            TLS13_CHACHA20_POLY1305_SHA256,
            TLS13_AES_256_GCM_SHA384,
        ];
        let [short, long] = [Duration::from_micros(4), Duration::from_micros(5)];
        assert_eq!(in_order(short, long), [aes, chacha, last]);
        assert_eq!(in_order(short, short), [aes, chacha, last]);
        assert_eq!(in_order(long, short), [chacha, aes, last]);
    }

    #[test]
    fn a_time_is_measured() {
        for algorithm in [&AES_128_GCM, &CHACHA20_POLY1305] {
            let time = time_of(algorithm);
            assert!(
                !time.is_zero() && time < Duration::from_secs(10),
                "{time:?}"
            );
        }
    }
}
