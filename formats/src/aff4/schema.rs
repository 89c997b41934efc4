// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of the AFF4 vocabulary.

/// What the names of AFF4's own vocabulary begin with.
pub(super) const AFF4: &str = "http://aff4.org/Schema#";
/// What the names of the types of literals begin with.
pub(super) const XSD: &str = "http://www.w3.org/2001/XMLSchema#";
/// `a`, as RDF spells it out.
pub(super) const RDF_TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";
/// What the names begin with that only linpmem's images have.
pub(super) const LINPMEM: &str = "urn:linpmem:schema#";

/// The member that every volume begins with; its content is the volume's URN.
pub(super) const DESCRIPTION: &str = "container.description";
/// The member with the version of the standard and of the tool.
pub(super) const VERSION: &str = "version.txt";
/// The member with everything that is said of the volume's objects.
pub(super) const INFORMATION: &str = "information.turtle";
/// The member that says at the beginning what is known then, for the recovery of
/// a volume that was never finished.
pub(super) const JOURNAL: &str = "journal.turtle";
/// The member with the kernel's VMCOREINFO text.
pub(super) const VMCOREINFO: &str = "vmcoreinfo";

/// Zeros.
pub(super) const ZERO: &str = "http://aff4.org/Schema#Zero";
/// What could not be read.
pub(super) const UNREADABLE: &str = "http://aff4.org/Schema#UnreadableData";
/// What nobody tried to read.
pub(super) const UNKNOWN: &str = "http://aff4.org/Schema#UnknownData";
/// The category of images of physical memory.
pub(super) const MEMORY: &str = "http://aff4.org/Schema#memory/physical";
