// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trusted comment, which is signed as well.

use linpmem_manifest::ImageId;
use std::fmt::{self, Write};

/// What a signature is about, besides the bytes of the manifest.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The image's file name.
    pub image: &'a str,
    /// The image's id; older manifests have none.
    pub id: Option<ImageId>,
    /// When it was signed: UTC, RFC 3339.
    pub utc: &'a str,
}

/// The trusted comment: `image:NAME id:UUID time:UTC`. minisign refuses to show characters that
/// are not printable ASCII, so they are percent-encoded.
impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("image:")?;
        for byte in self.image.bytes() {
            match byte {
                b'%' => f.write_str("%25")?,
                b'!'..=b'~' => f.write_char(byte.into())?,
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        if let Some(id) = self.id {
            write!(f, " id:{id}")?;
        }
        write!(f, " time:{}", self.utc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_name_the_comment_is_one_line_of_words() {
        let subject = Subject {
            image: "a b%\n\u{202e}é.core",
            id: Some(ImageId::from_random([0; 16])),
            utc: "2026-01-31T23:59:59Z",
        };
        assert_eq!(
            subject.to_string(),
            "image:a%20b%25%0A%E2%80%AE%C3%A9.core \
             id:00000000-0000-4000-8000-000000000000 time:2026-01-31T23:59:59Z"
        );
    }
}
