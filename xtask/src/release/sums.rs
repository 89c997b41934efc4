// SPDX-License-Identifier: MIT OR Apache-2.0
//! `SHA256SUMS`, and its signature.

use super::origin::sha256;
use anyhow::{Context, Result};
use linpmem_custody::signature::{KeyFile, Password};
use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The variable that may have the password of the key, as for `linpmem-dump sign`.
const PASSWORD_VARIABLE: &str = "LINPMEM_SIGN_PASSWORD";

/// Who signs.
const SIGNER: &str = "cargo xtask release";

/// How a release is signed.
#[derive(Debug, Default, clap::Args)]
pub struct SignArgs {
    /// Sign SHA256SUMS with this key of minisign's
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    /// The password of the key is the first line of this file [default: LINPMEM_SIGN_PASSWORD, or asked]
    #[arg(long, value_name = "FILE", requires = "sign_key")]
    sign_password_file: Option<PathBuf>,
}

/// The sums of `files`, which `sha256sum -c` compares.
pub fn text(files: &[(String, Vec<u8>)]) -> String {
    let mut files: Vec<&(String, Vec<u8>)> = files.iter().collect();
    files.sort();
    let mut text = String::new();
    for (name, bytes) in files {
        // A string takes everything.
        let _ = writeln!(text, "{}  {name}", sha256(bytes));
    }
    text
}

impl SignArgs {
    /// The signature of `sums`, and the public key that checks it, if there is a key.
    /// `comment` is signed as well.
    pub fn sign(&self, sums: &str, comment: &str) -> Result<Option<(String, String)>> {
        let Some(path) = &self.sign_key else {
            return Ok(None);
        };
        let key = KeyFile::read(path)?;
        let password = match key.unlocking_bytes() {
            None => None,
            Some(_) => Some(self.password(path)?),
        };
        let key = key.unlock(password)?;
        let signature = key.sign_as(SIGNER, sums.as_bytes(), comment)?;
        Ok(Some((signature, key.public_key())))
    }

    fn password(&self, key: &Path) -> Result<Password> {
        if let Some(file) = &self.sign_password_file {
            return Ok(Password::read(file)?);
        }
        if let Ok(password) = env::var(PASSWORD_VARIABLE) {
            return Ok(Password::new(password));
        }
        let typed = rpassword::prompt_password(format!("Password of {}: ", key.display()));
        let typed = typed.with_context(|| {
            format!(
                "{} is protected by a password: give --sign-password-file, or set {PASSWORD_VARIABLE}",
                key.display()
            )
        })?;
        Ok(Password::new(typed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_sorted_by_name() {
        let files = [
            ("b".to_owned(), b"".to_vec()),
            ("a".to_owned(), b"abc".to_vec()),
        ];
        assert_eq!(
            text(&files),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b\n"
        );
    }
}
