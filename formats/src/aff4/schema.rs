// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of the AFF4 vocabulary.

/// The prefix of AFF4's own vocabulary.
pub(super) const AFF4: &str = "http://aff4.org/Schema#";
/// The prefix of the same names in Evimetry's volumes from before the standard.
pub(super) const EVIMETRY: &str = "http://afflib.org/2009/aff4#";
/// The prefix of the types of literals.
pub(super) const XSD: &str = "http://www.w3.org/2001/XMLSchema#";
/// `a`, spelled out.
pub(super) const RDF_TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";
/// The prefix of names that only linpmem's images have.
pub(super) const LINPMEM: &str = "urn:linpmem:schema#";

/// The first member of every volume. Its content is the volume's URN.
pub(super) const DESCRIPTION: &str = "container.description";
/// The member with the version of the standard and of the tool.
pub(super) const VERSION: &str = "version.txt";
/// The member with the description of the volume's objects.
pub(super) const INFORMATION: &str = "information.turtle";
/// The member with what is known at the beginning, for the recovery of a volume whose
/// acquisition did not finish.
pub(super) const JOURNAL: &str = "journal.turtle";
/// The member with the kernel's VMCOREINFO text.
pub(super) const VMCOREINFO: &str = "vmcoreinfo";

/// The stream of zeros.
pub(super) const ZERO: &str = "http://aff4.org/Schema#Zero";
/// The stream of memory that could not be read.
pub(super) const UNREADABLE: &str = "http://aff4.org/Schema#UnreadableData";
/// The stream of memory that was never read.
pub(super) const UNKNOWN: &str = "http://aff4.org/Schema#UnknownData";
/// The category of images of physical memory.
pub(super) const MEMORY: &str = "http://aff4.org/Schema#memory/physical";

/// A name in AFF4's vocabulary, without its prefix.
pub(super) fn short(iri: &str) -> Option<&str> {
    iri.strip_prefix(AFF4)
        .or_else(|| iri.strip_prefix(EVIMETRY))
}
