// SPDX-License-Identifier: MIT OR Apache-2.0
//! A list of objects. rusty-s3's own insists on fields that not every store has.

use instant_xml::FromXml;
use url::form_urlencoded;

/// A page of it.
#[derive(FromXml)]
#[xml(
    rename = "ListBucketResult",
    ns("http://s3.amazonaws.com/doc/2006-03-01/")
)]
pub(super) struct Page {
    contents: Vec<Listed>,
    #[xml(rename = "EncodingType")]
    encoding: Option<String>,
    #[xml(rename = "NextContinuationToken")]
    pub(super) next: Option<String>,
}

#[derive(FromXml)]
#[xml(rename = "Contents", ns("http://s3.amazonaws.com/doc/2006-03-01/"))]
struct Listed {
    #[xml(rename = "Key")]
    key: String,
    #[xml(rename = "Size")]
    size: u64,
}

impl Page {
    /// # Errors
    /// If `text` is none.
    pub(super) fn parse(text: &str) -> Result<Self, instant_xml::Error> {
        instant_xml::from_str(text)
    }

    /// The keys on it, and the lengths of their objects. Keys are asked for as in forms, so that
    /// all of them can be in XML.
    pub(super) fn objects(&self) -> impl Iterator<Item = (String, u64)> {
        let is_encoded = self.encoding.as_deref() == Some("url");
        self.contents.iter().map(move |object| {
            let key = match is_encoded {
                true => form_decoded(&object.key),
                false => object.key.clone(),
            };
            (key, object.size)
        })
    }
}

/// `%41+` as `A `. What has a meaning in forms is never there as itself.
fn form_decoded(key: &str) -> String {
    let mut pairs = form_urlencoded::parse(key.as_bytes());
    let name = pairs.next().map(|(name, _)| name.into_owned());
    name.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written() {
        for (listed, key) in [
            ("case+1/a%2Bb%3Dc%26d", "case 1/a+b=c&d"),
            ("a.core", "a.core"),
            ("", ""),
        ] {
            assert_eq!(form_decoded(listed), key);
        }
        let text = "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Name>b</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
            <Contents><Key>a+b</Key><LastModified>x</LastModified><Size>5</Size></Contents>\
            <NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
        let page = Page::parse(text).unwrap();
        assert_eq!(page.contents.len(), 1);
        assert_eq!(
            (page.objects().next().unwrap(), page.next.as_deref()),
            (("a b".to_owned(), 5), Some("t"))
        );
    }
}
