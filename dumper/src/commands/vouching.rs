// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks what vouches for the manifest of an image that is verified.

use crate::args::TrustArgs;
#[cfg(feature = "timestamp")]
use crate::text::timestamp::StampedBy;
use crate::text::vouching::{EventsCheck, SignatureCheck, TimestampCheck, Vouched};
use linpmem_custody::chain::Chain;
use linpmem_custody::digest::sha256_of;
#[cfg(feature = "sign")]
use linpmem_custody::signature::{PublicKey, PublicKeyError, Signature, SignatureError};
#[cfg(feature = "timestamp")]
use linpmem_custody::timestamp::{Authorities, AuthoritiesError, Reply, TimestampError};
use linpmem_manifest::paths::{custody_of, signature_of, timestamp_of};
use std::io::Read;
use std::path::Path;

/// Whom the user trusts to vouch for a manifest.
#[derive(Debug)]
pub struct Trusted {
    /// Whose signature is required.
    #[cfg(feature = "sign")]
    key: Option<PublicKey>,
    /// Who may have stamped.
    #[cfg(feature = "timestamp")]
    authorities: Option<Authorities>,
}

/// Something that should be trusted cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustedError {
    /// The public key.
    #[cfg(feature = "sign")]
    #[error(transparent)]
    PublicKey(#[from] PublicKeyError),
    /// The certificates.
    #[cfg(feature = "timestamp")]
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
}

impl Trusted {
    /// Whom `args` name.
    ///
    /// # Errors
    /// If a key cannot be read.
    #[cfg_attr(
        not(any(feature = "sign", feature = "timestamp")),
        expect(unused_variables, reason = "without these, there is nobody to trust")
    )]
    pub fn of(args: &TrustArgs) -> Result<Self, TrustedError> {
        Ok(Self {
            #[cfg(feature = "sign")]
            key: args.public_key.as_deref().map(PublicKey::of).transpose()?,
            #[cfg(feature = "timestamp")]
            authorities: args.tsa_ca.as_deref().map(Authorities::read).transpose()?,
        })
    }

    /// Whether somebody has to vouch for the manifest.
    #[must_use]
    pub fn is_demanding(&self) -> bool {
        #[cfg(feature = "sign")]
        let is_signed = self.key.is_some();
        #[cfg(not(feature = "sign"))]
        let is_signed = false;
        #[cfg(feature = "timestamp")]
        let is_stamped = self.authorities.is_some();
        #[cfg(not(feature = "timestamp"))]
        let is_stamped = false;
        is_signed || is_stamped
    }

    /// Checks the signature of the manifest at `path`, whose bytes are `manifest`. `None` if
    /// there is none and none is required.
    #[cfg(feature = "sign")]
    pub fn signature(&self, path: &Path, manifest: impl Read) -> Option<SignatureCheck> {
        let file = signature_of(path);
        let mut check = SignatureCheck {
            path: file.to_string_lossy().into_owned(),
            verdict: Vouched::Bad,
            key_id: None,
            trusted_comment: None,
            reason: None,
        };
        if file.symlink_metadata().is_err() {
            let key = self.key.as_ref()?;
            check.verdict = Vouched::Missing;
            check.reason = Some(format!(
                "the key {} should have signed the manifest, and the file does not exist",
                key.id()
            ));
            return Some(check);
        }
        let checked = || -> Result<(), SignatureError> {
            let signature = Signature::read(&file)?;
            check.key_id = Some(signature.key_id().to_string());
            match &self.key {
                Some(key) => {
                    check.trusted_comment = Some(signature.check(key, manifest)?);
                    check.verdict = Vouched::Good;
                }
                None => {
                    check.verdict = Vouched::NotChecked;
                    check.reason = Some("name the signer's key with --public-key".to_owned());
                }
            }
            Ok(())
        };
        if let Err(error) = checked() {
            check.reason = Some(error.to_string());
        }
        Some(check)
    }

    /// Tells of the signature of the manifest at `path`, which this program cannot check.
    #[cfg(not(feature = "sign"))]
    pub fn signature(&self, path: &Path, _: impl Read) -> Option<SignatureCheck> {
        let file = signature_of(path);
        file.symlink_metadata().is_ok().then(|| SignatureCheck {
            path: file.to_string_lossy().into_owned(),
            verdict: Vouched::NotChecked,
            key_id: None,
            trusted_comment: None,
            reason: Some("this linpmem-dump was built without signatures".to_owned()),
        })
    }
}

impl Trusted {
    /// Checks the timestamp of the manifest at `path`, whose bytes are `manifest`. `None` if
    /// there is none and none is required.
    #[cfg(feature = "timestamp")]
    pub fn timestamp(&self, path: &Path, manifest: impl Read) -> Option<TimestampCheck> {
        let file = timestamp_of(path);
        let mut check = TimestampCheck {
            path: file.to_string_lossy().into_owned(),
            verdict: Vouched::Bad,
            stamped: None,
            reason: None,
        };
        if file.symlink_metadata().is_err() {
            self.authorities.as_ref()?;
            check.verdict = Vouched::Missing;
            let reason =
                "an authority should have stamped the manifest, and the file does not exist";
            check.reason = Some(reason.to_owned());
            return Some(check);
        }
        let checked = || -> Result<(StampedBy, Vouched), String> {
            let sum = sha256_of(manifest).map_err(|error| error.to_string())?;
            let checked = || -> Result<(StampedBy, Vouched), TimestampError> {
                let reply = Reply::read(&file)?;
                reply.check_imprint(sum)?;
                let Some(authorities) = &self.authorities else {
                    return Ok((StampedBy::of(&reply, None), Vouched::NotChecked));
                };
                let authority = reply.verify(authorities)?;
                Ok((StampedBy::of(&reply, Some(&authority)), Vouched::Good))
            };
            checked().map_err(|error| error.to_string())
        };
        match checked() {
            Ok((stamped, verdict)) => {
                check.stamped = Some(stamped);
                check.verdict = verdict;
                if verdict == Vouched::NotChecked {
                    check.reason = Some("name whom to trust with --tsa-ca".to_owned());
                }
            }
            Err(reason) => check.reason = Some(reason),
        }
        Some(check)
    }

    /// Tells of the timestamp of the manifest at `path`, which this program cannot check.
    #[cfg(not(feature = "timestamp"))]
    pub fn timestamp(&self, path: &Path, _: impl Read) -> Option<TimestampCheck> {
        let file = timestamp_of(path);
        file.symlink_metadata().is_ok().then(|| TimestampCheck {
            path: file.to_string_lossy().into_owned(),
            verdict: Vouched::NotChecked,
            stamped: None,
            reason: Some("this linpmem-dump was built without timestamps".to_owned()),
        })
    }
}

/// Checks the events that follow the manifest at `path`, whose bytes are `manifest`. `None` if
/// there are none.
pub fn events(path: &Path, manifest: impl Read) -> Option<EventsCheck> {
    let file = custody_of(path);
    file.symlink_metadata().ok()?;
    let mut check = EventsCheck {
        path: file.to_string_lossy().into_owned(),
        good: false,
        events: 0,
        head_sha256: None,
        reason: None,
    };
    let read = sha256_of(manifest)
        .map_err(|error| error.to_string())
        .and_then(|sum| Chain::read(&file, sum).map_err(|error| error.to_string()));
    match read {
        Ok(Some((chain, broken))) => {
            check.events = chain.entries.len();
            check.good = broken.is_none();
            check.head_sha256 = check.good.then_some(chain.head);
            check.reason = broken.map(|error| error.to_string());
        }
        Ok(None) => check.reason = Some("it does not exist any more".to_owned()),
        Err(error) => check.reason = Some(error),
    }
    Some(check)
}
