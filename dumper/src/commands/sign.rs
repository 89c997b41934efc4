// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump sign`, and `--sign-key`: a signature of the manifest.

use super::vouched_manifest::{VouchedManifest, VouchedManifestError};
use crate::args::{SignArgs, SignRunArgs};
use crate::text::sign::SignDocument;
use linpmem_capture::Acquired;
use linpmem_capture::clock::Moment;
use linpmem_capture::sink::{PartialError, PartialFile};
use linpmem_custody::signature::{
    KeyError, KeyFile, Password, PasswordError, SignError, SigningKey, Subject,
};
use linpmem_manifest::paths::signature_of;
use linpmem_phys::PhysLen;
use std::env;
use std::path::Path;

/// The variable that may have the password of a key.
const PASSWORD_VARIABLE: &str = "LINPMEM_SIGN_PASSWORD";

/// As much memory as a program may take without a word about it.
const MODEST_BYTES: u64 = 32 << 20;

/// A manifest that was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignCommandError {
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The password cannot be read.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// There is no manifest to sign.
    #[error(transparent)]
    Manifest(#[from] VouchedManifestError),
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The signature cannot be written.
    #[error(transparent)]
    File(#[from] PartialError),
}

/// Signs the manifest of the image of `args`.
///
/// # Errors
/// If the key cannot be used, or the signature not be written.
pub fn sign(args: &SignArgs) -> Result<SignDocument, SignCommandError> {
    // What is wrong with the image is said before a password is asked for.
    let manifest = VouchedManifest::of(&args.image, args.manifest.as_deref())?;
    let locked = KeyFile::read(&args.key)?;
    let signer = Signer {
        key: unlock(locked, args.sign_password_file.as_deref())?,
        force: args.force,
    };
    signer.sign(&manifest)
}

/// A key that is ready to sign what a run leaves.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    force: bool,
}

impl Signer {
    /// The signer that the options of a run ask for, if they do. `warn` is told what it costs
    /// the machine.
    ///
    /// # Errors
    /// If the key cannot be used.
    pub fn of(
        args: &SignRunArgs,
        force: bool,
        warn: impl FnOnce(&str),
    ) -> Result<Option<Self>, SignCommandError> {
        let Some(path) = &args.sign_key else {
            return Ok(None);
        };
        let locked = KeyFile::read(path)?;
        if let Some(bytes) = locked.unlocking_bytes().filter(|&it| it > MODEST_BYTES) {
            warn(&format!(
                "unlocking the signing key takes {} of this machine's memory before it is read; a \
                 key without a password, made for this run, takes none (minisign -G -W)",
                PhysLen::new(bytes)
            ));
        }
        let key = unlock(locked, args.sign_password_file.as_deref())?;
        Ok(Some(Self { key, force }))
    }

    /// The key's id.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.key.id().to_string()
    }

    /// Signs the manifest that a run left.
    ///
    /// # Errors
    /// If the manifest cannot be read, or the signature not be written.
    pub fn sign_run(&self, run: &Acquired) -> Result<SignDocument, SignCommandError> {
        let described = run.encryption.as_deref().unwrap_or(&run.image);
        self.sign(&VouchedManifest::read(&run.manifest, described)?)
    }

    fn sign(&self, manifest: &VouchedManifest) -> Result<SignDocument, SignCommandError> {
        let path = signature_of(&manifest.path);
        let subject = Subject {
            image: &manifest.image,
            id: manifest.id,
            utc: &Moment::now().stamp().utc,
        };
        let text = self.key.sign(manifest.open()?, &subject)?;
        PartialFile::write(&path, text.as_bytes(), self.force)?;
        Ok(SignDocument {
            manifest: manifest.path.to_string_lossy().into_owned(),
            signature: path.to_string_lossy().into_owned(),
            key_id: self.key_id(),
            public_key: self.key.public_key(),
            trusted_comment: subject.to_string(),
            minisign_command: SignDocument::minisign_command(
                &manifest.path,
                &self.key.public_key(),
            ),
        })
    }
}

fn unlock(locked: KeyFile, password: Option<&Path>) -> Result<SigningKey, SignCommandError> {
    let password = match locked.unlocking_bytes() {
        None => None,
        Some(_) => self::password(password)?,
    };
    Ok(locked.unlock(password)?)
}

/// The password in the file at `path`, or in the environment, or that the user types; `None` if
/// there is no terminal either.
fn password(path: Option<&Path>) -> Result<Option<Password>, PasswordError> {
    if let Some(path) = path {
        return Password::read(path).map(Some);
    }
    if let Ok(password) = env::var(PASSWORD_VARIABLE) {
        return Ok(Some(Password::new(password)));
    }
    let typed = rpassword::prompt_password("Password of the signing key: ");
    Ok(typed.ok().map(Password::new))
}
