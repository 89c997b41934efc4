// SPDX-License-Identifier: MIT OR Apache-2.0
//! The options of an AFF4 image, from the command line and the source.

use super::bundle::{BundleError, bundle};
use crate::args::EvidenceArgs;
use crate::clock::Moment;
use crate::manifest::MachineRecord;
use linpmem_formats::{
    Aff4Case, Aff4Clock, Aff4Compression, Aff4Facts, Aff4Options, Aff4Urns, Aff4Writer,
    HashAlgorithm,
};
use std::fs::File;
use std::io::{self, Read};

/// The options of a new image. Its names are random, as no two images may share
/// one; its times are the clock's.
///
/// # Errors
/// If there is no randomness, or a file to be added cannot be read.
pub fn options(
    args: &EvidenceArgs,
    compression: Aff4Compression,
    file_name: Option<String>,
    machine: &MachineRecord,
    warn: &mut dyn FnMut(String),
) -> Result<Aff4Options, BundleError> {
    let urns = Aff4Urns::from_random(random().map_err(BundleError::Random)?);
    let clock = Aff4Clock::new(|| Moment::now().stamp().utc);
    let tool = format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let mut linear_hashes = vec![HashAlgorithm::Sha256];
    linear_hashes.extend_from_slice(&args.hash);
    Ok(Aff4Options {
        file_name,
        compression,
        linear_hashes,
        facts: Aff4Facts {
            page_table: machine.kernel_page_table.map(|address| address.0),
            kaslr_offset: machine.kaslr_offset.map(|address| address.0),
            installed_bytes: None,
        },
        case: Aff4Case {
            name: args.case_name.clone(),
            examiner: args.examiner.clone(),
            notes: args.notes.clone(),
        },
        files: bundle(args, warn)?,
        ..Aff4Options::new(urns, clock, tool)
    })
}

/// What to say if `writer` makes no hash over all addresses.
#[must_use]
pub fn lacks_linear_hash(writer: &Aff4Writer) -> Option<String> {
    writer.linear_hashes().is_empty().then(|| {
        "the image gets no hash over all addresses: its holes have more than 16 GiB, and would \
         be hashed as well; chunks, map and image have theirs"
            .to_owned()
    })
}

fn random() -> io::Result<[[u8; 16]; 4]> {
    let mut bytes = [[0; 16]; 4];
    File::open("/dev/urandom")?.read_exact(bytes.as_flattened_mut())?;
    Ok(bytes)
}
