// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names that a received image can get.

use crate::image_format::host_in_name;
use linpmem_remote::{Hello, Refusal};

/// Letters of a host's name that become part of a file's.
const MOST_LETTERS: usize = 64;

/// Names that are tried.
const MOST_NAMES: usize = 1000;

/// The endings of images, without those of compression around them.
const FORMATS: [&str; 7] = ["core", "raw", "padded", "aff4", "lime", "kdump", "avml"];

/// The endings of compression around an image.
const CODECS: [&str; 3] = ["zst", "lz4", "sz"];

/// What an encrypted image ends in besides. Compared as text: a path that ends in a slash has an
/// extension as well.
const ENCRYPTED: &str = ".age";

/// What the names of an image are made from, all of it checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    stem: String,
    extension: String,
}

impl Names {
    /// The names for the image that `hello` announces.
    pub(super) fn of(hello: &Hello) -> Result<Self, Refusal> {
        let host: String = host_in_name(&hello.host)
            .chars()
            .take(MOST_LETTERS)
            .collect();
        if !is_time(&hello.started) {
            return Err(Refusal::new("the image's time is none"));
        }
        let extension = hello.extension.as_str();
        let decrypted = extension.strip_suffix(ENCRYPTED).unwrap_or(extension);
        let (format, codec) = match decrypted.split_once('.') {
            Some((format, codec)) => (format, Some(codec)),
            None => (decrypted, None),
        };
        let is_known = FORMATS.contains(&format) && codec.is_none_or(|it| CODECS.contains(&it));
        if !is_known {
            return Err(Refusal::new("the image has no ending that images have"));
        }
        Ok(Self {
            stem: format!("{host}-{}", hello.started),
            extension: hello.extension.clone(),
        })
    }

    /// The first name, and what is tried when that is taken.
    pub(super) fn all(&self) -> impl Iterator<Item = String> + '_ {
        let Self { stem, extension } = self;
        let further = (2..=MOST_NAMES).map(move |number| format!("{stem}-{number}.{extension}"));
        std::iter::once(format!("{stem}.{extension}")).chain(further)
    }
}

/// Whether `text` is as 20260131T000000Z.
fn is_time(text: &str) -> bool {
    let expected = b"00000000T000000Z";
    text.len() == expected.len()
        && text.bytes().zip(expected).all(|(found, like)| match like {
            b'0' => found.is_ascii_digit(),
            _ => found == *like,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use linpmem_remote::RunId;

    fn names(host: &str, started: &str, extension: &str) -> Result<Names, Refusal> {
        Names::of(&Hello {
            run: RunId::generate().unwrap(),
            host: host.to_owned(),
            started: started.to_owned(),
            extension: extension.to_owned(),
            planned_bytes: 0,
        })
    }

    #[test]
    fn nothing_of_a_path_comes_from_the_sender() {
        let time = "20260131T000000Z";
        let names_of = names;
        let names = names_of("../../etc/x\n", time, "core.zst").unwrap();
        let two: Vec<_> = names.all().take(2).collect();
        assert_eq!(
            two,
            [
                "_.._etc_x_-20260131T000000Z.core.zst",
                "_.._etc_x_-20260131T000000Z-2.core.zst"
            ]
        );
        let encrypted = names_of("a", time, "core.zst.age").unwrap();
        assert_eq!(
            encrypted.all().nth(1).unwrap(),
            "a-20260131T000000Z-2.core.zst.age"
        );
        let long = names_of(&"a".repeat(10_000), time, "raw").unwrap();
        assert!(long.all().all(|name| name.len() < 128));
        for (started, extension) in [
            ("", "core"),
            ("20260131T00000/Z", "core"),
            ("20260131T000000Z/", "core"),
            ("２0260131T00000Z", "core"),
            (time, ""),
            (time, "core/../x"),
            (time, "core.zst.zst"),
            (time, "sh"),
            (time, "age"),
            (time, "core.age.age"),
            (time, "core.age.zst"),
            (time, "core.age/"),
        ] {
            assert!(
                names_of("a", started, extension).is_err(),
                "{started} {extension}"
            );
        }
    }
}
