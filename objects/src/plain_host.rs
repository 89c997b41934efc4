// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host of an address, as it goes over the line.

use zeroize::Zeroizing;

/// The address `text` with its host in small letters; `None` if the host is not written in the
/// letters that go over the line, or not where every reader looks for it. Mapping other letters to
/// them has rules that change from year to year, and names that look like others.
pub(crate) fn with_plain_host(text: &str) -> Option<Zeroizing<String>> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    };
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_plain = !host.is_empty() && host.is_ascii() && !host.contains('%');
    // A reader may leave them out, wherever they are.
    let has_control = text.contains(char::is_control);
    (is_scheme && is_plain && !has_control).then(|| {
        let host = host.to_ascii_lowercase();
        Zeroizing::new(format!("{scheme}://{user}{host}{path}"))
    })
}
