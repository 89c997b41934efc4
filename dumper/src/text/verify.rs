// SPDX-License-Identifier: MIT OR Apache-2.0
//! `linpmem-dump verify`: what a verification found.

use super::figures::{count, rate};
use super::seconds;
use super::vouching::{EventsCheck, SignatureCheck, TimestampCheck};
use linpmem_cli::Document;
use linpmem_cli::printable;
use linpmem_manifest::State;
use linpmem_phys::PhysLen;
use linpmem_phys::num::usize_as_u64;
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// Whether an image is what its hashes say.
#[derive(Debug, Serialize)]
pub struct VerifyDocument {
    /// The image.
    pub image: String,
    /// Whether everything is there and matches.
    pub good: bool,
    /// The encrypted files, compared with the hashes that need no key.
    pub encrypted: Option<EncryptedCheck>,
    /// The hashes inside an AFF4 image.
    pub image_hashes: Option<ImageHashes>,
    /// The manifest that the image was compared with.
    pub manifest: Option<String>,
    /// The comparison of what a store has with it.
    pub store: Option<StoreCheck>,
    /// The comparison with it.
    pub comparison: Option<Comparison>,
    /// Why there is no comparison.
    pub not_compared: Option<String>,
    /// The artifacts, unless the image has none or `image_hashes` covers them.
    pub artifacts: Option<ArtifactsCheck>,
    /// The signature of the manifest; none if there is none and none was required.
    pub signature: Option<SignatureCheck>,
    /// The timestamp of the manifest; none if there is none and none was required.
    pub timestamp: Option<TimestampCheck>,
    /// The events since the manifest was written; none if none was recorded.
    pub custody: Option<EventsCheck>,
}

/// What a store has, compared with the manifest there.
#[derive(Debug, Serialize)]
pub struct StoreCheck {
    /// Whether nothing differs.
    pub good: bool,
    /// The objects of the image.
    pub objects: u64,
    /// Their parts.
    pub parts: u64,
    /// Size of the image's file.
    pub file_bytes: u64,
    /// Bytes that were read; the others were compared by the sums that the store keeps.
    pub read_bytes: u64,
    /// Whether it is encrypted: then what is in it was not looked at.
    pub encrypted: bool,
    /// What differs.
    pub damages: Vec<String>,
}

/// The files of an encrypted image as they are, without a key.
#[derive(Debug, Serialize)]
pub struct EncryptedCheck {
    /// The file with their hashes.
    pub path: String,
    /// The image's id.
    pub image_id: Option<String>,
    /// How the run ended.
    pub state: State,
    /// The public keys that they are encrypted to, as that file says.
    pub recipients: Vec<String>,
    /// Each of them.
    pub files: Vec<EncryptedFileLine>,
}

/// An encrypted file.
#[derive(Debug, Serialize)]
pub struct EncryptedFileLine {
    /// The file.
    pub path: String,
    /// Whether it is what was written.
    pub good: bool,
    /// Its size, if it is.
    pub size_bytes: Option<u64>,
    /// What is wrong, if it is not.
    pub reason: Option<String>,
}

/// The hashes inside an AFF4 image.
#[derive(Debug, Default, Serialize)]
pub struct ImageHashes {
    /// Hashes and checksums that match.
    pub matching: u64,
    /// Those that do not match.
    pub mismatching: u64,
    /// Those that could not be checked.
    pub not_checked: u64,
    /// Each of them.
    pub checks: Vec<HashCheck>,
}

/// A hash inside an AFF4 image.
#[derive(Debug, Serialize)]
pub struct HashCheck {
    /// What is hashed: `member`, `chunks`, `map` and so on.
    pub level: String,
    /// The object or archive member.
    pub object: String,
    /// The hash function.
    pub algorithm: String,
    /// The result.
    pub verdict: HashVerdict,
    /// What differs, or why it could not be checked.
    pub detail: Option<String>,
}

/// Whether a hash matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashVerdict {
    /// It matches.
    Match,
    /// It does not match.
    Mismatch,
    /// It could not be checked.
    NotChecked,
}

/// A comparison of an image with its manifest.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Whether nothing is damaged, and the manifest tells of all.
    pub good: bool,
    /// What is damaged.
    pub damages: Vec<DamageLine>,
    /// What could not be compared, if the manifest ends early.
    pub unverified: Option<String>,
    /// Ranges that were compared.
    pub ranges: usize,
    /// Chunks that were compared.
    pub chunks: u64,
    /// Size of the image's file.
    pub file_bytes: u64,
    /// Whether the hashes of the chunks, and of everything outside them, cover every
    /// byte of the file.
    pub every_byte: bool,
    /// Whether the SHA-256 of the file as a whole was computed.
    pub whole_file: bool,
    /// The time it took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub elapsed: Duration,
}

/// One way in which an image differs from its manifest.
#[derive(Debug, Serialize)]
pub struct DamageLine {
    /// Which way: `chunk`, `truncated` and so on.
    pub kind: &'static str,
    /// For people: what is damaged, and where.
    pub message: String,
}

/// Artifacts, compared with the manifest.
#[derive(Debug, Serialize)]
pub struct ArtifactsCheck {
    /// The file that holds them, or should.
    pub path: String,
    /// Whether they match.
    pub good: bool,
    /// Their size, if they do.
    pub size_bytes: Option<u64>,
    /// What is wrong, if they do not.
    pub reason: Option<String>,
}

impl ImageHashes {
    /// Whether none is wrong.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.mismatching == 0
    }

    /// Writes the hashes, except those of archive members that match.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for check in &self.checks {
            if check.level == "member" && check.verdict == HashVerdict::Match {
                continue;
            }
            let detail = check.detail.as_deref().unwrap_or_default();
            let verdict = match check.verdict {
                HashVerdict::Match => "ok".to_owned(),
                HashVerdict::Mismatch => format!("MISMATCH: {detail}"),
                HashVerdict::NotChecked => format!("not checked: {detail}"),
            };
            writeln!(
                out,
                "{:<12}  {:<7}  {}: {}",
                check.level,
                check.algorithm,
                printable(&check.object),
                printable(&verdict)
            )?;
        }
        writeln!(
            out,
            "{} hashes and checksums match, {} do not, {} could not be checked",
            self.matching, self.mismatching, self.not_checked
        )
    }
}

impl VerifyDocument {
    /// Of `image`, before anything was looked at.
    #[must_use]
    pub const fn of(image: String) -> Self {
        Self {
            image,
            good: true,
            encrypted: None,
            image_hashes: None,
            manifest: None,
            store: None,
            comparison: None,
            not_compared: None,
            artifacts: None,
            signature: None,
            timestamp: None,
            custody: None,
        }
    }
}

impl Document for VerifyDocument {
    const FORMAT: &'static str = "linpmem-dump verify";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(encrypted) = &self.encrypted {
            encrypted.write_text(out)?;
        }
        if let Some(hashes) = &self.image_hashes {
            hashes.write_text(out)?;
        }
        if let Some(reason) = &self.not_compared {
            writeln!(out, "not compared with a manifest: {reason}")?;
        }
        if let Some(store) = &self.store {
            store.write_text(&self.image, out)?;
        }
        if let Some(comparison) = &self.comparison {
            comparison.write_text(&self.image, out)?;
        }
        if let Some(artifacts) = &self.artifacts {
            artifacts.write_text(out)?;
        }
        if let Some(signature) = &self.signature {
            signature.write_text(out)?;
        }
        if let Some(timestamp) = &self.timestamp {
            timestamp.write_text(out)?;
        }
        if let Some(events) = &self.custody {
            events.write_text(out)?;
        }
        Ok(())
    }
}

impl EncryptedCheck {
    /// Whether all files are those of a complete image.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.state.is_whole() && self.files.iter().all(|file| file.good)
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for file in &self.files {
            write!(out, "{}: ", file.path)?;
            match (&file.reason, file.size_bytes) {
                (Some(reason), _) => writeln!(out, "NOT GOOD: {}", printable(reason))?,
                (None, Some(bytes)) => writeln!(
                    out,
                    "the encrypted file is the one that was written ({})",
                    PhysLen::new(bytes)
                )?,
                (None, None) => writeln!(out, "the encrypted file is the one that was written")?,
            }
        }
        match self.state.is_whole() {
            true => Ok(()),
            false => writeln!(out, "{}: the run did not complete the image", self.path),
        }
    }
}

impl ArtifactsCheck {
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "{}: ", self.path)?;
        match (&self.reason, self.size_bytes) {
            (Some(reason), _) => writeln!(out, "{}", printable(reason)),
            (None, Some(bytes)) => writeln!(out, "the artifacts are good ({bytes} bytes)"),
            (None, None) => writeln!(out, "the artifacts are good"),
        }
    }
}

impl StoreCheck {
    fn write_text(&self, image: &str, out: &mut dyn Write) -> io::Result<()> {
        for damage in &self.damages {
            writeln!(out, "{image}: {}", printable(damage))?;
        }
        let verdict = match self.good {
            true => "good",
            false => "NOT GOOD",
        };
        let how = match self.read_bytes {
            0 => {
                "by the sums that the store keeps; nothing was downloaded (--full does)".to_owned()
            }
            bytes => format!("{} of it were read", PhysLen::new(bytes)),
        };
        let with = match self.encrypted {
            true => "what is known without a key",
            false => "the manifest",
        };
        writeln!(
            out,
            "{image}: {verdict}: compared {} in {} with {with}: {how}",
            PhysLen::new(self.file_bytes),
            count(self.parts, "part"),
        )?;
        match (self.good, self.encrypted) {
            (false, _) => Ok(()),
            (true, false) => writeln!(
                out,
                "{image}: every byte is what was sent; artifacts and signatures were not looked at"
            ),
            (true, true) => writeln!(
                out,
                "{image}: image, manifest and artifacts are those that were sent; what is encrypted \
                 in them was not looked at (get the files, and verify them with --identity)"
            ),
        }
    }
}

impl Comparison {
    fn write_text(&self, image: &str, out: &mut dyn Write) -> io::Result<()> {
        for damage in &self.damages {
            writeln!(out, "{image}: {}", printable(&damage.message))?;
        }
        if let Some(unverified) = &self.unverified {
            writeln!(out, "{image}: {unverified}")?;
        }
        writeln!(
            out,
            "{image}: {}: compared {} in {} and {} with the manifest ({:.1} s, {})",
            match (self.good, self.damages.is_empty()) {
                (true, _) => "good",
                (false, true) => "NOT VERIFIED TO THE END, good so far",
                (false, false) => "NOT GOOD",
            },
            PhysLen::new(self.file_bytes),
            count(usize_as_u64(self.ranges), "range"),
            count(self.chunks, "chunk"),
            self.elapsed.as_secs_f64(),
            rate(self.file_bytes, self.elapsed)
        )?;
        if self.good && !self.whole_file {
            writeln!(out, "{image}: {}", self.coverage())?;
        }
        Ok(())
    }

    /// What was compared, if the file's own hash was not.
    const fn coverage(&self) -> &'static str {
        if self.every_byte {
            "every byte is covered by the hash of its chunk or of the bytes outside the chunks; \
             the SHA-256 of the file as a whole was not computed (--full computes it)"
        } else {
            "only memory was compared: the manifest has no SHA-256 of the file, and headers and \
             padding have no hash of their own"
        }
    }
}
