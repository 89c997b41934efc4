// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem://HOST:PORT#KEY-TOKEN`: where a receiver is, how it is recognised, and the secret that
//! it wants to see.

use crate::identity::PublicKey;
use crate::secret::Token;
use std::fmt;
use std::str::FromStr;

const SCHEME: &str = "linpmem://";

/// Where an image can be sent.
///
/// `Display` leaves the secret out; [`Self::reveal`] is the line for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    key: PublicKey,
    token: Token,
}

/// Text that is no address. It is not repeated: it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Another scheme.
    #[error("an address to send to begins with linpmem://, as `linpmem-dump receive` prints it")]
    Scheme,
    /// No key and token.
    #[error(
        "the address lacks its end, #KEY-TOKEN: copy the whole line that `linpmem-dump receive` \
         printed, in quotes"
    )]
    NoSecret,
    /// They are not what they should be.
    #[error(
        "the part of the address behind # is not a key of 43 characters, a dash, and a token of \
         22: copy the whole line that `linpmem-dump receive` printed, in quotes"
    )]
    Secret,
    /// No host or no port.
    #[error(
        "the address needs HOST:PORT before #, as in linpmem://192.0.2.1:4444#… (an IPv6 address in brackets)"
    )]
    HostPort,
}

impl Address {
    /// The address of the receiver with `key` at `host` and `port` that lets in whoever has
    /// `token`.
    ///
    /// # Errors
    /// If `host` could not be read back.
    pub fn new(host: &str, port: u16, key: PublicKey, token: Token) -> Result<Self, AddressError> {
        let is_named = host
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || ".-_:%".contains(letter));
        if host.is_empty() || !is_named || port == 0 {
            return Err(AddressError::HostPort);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            key,
            token,
        })
    }

    /// The host's name or address, and the port.
    #[must_use]
    pub fn endpoint(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The key that the receiver has to have.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    pub(crate) const fn token(&self) -> &Token {
        &self.token
    }

    /// All of it, secret included.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{self}#{}-{}", self.key, self.token.reveal())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "{SCHEME}[{}]:{}", self.host, self.port),
            false => write!(f, "{SCHEME}{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text
            .trim()
            .strip_prefix(SCHEME)
            .ok_or(AddressError::Scheme)?;
        let (place, secret) = rest.split_once('#').ok_or(AddressError::NoSecret)?;
        let (host, port) = place
            .trim_end_matches('/')
            .rsplit_once(':')
            .ok_or(AddressError::HostPort)?;
        let port = port.parse().map_err(|_| AddressError::HostPort)?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(bare) => bare,
            // Without brackets, nobody knows which colon is before the port.
            None if host.contains(':') => return Err(AddressError::HostPort),
            None => host,
        };
        // The alphabet has the dash in it: the key's length says where it ends.
        let (key, token) = secret
            .split_at_checked(PublicKey::TEXT_LEN)
            .ok_or(AddressError::Secret)?;
        let token = token.strip_prefix('-').ok_or(AddressError::Secret)?;
        let key = PublicKey::parse(key).ok_or(AddressError::Secret)?;
        let token = Token::parse(token).ok_or(AddressError::Secret)?;
        Self::new(host, port, key, token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn address(host: &str) -> Address {
        let key = Identity::generate().unwrap().public_key();
        Address::new(host, 4444, key, Token::generate().unwrap()).unwrap()
    }

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for host in ["192.0.2.1", "lab.example", "2001:db8::1", "fe80::1%eth0"] {
            let address = address(host);
            let line = address.reveal();
            assert_eq!(line.parse(), Ok(address.clone()), "{line}");
            assert_eq!(address.endpoint(), (host, 4444));
        }
    }

    #[test]
    fn the_secret_is_shown_only_on_purpose() {
        let address = address("lab");
        let secret = address.token().reveal();
        assert_eq!(address.to_string(), "linpmem://lab:4444");
        assert!(!format!("{address:?}").contains(&secret));
        assert!(address.reveal().ends_with(&secret));
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_without_repeating_it() {
        let line = address("lab").reveal();
        let (place, secret) = line.split_once('#').unwrap();
        for (text, expected) in [
            (line.replace("linpmem:", "http:"), AddressError::Scheme),
            (place.to_owned(), AddressError::NoSecret),
            (line[..line.len() - 1].to_owned(), AddressError::Secret),
            (format!("{place}#{}", &secret[1..]), AddressError::Secret),
            (format!("{place}#é{}", &secret[2..]), AddressError::Secret),
            (format!("linpmem://lab#{secret}"), AddressError::HostPort),
            (format!("linpmem://lab:0#{secret}"), AddressError::HostPort),
            (format!("linpmem://:1#{secret}"), AddressError::HostPort),
            (format!("linpmem://::1:1#{secret}"), AddressError::HostPort),
            (format!("linpmem://a b:1#{secret}"), AddressError::HostPort),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains(secret));
        }
    }
}
