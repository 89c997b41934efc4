// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an authority states.

use super::gen_time::GenTime;
use der::asn1::{Int, ObjectIdentifier};
use der::{Any, Sequence};
use x509_tsp::{Accuracy, MessageImprint, TspVersion};

/// RFC 3161, section 2.4.2. As [`x509_tsp::TstInfo`], with fractions of seconds, and without a
/// look into the authority's name and extensions: its certificate says who it is.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub struct TstInfo {
    pub version: TspVersion,
    pub policy: ObjectIdentifier,
    pub message_imprint: MessageImprint,
    pub serial_number: Int,
    pub gen_time: GenTime,
    #[asn1(optional = "true")]
    pub accuracy: Option<Accuracy>,
    #[asn1(default = "Default::default")]
    pub ordering: bool,
    #[asn1(optional = "true")]
    pub nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub tsa: Option<Any>,
    #[asn1(
        context_specific = "1",
        tag_mode = "IMPLICIT",
        constructed = "true",
        optional = "true"
    )]
    pub extensions: Option<x509_cert::ext::Extensions>,
}
