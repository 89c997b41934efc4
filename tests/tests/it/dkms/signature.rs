// SPDX-License-Identifier: MIT OR Apache-2.0
//! A signature at the end of a module (include/linux/module_signature.h), checked by OpenSSL.

use super::system::System;
use anyhow::{Context, Result};

/// What a signed module ends with.
const MAGIC: &[u8] = b"~Module signature appended~\n";

/// `struct module_signature`, of which the last four bytes are the length of the signature.
const HEADER_BYTES: usize = 12;

/// A signed module.
#[derive(Clone)]
pub struct Signed {
    content: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Takes it apart.
    pub fn new(module: &[u8]) -> Result<Self> {
        let rest = module.strip_suffix(MAGIC).context("it is not signed")?;
        let (rest, len) = rest.split_last_chunk::<4>().context("it ends too early")?;
        let len = usize::try_from(u32::from_be_bytes(*len))?;
        let end = rest.len().checked_sub(HEADER_BYTES - 4);
        let end = end.context("it has no header")?;
        let start = end.checked_sub(len).context("it has no signature")?;
        Ok(Self {
            content: rest.get(..start).context("no content")?.to_vec(),
            signature: rest.get(start..end).context("no signature")?.to_vec(),
        })
    }

    /// What was signed.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The same with another byte in the middle.
    pub fn with_another_byte(mut self) -> Self {
        let middle = self.content.len() / 2;
        if let Some(byte) = self.content.get_mut(middle) {
            *byte ^= 1;
        }
        self
    }

    /// Checks the signature against the key that DKMS made for the system.
    pub fn verify(&self, system: &System) -> Result<()> {
        system.write("/root/content", &self.content)?;
        system.write("/root/signature", &self.signature)?;
        let pem = "openssl x509 -inform DER -in /var/lib/dkms/mok.pub -out /root/mok.pem";
        system.run(&["sh", "-c", pem])?.ok()?;
        let verify = "openssl cms -verify -binary -inform DER -in /root/signature \
                      -content /root/content -certfile /root/mok.pem -nointern -noverify \
                      -out /dev/null";
        system.run(&["sh", "-c", verify])?.ok().map(drop)
    }
}
