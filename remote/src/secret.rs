// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the sender proves itself with.

use data_encoding::BASE64URL_NOPAD;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;

/// Bytes of a token: nobody guesses 128 bits.
const TOKEN_BYTES: usize = 16;

/// A secret that a receiver made up. Whoever knows it may send images.
///
/// It is not shown by `Debug`, and two are compared in a time that does not depend on where
/// they differ.
#[derive(Clone, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    /// If the system has none.
    pub fn generate() -> io::Result<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The token that `text` spells; `None` if it does not spell one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Its text, for the one place where it is shown.
    #[must_use]
    pub fn reveal(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }
}

impl From<Token> for String {
    fn from(token: Token) -> Self {
        token.reveal()
    }
}

impl TryFrom<String> for Token {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("no token")
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        pairs.fold(0, |differing, (left, right)| differing | (left ^ right)) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Fills `bytes` from the system's random numbers.
pub(crate) fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| io::Error::other("the system has no random numbers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_written_and_not_shown_by_accident() {
        let token = Token::generate().unwrap();
        let text = token.reveal();
        assert_eq!(text.len(), 22);
        assert_eq!(Token::parse(&text).unwrap(), token);
        assert_ne!(Token::generate().unwrap(), token);
        assert!(!format!("{token:?}").contains(&text));
        for wrong in ["", "AAAA", "!!", &text[1..], &format!("{text}A")] {
            assert!(Token::parse(wrong).is_none(), "{wrong}");
        }
    }
}
