// SPDX-License-Identifier: MIT OR Apache-2.0
//! From arguments to a [`Plan`]: the one place that knows both. The engine never sees
//! arguments.

use super::shape::{ShapeError, shape};
use super::{AcquireArgs, ConvertArgs, ImageArgs, RunArgs};
use linpmem_capture::selection::Selection;
use linpmem_capture::source::SourceSpec;
use linpmem_capture::{
    AddressError, ArtifactsSpec, BundleError, DriverSpec, ImageSpec, LocationError, OnUnreadable,
    Output, Plan, ReadOrder, Reading, Stream,
};
use linpmem_manifest::Tool;
use linpmem_manifest::paths::{decrypted_of, is_encrypted_name};
use linpmem_phys::PhysLen;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Arguments that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// About the image's format or compression.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A name that ends in a slash, or in `..`.
    #[error("{0} names a folder: add a file name")]
    NoFileName(PathBuf),
    /// The image goes to stdout, and the manifest has no file.
    #[error(
        "with the image on stdout or in a pipe, --manifest PATH is required: the manifest holds \
         the hashes and addresses"
    )]
    StreamWithoutManifest,
    /// An image in a stream cannot be read again.
    #[error("--second-pass reads the image again: write it to a file instead of stdout or a pipe")]
    SecondPassOfStream,
    /// An image in a stream cannot be read back.
    #[error(
        "--read-back reads the image from the disk: write it to a file instead of stdout or a pipe"
    )]
    ReadBackOfStream,
    /// An image does not change while it is read.
    #[error("--order volatile-first applies to a running machine, not to an image: drop it")]
    OrderOfImage,
    /// An image has the swap areas that were kept with it.
    #[error("--add-swap applies to a running machine, not to an image: drop it")]
    SwapOfImage,
    /// The memory of a machine has no layout in a file.
    #[error("--input-layout and --input-ranges apply to --source file:IMAGE: drop them")]
    LayoutOfMachine,
    /// What is not encrypted needs no key.
    #[error(
        "--identity decrypts an image, and memory is read here (--encrypt-to encrypts): drop it"
    )]
    KeyOfMachine,
    /// Nothing can be encrypted to these.
    #[error("{0}")]
    Recipients(String),
    /// Something that is not encrypted has the name of what is.
    #[error(
        "{0} ends in .age, as encrypted files do: name with --encrypt-to whom it is encrypted to, or \
         choose another name"
    )]
    NotEncrypted(PathBuf),
    /// What is not encrypted would have the name of what is.
    #[error(
        "{0} ends in .age, as encrypted objects do: name with --encrypt-to whom it is encrypted to, or \
         give it another name"
    )]
    StoredUnencrypted(String),
    /// The names of a bundle are signed.
    #[error(
        "the bundle is for {0}, and what is encrypted ends in .age: make a bundle for a name that \
         does, or drop --encrypt-to"
    )]
    BundleOfPlain(String),
    /// The keys to read it again are not here.
    #[error(
        "{0} reads the image again, and what --encrypt-to has encrypted cannot be read here: drop \
         one of them"
    )]
    ReadsEncrypted(&'static str),
    /// stdout is a terminal.
    #[error("stdout is a terminal: send the image to a pipe or a file")]
    StdoutIsTerminal,
    /// Two places for one image.
    #[error("LINPMEM_TO is set, and OUTPUT names a file: unset one of them")]
    OutputAndVariable,
    /// The manifest is on the other machine.
    #[error(
        "--sign-key signs a manifest on this machine: sign where the image is received, with \
         `linpmem-dump sign`"
    )]
    SignedElsewhere,
    /// LINPMEM_TO is no text.
    #[error("LINPMEM_TO is not UTF-8")]
    Variable,
    /// The file with the address cannot be read.
    #[error("reading the address from {0}: {1}")]
    AddressFile(PathBuf, String),
    /// What should be the address of a store is none.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The file should be a bundle, and is none.
    #[error("{0}: {1}")]
    Bundle(PathBuf, BundleError),
    /// A bundle stores one image, and reads nothing.
    #[error("{0} is a bundle, which stores an image and reads nothing: give the address, {1}")]
    BundleReads(PathBuf, String),
    /// The parts of a bundle are signed.
    #[error("a bundle says how large parts are: drop --part-size, and give it to `presign`")]
    PartSizeOfBundle,
    /// Requests of other stores cannot be signed.
    #[error(
        "a bundle is for S3, s3://BUCKET/FOLDER/NAME: for Azure, a SAS does the same, and other stores \
         have nothing like it"
    )]
    PresignedElsewhere,
    /// There is no name to sign.
    #[error(
        "a bundle is for one image, whose name is signed: name the image and not a folder, as in \
         s3://BUCKET/FOLDER/NAME.core"
    )]
    PresignedFolder,
    /// Options that only stores have.
    #[error("--ca and --part-size apply to stores alone: drop them")]
    OptionOfStores,
    /// What should be an address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The command of another build, which would be taken for the name of an image.
    #[cfg(not(feature = "remote"))]
    #[error(
        "this build cannot receive images: it was made without the Cargo feature `remote` (./receive \
         is a file of that name)"
    )]
    CannotReceive,
    /// Progress for people in a stream for programs.
    #[error("--json makes stderr JSON Lines: use --progress json or none with it, or neither")]
    ProgressIsNotJson,
}

impl AcquireArgs {
    /// The acquisition that these arguments ask for. `command` is the command line, for
    /// the manifest.
    ///
    /// # Errors
    /// If the options contradict each other.
    pub fn plan(&self, command: Vec<String>) -> Result<Plan, UsageError> {
        let order = ReadOrder::from(self.order);
        if order == ReadOrder::VolatileFirst
            && matches!(self.selection.source, SourceSpec::Image(_))
        {
            return Err(UsageError::OrderOfImage);
        }
        if self.add_swap && matches!(self.selection.source, SourceSpec::Image(_)) {
            return Err(UsageError::SwapOfImage);
        }
        let output = match self.remote.output(self.output.is_some())? {
            Some(output) => output,
            None => output(self.output.as_deref(), &self.run)?,
        };
        #[cfg(feature = "sign")]
        if self.run.sign.sign_key.is_some()
            && matches!(output, Output::Remote(_) | Output::Store(_))
        {
            return Err(UsageError::SignedElsewhere);
        }
        let is_encrypted = self.run.encrypt.recipients()?.is_some();
        if let Output::Store(spec) = &output {
            let place = &spec.location;
            let is_named_so = is_encrypted_name(Path::new(&place.key("")));
            if is_named_so && !is_encrypted {
                return Err(UsageError::StoredUnencrypted(place.to_string()));
            }
            if is_encrypted && !is_named_so && place.is_bundle() {
                return Err(UsageError::BundleOfPlain(place.to_string()));
            }
        }
        if is_encrypted && self.second_pass {
            return Err(UsageError::ReadsEncrypted("--second-pass"));
        }
        if is_encrypted && self.symbols {
            return Err(UsageError::ReadsEncrypted("--symbols"));
        }
        if self.second_pass && !is_file(&output) {
            return Err(UsageError::SecondPassOfStream);
        }
        let plan = plan(
            &self.image,
            self.output.as_deref(),
            &self.run,
            output,
            command,
        )?;
        Ok(Plan {
            source: self.selection.source.clone(),
            reading: self.selection.reading()?,
            selection: self.selection.selection(),
            page_timeout: match self.page_timeout {
                0 => None,
                seconds => Some(Duration::from_secs(seconds)),
            },
            on_unreadable: self.on_error.into(),
            order,
            driver: self.driver.clone(),
            second_pass: self.second_pass,
            artifacts: ArtifactsSpec {
                swap: self.add_swap,
                ..plan.artifacts
            },
            ..plan
        })
    }
}

impl ConvertArgs {
    /// A conversion is the acquisition of everything that the image holds.
    ///
    /// # Errors
    /// If the options contradict each other.
    pub fn plan(&self, command: Vec<String>) -> Result<Plan, UsageError> {
        let output = output(Some(&self.output), &self.run)?;
        let plan = plan(&self.image, Some(&self.output), &self.run, output, command)?;
        Ok(Plan {
            source: SourceSpec::Image(self.source.clone()),
            reading: self.raw.with(self.reading.reading()),
            selection: Selection {
                windows: self.ranges.clone(),
                everything: true,
                ..Selection::default()
            },
            ..plan
        })
    }
}

/// What acquisitions and conversions have in common.
fn plan(
    image: &ImageArgs,
    name: Option<&Path>,
    run: &RunArgs,
    output: Output,
    command: Vec<String>,
) -> Result<Plan, UsageError> {
    let encryption = run.encrypt.recipients()?;
    if encryption.is_none() {
        let mut named = name.into_iter().chain(run.manifest.as_deref());
        if let Some(encrypted) = named.find(|path| is_encrypted_name(path)) {
            return Err(UsageError::NotEncrypted(encrypted.to_path_buf()));
        }
    }
    let (format, compression) = shape(image, name.map(decrypted_of).as_deref())?;
    if image.hashes.read_back && encryption.is_some() {
        return Err(UsageError::ReadsEncrypted("--read-back"));
    }
    if image.hashes.read_back && !is_file(&output) {
        return Err(UsageError::ReadBackOfStream);
    }
    Ok(Plan {
        command,
        tool: Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sha256: None,
        },
        custody: None,
        source: SourceSpec::Auto,
        reading: Reading::default(),
        selection: Selection::default(),
        page_timeout: None,
        on_unreadable: OnUnreadable::List,
        order: ReadOrder::Address,
        driver: DriverSpec::Never,
        image: ImageSpec {
            format,
            compression,
            merge_gaps: image.merge_gaps.unwrap_or(PhysLen::ZERO),
            case: image.case.details(),
            linear_hash: image.linear.linear_hash,
        },
        artifacts: image.artifacts.spec(),
        hashes: image.hashes.spec(),
        output,
        encryption,
        force: run.force,
        second_pass: false,
        threads: run.threads,
        impact: run.impact.impact(),
    })
}

/// Whether the image is a file that can be read again.
const fn is_file(output: &Output) -> bool {
    matches!(output, Output::Named { .. } | Output::File { .. })
}

fn output(path: Option<&Path>, run: &RunArgs) -> Result<Output, UsageError> {
    let manifest = run.manifest.clone();
    match path {
        None => Ok(Output::Named { manifest }),
        Some(path) if path.as_os_str() == "-" => stream(Stream::Stdout, manifest),
        #[cfg(not(feature = "remote"))]
        Some(path) if path.as_os_str() == "receive" => Err(UsageError::CannotReceive),
        // Path::file_name passes over a trailing slash.
        Some(path)
            if path.file_name().is_none()
                || path.as_os_str().as_encoded_bytes().ends_with(b"/") =>
        {
            Err(UsageError::NoFileName(path.to_path_buf()))
        }
        Some(path) => match Stream::at(path) {
            Some(found) => stream(found, manifest),
            None => Ok(Output::File {
                image: path.to_path_buf(),
                manifest,
            }),
        },
    }
}

fn stream(stream: Stream, manifest: Option<PathBuf>) -> Result<Output, UsageError> {
    match manifest {
        Some(manifest) => Ok(Output::Stream { stream, manifest }),
        None => Err(UsageError::StreamWithoutManifest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::Parser;

    fn plan(words: &[&str]) -> Result<Plan, UsageError> {
        let cli = Cli::parse_from(["linpmem-dump"].iter().chain(words));
        cli.acquire.plan(Vec::new())
    }

    #[test]
    fn a_folder_is_not_a_file_name() {
        for name in ["out/", "..", "/"] {
            let expected = UsageError::NoFileName(name.into());
            assert_eq!(plan(&[name]).unwrap_err(), expected);
        }
    }

    #[test]
    fn stdout_needs_a_manifest_and_is_not_read_again() {
        assert_eq!(plan(&["-"]).unwrap_err(), UsageError::StreamWithoutManifest);
        let with = ["-", "--manifest", "m.json"];
        assert_eq!(
            plan(&with).unwrap().output,
            Output::Stream {
                stream: Stream::Stdout,
                manifest: "m.json".into()
            }
        );
        assert_eq!(
            plan(&["-", "--manifest", "m.json", "--second-pass"]).unwrap_err(),
            UsageError::SecondPassOfStream
        );
        assert_eq!(
            plan(&["-", "--manifest", "m.json", "--read-back"]).unwrap_err(),
            UsageError::ReadBackOfStream
        );
    }

    #[test]
    fn an_image_has_no_volatile_memory() {
        let words = ["a", "--source", "file:b", "--order", "volatile-first"];
        assert_eq!(plan(&words).unwrap_err(), UsageError::OrderOfImage);
    }

    #[test]
    fn an_image_has_no_swap_areas_but_its_own() {
        let words = ["a", "--source", "file:b", "--add-swap"];
        assert_eq!(plan(&words).unwrap_err(), UsageError::SwapOfImage);
        assert!(plan(&["a", "--add-swap"]).unwrap().artifacts.swap);
        assert!(!plan(&["a"]).unwrap().artifacts.swap);
    }
}
