// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the two sides say to each other.

use crate::identity::{PublicKey, Signature};
use crate::refusal::Refusal;
use crate::run_id::RunId;
use crate::secret::Token;
use crate::wire::Kind;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;

/// The version of the protocol.
pub(crate) const PROTOCOL: u32 = 1;

/// One of the files that belong to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// The image.
    Image,
    /// Its manifest.
    Manifest,
    /// The artifacts, if the image cannot hold them.
    Artifacts,
}

/// What a sender says of its image before it sends it. All of it is a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The acquisition.
    pub run: RunId,
    /// The name of the machine.
    pub host: String,
    /// When the acquisition began: 20260131T000000Z.
    pub started: String,
    /// The ending of the image's name, such as `core.zst`.
    pub extension: String,
    /// Bytes of memory that will be read.
    pub planned_bytes: u64,
}

/// A hello, as it goes over the line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Greeting {
    pub(crate) protocol: u32,
    pub(crate) token: Token,
    pub(crate) hello: Hello,
}

/// The first word of a probe: who may send an image may measure the line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbeGreeting {
    pub(crate) protocol: u32,
    pub(crate) token: Token,
}

/// What there was in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finish {
    /// Bytes of the image's file.
    pub image_bytes: u64,
    /// Bytes of the manifest.
    pub manifest_bytes: u64,
    /// Bytes of the file with the artifacts; `None` if there is none.
    pub artifacts_bytes: Option<u64>,
    /// Whether the image is whole, as its sender sees it. One that is not keeps its working name.
    pub is_whole: bool,
    /// Of an encrypted image, what is known without a key: a few KiB of JSON, which the receiver
    /// checks and keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
}

/// What the receiver has, and has compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The acquisition.
    pub run: RunId,
    /// The image's name there.
    pub image: String,
    /// Bytes of the image's file.
    pub image_bytes: u64,
    /// The SHA-256 of the image's file, read back from the receiver's disk.
    pub image_sha256: String,
    /// The manifest's.
    pub manifest_sha256: String,
    /// That of the file with the artifacts, if there is one.
    pub artifacts_sha256: Option<String>,
    /// Whether every sum in the manifest was compared with the image, and is right. An encrypted
    /// one was compared with the sums of its files.
    pub is_verified: bool,
    /// When the receiver was done, as in manifests.
    pub received: String,
}

/// A receipt with the receiver's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedReceipt {
    /// The receipt as JSON, exactly as it was signed.
    receipt: String,
    /// The signature over these bytes.
    signature: Signature,
}

/// The receiver's first word.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Welcome {
    pub(crate) image: String,
    pub(crate) next: u64,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Image, Self::Manifest, Self::Artifacts];

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Image => 0,
            Self::Manifest => 1,
            Self::Artifacts => 2,
        }
    }
}

impl Greeting {
    pub(crate) fn new(token: &Token, hello: &Hello) -> Self {
        Self {
            protocol: PROTOCOL,
            token: token.clone(),
            hello: hello.clone(),
        }
    }
}

impl Receipt {
    /// The receipt with the signature that `sign` makes.
    ///
    /// # Errors
    /// If it cannot be written as JSON, which is a bug.
    pub fn signed(&self, sign: impl FnOnce(&[u8]) -> Signature) -> io::Result<SignedReceipt> {
        let receipt = serde_json::to_string(self)?;
        let signature = sign(receipt.as_bytes());
        Ok(SignedReceipt { receipt, signature })
    }
}

impl SignedReceipt {
    /// The receipt, if the owner of `key` has signed it.
    #[must_use]
    pub fn check(&self, key: PublicKey) -> Option<Receipt> {
        if !key.verifies(self.receipt.as_bytes(), &self.signature) {
            return None;
        }
        self.claims()
    }

    /// What it says, whoever has signed it.
    #[must_use]
    pub fn claims(&self) -> Option<Receipt> {
        serde_json::from_str(&self.receipt).ok()
    }
}

/// A frame from the sender.
#[derive(Debug)]
pub(crate) enum FromSender<'a> {
    Data {
        number: u64,
        stream: Stream,
        bytes: &'a [u8],
    },
    Zeros {
        number: u64,
        stream: Stream,
        len: u64,
    },
    Finish {
        number: u64,
        finish: Finish,
    },
    Alive,
}

/// A frame from the receiver.
#[derive(Debug)]
pub(crate) enum FromReceiver {
    Durable(u64),
    Receipt(SignedReceipt),
    Refused(Refusal),
    Alive,
}

/// The number and the stream before bytes or their count.
pub(crate) fn numbered(number: u64, stream: Stream) -> [u8; 9] {
    let mut bytes = [0; 9];
    let (first, last) = bytes.split_at_mut(8);
    first.copy_from_slice(&number.to_le_bytes());
    last.copy_from_slice(&[stream.code()]);
    bytes
}

impl<'a> FromSender<'a> {
    pub(crate) fn parse(kind: Kind, payload: &'a [u8]) -> io::Result<Self> {
        match kind {
            Kind::Alive => Ok(Self::Alive),
            Kind::Data => {
                let (number, stream, bytes) = place(payload)?;
                Ok(Self::Data {
                    number,
                    stream,
                    bytes,
                })
            }
            Kind::Zeros => {
                let (number, stream, rest) = place(payload)?;
                let (len, rest) = number_of(rest)?;
                match rest {
                    [] => Ok(Self::Zeros {
                        number,
                        stream,
                        len,
                    }),
                    _ => Err(invalid("a count of zero bytes is too long")),
                }
            }
            Kind::Finish => {
                let (number, rest) = number_of(payload)?;
                let finish = from_json(rest)?;
                Ok(Self::Finish { number, finish })
            }
            _ => Err(invalid("a frame that this side does not take")),
        }
    }
}

impl FromReceiver {
    pub(crate) fn parse(kind: Kind, payload: &[u8]) -> io::Result<Self> {
        match kind {
            Kind::Alive => Ok(Self::Alive),
            Kind::Durable => match number_of(payload)? {
                (number, []) => Ok(Self::Durable(number)),
                _ => Err(invalid("an acknowledgement is too long")),
            },
            Kind::Receipt => Ok(Self::Receipt(from_json(payload)?)),
            Kind::Refused => Ok(Self::Refused(from_json(payload)?)),
            _ => Err(invalid("a frame that this side does not take")),
        }
    }
}

/// JSON from the other side.
pub(crate) fn from_json<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    // Serde's reason may quote what was sent.
    serde_json::from_slice(payload).map_err(|_| invalid("a message that cannot be read"))
}

fn place(payload: &[u8]) -> io::Result<(u64, Stream, &[u8])> {
    let (number, rest) = number_of(payload)?;
    let (code, rest) = rest
        .split_first()
        .ok_or_else(|| invalid("a frame is too short"))?;
    let stream = Stream::ALL
        .into_iter()
        .find(|stream| stream.code() == *code)
        .ok_or_else(|| invalid("a stream that there is not"))?;
    Ok((number, stream, rest))
}

fn number_of(payload: &[u8]) -> io::Result<(u64, &[u8])> {
    let (number, rest) = payload
        .split_first_chunk()
        .ok_or_else(|| invalid("a frame is too short"))?;
    Ok((u64::from_le_bytes(*number), rest))
}

pub(crate) fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    #[test]
    fn a_receipt_counts_only_with_its_signature() {
        let (own, other) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let receipt = Receipt {
            run: RunId::generate().unwrap(),
            image: "a.core".to_owned(),
            image_bytes: 1,
            image_sha256: "00".to_owned(),
            manifest_sha256: "11".to_owned(),
            artifacts_sha256: None,
            is_verified: true,
            received: "2026-01-31T00:00:00Z".to_owned(),
        };
        let mut signed = receipt.signed(|bytes| own.sign(bytes)).unwrap();
        assert_eq!(signed.check(own.public_key()), Some(receipt));
        assert_eq!(signed.check(other.public_key()), None);
        signed.receipt = signed.receipt.replace("\"00\"", "\"01\"");
        assert_eq!(signed.check(own.public_key()), None);
    }

    #[test]
    fn frames_that_say_nothing_sensible_are_refused() {
        let whole = [&numbered(7, Stream::Manifest)[..], b"bytes"].concat();
        assert!(matches!(
            FromSender::parse(Kind::Data, &whole),
            Ok(FromSender::Data {
                number: 7,
                stream: Stream::Manifest,
                bytes: b"bytes"
            })
        ));
        for len in 0..9 {
            assert!(FromSender::parse(Kind::Data, &whole[..len]).is_err());
            assert!(FromSender::parse(Kind::Zeros, &whole[..len]).is_err());
        }
        let mut unknown = whole.clone();
        unknown[8] = 3;
        assert!(FromSender::parse(Kind::Data, &unknown).is_err());
        let zeros = [&numbered(1, Stream::Image)[..], &[0; 9]].concat();
        assert!(FromSender::parse(Kind::Zeros, &zeros).is_err());
        assert!(FromSender::parse(Kind::Zeros, &zeros[..17]).is_ok());
        assert!(FromSender::parse(Kind::Durable, &[0; 8]).is_err());
        assert!(FromReceiver::parse(Kind::Durable, &[0; 8]).is_ok());
        assert!(FromReceiver::parse(Kind::Durable, &[0; 9]).is_err());
        assert!(FromReceiver::parse(Kind::Data, &whole).is_err());
        assert!(FromReceiver::parse(Kind::Receipt, b"{}").is_err());
    }
}
