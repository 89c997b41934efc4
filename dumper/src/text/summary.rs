// SPDX-License-Identifier: MIT OR Apache-2.0
//! The summary of a run that wrote an image.

use super::check::{CheckDocument, RunCheck};
use super::figures::{count, rate, share};
use super::seconds;
use super::shell::{own_command, quoted};
use super::sign::RunSignature;
use super::symbols::SymbolsDocument;
use linpmem_capture::finish::final_name;
use linpmem_capture::pipeline::End;
use linpmem_capture::sidecar::CrashOptions;
use linpmem_capture::source::Subject;
use linpmem_capture::{Acquired, Delivered, Stored};
use linpmem_cli::Document;
use linpmem_cli::{ExitStatus, printable};
use linpmem_manifest::{
    Address, ArtifactsPlace, ArtifactsRecord, HashRecord, SecondPassTotals, Sha256Sum, State,
    UnreadableRecord,
};
use linpmem_phys::num::usize_as_u64;
use linpmem_phys::{Errno, PhysLen, PhysRange};
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// How a run went.
#[derive(Debug)]
pub struct Summary {
    /// What the engine did.
    pub acquired: Acquired,
    /// The symbol file that was written for the image.
    pub symbols: Option<SymbolsDocument>,
    /// The signature of the manifest, if one was asked for.
    pub signature: Option<RunSignature>,
    /// Whether the image can be analysed, if it was checked.
    pub check: Option<RunCheck>,
}

/// A run that wrote an image.
#[derive(Debug, Serialize)]
pub struct SummaryDocument {
    /// How it ended.
    pub state: State,
    /// The exit code.
    pub exit_code: u8,
    /// Why it ended early.
    pub error: Option<String>,
    /// The image; `-` for stdout.
    pub image: String,
    /// `elf`, `raw` and so on, as in the manifest.
    pub image_format: &'static str,
    /// The compression around the image.
    pub compression: String,
    /// The manifest.
    pub manifest: String,
    /// What the receiver on another machine confirmed, if the image went to one.
    pub receiver: Option<ReceiverConfirmed>,
    /// The store that has the image, if it went to one.
    pub store: Option<StoreSummary>,
    /// What is known without a key, if everything else is encrypted.
    pub encryption: Option<String>,
    /// Where the memory came from, in words.
    pub source: String,
    /// Whether the running kernel's own files were the source, and not the module.
    #[serde(skip)]
    pub lacks_module: bool,
    /// Ranges to read.
    pub ranges: usize,
    /// Memory to read.
    pub planned_bytes: u64,
    /// RAM that shares its page with something else, and that the source does not have.
    pub partial_pages: Vec<PartialPage>,
    /// Memory that was read and written.
    pub read_bytes: u64,
    /// Size of the image, before the compression around it.
    pub image_bytes: u64,
    /// Size of the file.
    pub file_bytes: u64,
    /// The time it took until all hashes were ready, without the second pass.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub elapsed: Duration,
    /// From before the first page was read to after the last.
    #[serde(rename = "read_seconds", serialize_with = "seconds")]
    pub read: Duration,
    /// The time it took until the image was on the disk.
    #[serde(rename = "synced_seconds", serialize_with = "seconds")]
    pub synced: Duration,
    /// Bytes of the file that were read back from the disk, to be compared and hashed.
    pub read_back_bytes: Option<u64>,
    /// The hash of the file.
    pub sha256: Option<Sha256Sum>,
    /// Further hashes of the file.
    pub hashes: Vec<HashRecord>,
    /// Pages that could not be read.
    pub unreadable_pages: u64,
    /// The first of them; the manifest has all.
    pub first_unreadable: Vec<UnreadableRecord>,
    /// What was collected with the memory.
    pub artifacts: Option<CollectedArtifacts>,
    /// The symbol file.
    pub symbols: Option<SymbolsDocument>,
    /// The signature of the manifest.
    pub signature: Option<RunSignature>,
    /// How much memory changed before the second pass.
    pub second_pass: Option<SecondPass>,
    /// Whether the image can be analysed.
    pub check: Option<CheckDocument>,
    /// Why that is not known, if it should be.
    pub check_error: Option<String>,
    /// The command that opens the image in crash, where its name alone does not.
    pub crash_command: Option<String>,
    /// The command that makes a complete image of what an interrupted run left.
    pub recover_command: Option<String>,
    /// The command that lists the artifacts.
    #[serde(skip)]
    pub ls_command: Option<String>,
}

/// The receiver on another machine, and what it has confirmed.
#[derive(Debug, Serialize)]
pub struct ReceiverConfirmed {
    /// Its address, without the secret.
    pub address: String,
    /// Its key, which signs its receipts.
    pub key: String,
    /// The SHA-256 of the image's file, read back from its disk; none without a receipt.
    pub sha256: Option<String>,
    /// Whether it has compared every sum in the manifest with the image.
    pub verified: bool,
    /// When it was done, by its own clock; none without a receipt.
    pub received: Option<String>,
}

/// The store that has the image.
#[derive(Debug, Serialize)]
pub struct StoreSummary {
    /// The store, without secrets.
    pub place: String,
    /// The objects that have the image.
    pub objects: u64,
    /// The parts in which it was sent.
    pub parts: u64,
    /// Whether everything is there under its name.
    pub complete: bool,
    /// What is left there that the user has to know of.
    pub leftovers: Vec<String>,
}

/// The part of a page that is RAM, and was left out.
#[derive(Debug, Serialize)]
pub struct PartialPage {
    /// First address.
    pub start: Address,
    /// Last address, included.
    pub last: Address,
}

/// What was collected with the memory.
#[derive(Debug, Serialize)]
pub struct CollectedArtifacts {
    /// How many files.
    pub files: usize,
    /// How many could not be collected.
    pub missing: usize,
    /// The file that holds them; none if the image does.
    pub file: Option<String>,
}

/// How much memory changed before it was read again.
#[derive(Debug, Serialize)]
pub struct SecondPass {
    /// Pages that were compared.
    pub pages: u64,
    /// Those that had changed.
    pub changed_pages: u64,
    /// Bytes that had changed.
    pub changed_bytes: u64,
    /// Pages that could not be read in one of the passes.
    pub unreadable_pages: u64,
    /// Why it ended early.
    pub error: Option<String>,
}

impl Summary {
    /// The exit code that says the same.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        let mut signature = self.signature.iter();
        if signature.any(|signature| signature.error.is_some()) {
            return ExitStatus::Failed;
        }
        match self.acquired.state {
            State::Complete if self.check.as_ref().is_some_and(RunCheck::is_hopeless) => {
                ExitStatus::Unreadable
            }
            State::Complete => ExitStatus::Complete,
            State::CompleteWithUnreadable => ExitStatus::Unreadable,
            State::Interrupted | State::Failed => ExitStatus::Failed,
        }
    }

    /// The document that says the same.
    #[must_use]
    pub fn document(&self) -> SummaryDocument {
        let Acquired {
            state,
            image,
            manifest,
            source,
            machine: _,
            outcome,
            planned,
            partial_pages,
            delivered,
            stored,
            encryption,
            ranges,
            shape,
            crash,
            second_pass,
            read,
            synced,
            elapsed,
            read_back,
            artifacts,
            // The source's name and a warning have said whose memory it is.
            subject,
        } = &self.acquired;
        let file = &outcome.file;
        let path = image;
        let image = path.to_string_lossy().into_owned();
        let image_format = shape.format.name();
        // An image in a stream has no working name.
        let is_here = delivered.is_none() && stored.is_none();
        let is_broken = !state.is_whole() && is_here && final_name(path).is_some();
        SummaryDocument {
            state: *state,
            exit_code: self.exit_status().code(),
            error: match &outcome.end {
                End::Failed(error) => Some(error.to_string()),
                End::Interrupted(reason) => Some(reason.to_string()),
                End::Whole => None,
            },
            image_format,
            compression: shape.codec.to_string(),
            manifest: manifest.to_string_lossy().into_owned(),
            receiver: delivered.as_ref().map(ReceiverConfirmed::of),
            store: stored.as_ref().map(StoreSummary::of),
            encryption: encryption
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned()),
            source: source.clone(),
            lacks_module: *subject == Subject::RunningKernel && !source.contains("linpmem"),
            ranges: *ranges,
            planned_bytes: planned.get(),
            partial_pages: partial_pages.iter().map(PartialPage::of).collect(),
            read_bytes: outcome.read_bytes,
            image_bytes: file.image_length,
            file_bytes: file.file_length,
            elapsed: *elapsed,
            read: Duration::from_micros(read.map_or(0, |read| read.duration_us)),
            synced: *synced,
            read_back_bytes: read_back.map(|part| part.bytes),
            sha256: file.sha256,
            hashes: file.hashes.clone(),
            unreadable_pages: outcome.unreadable_pages,
            first_unreadable: outcome
                .first_unreadable
                .iter()
                .map(|&item| item.into())
                .collect(),
            artifacts: artifacts.as_ref().map(CollectedArtifacts::of),
            symbols: self.symbols.clone(),
            signature: self.signature.clone(),
            second_pass: second_pass.as_ref().map(SecondPass::of),
            check: self.check.as_ref().and_then(RunCheck::document).cloned(),
            check_error: self
                .check
                .as_ref()
                .and_then(RunCheck::error)
                .map(str::to_owned),
            crash_command: crash.and_then(|options| crash_command(options, path)),
            recover_command: is_broken.then(|| own_command("recover", path)),
            ls_command: (artifacts.is_some() && is_here).then(|| own_command("ls", path)),
            image,
        }
    }
}

/// The command that opens the padded image at `path` in crash; none if crash, which takes
/// what follows the first `@` for an address and a comma for the end of a name, cannot.
fn crash_command(options: CrashOptions, path: &Path) -> Option<String> {
    let name = path.as_os_str().as_bytes();
    let is_clear = !name.iter().any(|byte| b"@,".contains(byte));
    is_clear.then(|| format!("crash {options} vmlinux {}@0", quoted(path)))
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.document()
            .write_text(&mut text)
            .map_err(|_| fmt::Error)?;
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl Document for SummaryDocument {
    const FORMAT: &'static str = "linpmem-dump run";

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_result(out)?;
        if self.compression == "none" {
            writeln!(out, "  file:       {}", PhysLen::new(self.file_bytes))?;
        } else {
            writeln!(
                out,
                "  file:       {} ({} before compression)",
                PhysLen::new(self.file_bytes),
                PhysLen::new(self.image_bytes)
            )?;
        }
        writeln!(out, "  source:     {}", self.source)?;
        for part in &self.partial_pages {
            writeln!(
                out,
                "  left out:   {:#x}-{:#x}, a page that is only partly RAM: the kernel does not use it",
                part.start.0, part.last.0
            )?;
        }
        if let Some(store) = &self.store {
            store.write_text(out)?;
        }
        match &self.receiver {
            Some(receiver) => receiver.write_text(out)?,
            None => writeln!(out, "  manifest:   {}", self.manifest)?,
        }
        if let Some(encryption) = &self.encryption {
            writeln!(
                out,
                "  encrypted:  all but {encryption}, which has the hashes of the encrypted files"
            )?;
        }
        if let Some(signature) = &self.signature {
            signature.write_text(out)?;
        }
        if let Some(artifacts) = &self.artifacts {
            write!(out, "  artifacts:  {artifacts}")?;
            match &self.ls_command {
                Some(command) if artifacts.missing > 0 => writeln!(out, " ({command})")?,
                _ => writeln!(out)?,
            }
        }
        if let Some(command) = &self.recover_command {
            writeln!(out, "  recover:    {command}")?;
        }
        match (self.sha256, &self.receiver) {
            (Some(sum), _) => writeln!(out, "  sha256:     {sum}")?,
            (
                None,
                Some(ReceiverConfirmed {
                    verified: true,
                    sha256: Some(sum),
                    ..
                }),
            ) => writeln!(out, "  sha256:     {sum} (from its disk)")?,
            _ => {}
        }
        for HashRecord { algorithm, digest } in &self.hashes {
            writeln!(out, "  {:<11} {digest}", format!("{}:", algorithm.name()))?;
        }
        if let Some(command) = &self.crash_command {
            writeln!(out, "  crash:      {command}")?;
        }
        if let Some(made) = &self.symbols {
            let size = PhysLen::new(made.size_bytes);
            writeln!(out, "  symbols:    {} ({size})", made.symbol_file)?;
            writeln!(out, "  Volatility: {}", made.volatility_command)?;
        }
        if let Some(second_pass) = &self.second_pass {
            second_pass.write_text(out)?;
        }
        match (&self.check, &self.check_error) {
            (Some(check), _) => check.write_in_summary(out)?,
            (None, Some(error)) => writeln!(out, "  check:      not done: {}", printable(error))?,
            (None, None) => {}
        }
        self.write_unreadable(out)?;
        self.write_hint(out)
    }
}

impl SummaryDocument {
    fn write_result(&self, out: &mut dyn Write) -> io::Result<()> {
        let image = match self.image.as_str() {
            "-" => "the image on stdout",
            name => name,
        };
        let planned = PhysLen::new(self.planned_bytes);
        let error = self.error.as_deref().unwrap_or("unknown reason");
        match self.state {
            State::Complete | State::CompleteWithUnreadable => writeln!(
                out,
                "{image} is complete: {planned} in {}; memory read in {:.1} s, {}; {} in {:.1} s",
                count(usize_as_u64(self.ranges), "range"),
                self.read.as_secs_f64(),
                rate(self.planned_bytes, self.read),
                match (&self.sha256, self.hashes.as_slice()) {
                    (None, []) => "synced",
                    _ => "hashed and synced",
                },
                self.elapsed.as_secs_f64(),
            ),
            State::Interrupted => writeln!(
                out,
                "{error} after {} of {planned}; {image} is incomplete",
                PhysLen::new(self.read_bytes),
            ),
            State::Failed => writeln!(out, "failed: {error}\n{image} is incomplete"),
        }
    }

    /// What would have reached more, if the kernel's own files were the source.
    fn write_hint(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.lacks_module || (self.partial_pages.is_empty() && self.unreadable_pages == 0) {
            return Ok(());
        }
        writeln!(
            out,
            "  hint:       --driver fit loads the module that linpmem-dump carries, and reads more"
        )
    }

    fn write_unreadable(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.unreadable_pages == 0 {
            return Ok(());
        }
        writeln!(
            out,
            "  unreadable: {}, {} in the image and listed in the manifest:",
            count(self.unreadable_pages, "page"),
            match self.image_format {
                "aff4" => "marked",
                "kdump" => "left out",
                _ => "zero",
            }
        )?;
        let mut shown = 0;
        for part in &self.first_unreadable {
            shown += part.pages;
            let errno = Errno::new(part.errno);
            write!(out, "    {:#x}-{:#x} {errno}", part.start.0, part.last.0)?;
            match errno.meaning() {
                Some(meaning) => writeln!(out, " ({meaning})")?,
                None => writeln!(out)?,
            }
        }
        match self.unreadable_pages - shown {
            0 => Ok(()),
            more => writeln!(out, "    and {more} more"),
        }
    }
}

impl ReceiverConfirmed {
    fn of(delivered: &Delivered) -> Self {
        let receipt = delivered.receipt.as_ref();
        Self {
            address: delivered.receiver.clone(),
            key: delivered.key.to_string(),
            sha256: receipt.map(|receipt| receipt.image_sha256.clone()),
            verified: receipt.is_some_and(|receipt| receipt.is_verified),
            received: receipt.map(|receipt| receipt.received.clone()),
        }
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "  receiver:   {}, ", self.address)?;
        match (&self.received, self.verified) {
            (Some(at), true) => writeln!(
                out,
                "which has compared all sums; its key {}, its clock {at}",
                self.key
            ),
            (Some(_), false) => writeln!(
                out,
                "which keeps what arrived as NAME.partial: `linpmem-dump recover` there"
            ),
            (None, _) => writeln!(out, "which has not confirmed what arrived"),
        }
    }
}

impl StoreSummary {
    fn of(stored: &Stored) -> Self {
        Self {
            place: stored.place.clone(),
            objects: stored.objects,
            parts: stored.parts,
            complete: stored.is_complete,
            leftovers: stored.leftovers.clone(),
        }
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(
            out,
            "  store:      {}: {}",
            self.place,
            count(self.parts, "part")
        )?;
        match self.objects {
            0 | 1 => writeln!(out, ", each with its SHA-256")?,
            objects => writeln!(
                out,
                " in {}, each with its SHA-256",
                count(objects, "object")
            )?,
        }
        for leftover in &self.leftovers {
            writeln!(out, "              {leftover}")?;
        }
        Ok(())
    }
}

impl PartialPage {
    fn of(range: &PhysRange) -> Self {
        Self {
            start: range.start().into(),
            last: range.last().into(),
        }
    }
}

impl CollectedArtifacts {
    fn of(record: &ArtifactsRecord) -> Self {
        Self {
            files: record.files.len(),
            missing: record.missing.len(),
            file: match record.place {
                ArtifactsPlace::File => record.file.clone(),
                ArtifactsPlace::Note | ArtifactsPlace::Tail | ArtifactsPlace::Members => None,
            },
        }
    }
}

impl fmt::Display for CollectedArtifacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = count(usize_as_u64(self.files), "file");
        let place = self.file.as_deref().unwrap_or("the image");
        write!(f, "{files} in {place}")?;
        match self.missing {
            0 => Ok(()),
            missing => write!(f, "; {missing} could not be collected"),
        }
    }
}

impl SecondPass {
    fn of(totals: &SecondPassTotals) -> Self {
        Self {
            pages: totals.pages,
            changed_pages: totals.changed_pages,
            changed_bytes: totals.changed_bytes,
            unreadable_pages: totals.unreadable_pages,
            error: totals.error.clone(),
        }
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (changed, pages) = (self.changed_pages, self.pages);
        writeln!(
            out,
            "  smear:      {changed} of {pages} pages ({}) changed before the second pass read \
             them again",
            share(changed, pages)
        )?;
        match &self.error {
            Some(error) => writeln!(out, "              the second pass ended early: {error}"),
            None => Ok(()),
        }
    }
}
