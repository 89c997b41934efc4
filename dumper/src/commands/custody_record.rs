// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the manifest of a run says about who runs it, by which clocks and with which program,
//! and from which manifest the image comes, if an image is read.

use crate::args::CustodyRunArgs;
use linpmem_capture::Plan;
use linpmem_capture::source::SourceSpec;
use linpmem_custody::chain::Chain;
use linpmem_custody::digest::sha256_of_file;
use linpmem_custody::record;
use linpmem_manifest::paths::{custody_of, manifest_beside};
use linpmem_manifest::{CustodyRecord, SourceManifest};
use std::path::Path;

/// `plan` with the record. `warn` is told what cannot be recorded.
pub fn with_custody(mut plan: Plan, args: &CustodyRunArgs, mut warn: impl FnMut(&str)) -> Plan {
    plan.tool.sha256 = match record::own_sha256() {
        Ok(sum) => Some(sum),
        Err(error) => {
            warn(&format!(
                "the manifest will not have the SHA-256 of this program: {error}"
            ));
            None
        }
    };
    let source_manifest = match &plan.source {
        SourceSpec::Image(image) => source_manifest(&manifest_beside(image), &mut warn),
        _ => None,
    };
    plan.custody = Some(CustodyRecord {
        operator: record::operator(args.operator.as_deref()),
        case: args.case.clone(),
        note: args.note.clone(),
        clock: record::clock(),
        source_manifest,
    });
    plan
}

/// The manifest at `path`, if there is one, and its last event.
fn source_manifest(path: &Path, warn: &mut impl FnMut(&str)) -> Option<SourceManifest> {
    // There need not be one: raw images of other programs have none.
    path.symlink_metadata().ok()?;
    let sha256 = sha256_of_file(path).map_err(|error| {
        let path = path.display();
        warn(&format!(
            "the new manifest will not name the old one: {path}: {error}"
        ));
    });
    let sha256 = sha256.ok()?;
    let custody_sha256 = match Chain::read(&custody_of(path), sha256) {
        Ok(None) => None,
        Ok(Some((chain, None))) => Some(chain.head),
        Ok(Some((_, Some(error)))) | Err(error) => {
            warn(&format!(
                "the new manifest will not name the old one's events: {error}"
            ));
            None
        }
    };
    Some(SourceManifest {
        name: path.file_name()?.to_string_lossy().into_owned(),
        sha256,
        custody_sha256,
    })
}
